#include "mirror/shipping.h"

#include <cstring>
#include <fstream>

#include <gtest/gtest.h>

#include "platform/os/file.h"
#include "platform/postgres/log_segments.h"
#include "testing/scratch_directory.h"

namespace verbund::mirror {
namespace {

class LogArchiveTest : public ::testing::Test {
 protected:
  LogArchiveTest() { std::filesystem::create_directory(scratch_.path() / "pg_wal"); }
  static std::string content(const std::string& name) {
    std::string bytes(postgres::kSegmentBytes, '\0');
    const std::uint64_t start = postgres::segment_start(name).value;
    for (std::uint64_t at = 0; at < bytes.size(); at += 8192) {
      const std::uint64_t address = start + at;
      std::memcpy(bytes.data() + at + 8, &address, sizeof address);
      bytes[at + 100] = static_cast<char>(at / 8192);
    }
    return bytes;
  }
  void write(const std::string& name) { std::ofstream(scratch_.path() / "pg_wal" / name) << content(name); }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    const auto kept = archive_.list();
    for (const auto& one : *kept) names.push_back(one.name);
    return names;
  }
  const verbund::testing::ScratchDirectory scratch_;
  LogArchive archive_{scratch_.path() / "pg_wal", scratch_.path() / "archive", 10U << 20U};
  const std::string first_ = "000000010000000000000003", second_ = "000000010000000000000004", third_ = "000000010000000000000005";
};

TEST_F(LogArchiveTest, KeepsPackedAndGivesInSlices) {
  EXPECT_TRUE(names().empty());
  write(first_);
  ASSERT_TRUE(archive_.keep(first_));
  EXPECT_EQ(names(), std::vector{first_});
  std::string packed;
  while (true) {
    const auto slice = archive_.slice(first_, packed.size(), 1000);
    ASSERT_TRUE(slice);
    if (slice->empty()) break;
    packed += *slice;
  }
  EXPECT_EQ(packed.size(), archive_.list()->front().bytes);
  EXPECT_EQ(unpack_segment(packed, first_).value(), content(first_));
}

TEST_F(LogArchiveTest, WhatIsCutOrChangedOrOfAnotherNameIsRefused) {
  write(first_);
  ASSERT_TRUE(archive_.keep(first_));
  const auto packed = archive_.slice(first_, 0, 1U << 20U).value();
  EXPECT_EQ(unpack_segment(packed.substr(0, packed.size() - 1), first_).error().code, ErrorCode::kDamaged);
  auto flipped = packed;
  flipped[packed.size() / 2] = static_cast<char>(flipped[packed.size() / 2] ^ 4);
  EXPECT_EQ(unpack_segment(flipped, first_).error().code, ErrorCode::kDamaged);
  EXPECT_EQ(unpack_segment(packed, second_).error().code, ErrorCode::kDamaged);
  EXPECT_EQ(archive_.slice("../pg_wal/" + first_, 0, 10).error().code, ErrorCode::kBadMessage);
  EXPECT_EQ(archive_.slice(second_, 0, 10).error().code, ErrorCode::kNotFound);
}

TEST_F(LogArchiveTest, AFileThatTheServerWritesOverMeanwhileIsNotKept) {
  std::ofstream(scratch_.path() / "pg_wal" / first_) << content(third_);
  EXPECT_EQ(archive_.keep(first_).error().code, ErrorCode::kDamaged);
  EXPECT_EQ(archive_.keep(second_).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(names().empty());
}

TEST_F(LogArchiveTest, ListsTheNewestRunWithoutAGapAndDropsWhatIsOlder) {
  for (const auto& name : {first_, second_, third_}) {
    write(name);
    ASSERT_TRUE(archive_.keep(name));
  }
  EXPECT_EQ(names(), (std::vector{first_, second_, third_}));
  std::filesystem::remove(scratch_.path() / "archive" / (second_ + ".zst"));
  EXPECT_EQ(names(), std::vector{third_});
  std::ofstream(scratch_.path() / "archive" / "half.tmp") << "x";
  ASSERT_TRUE(archive_.drop_before(third_));
  EXPECT_EQ(names(), std::vector{third_});
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch_.path() / "archive"), {}), 1);
}

TEST_F(LogArchiveTest, StopsAtItsBoundRatherThanLosingTheOldest) {
  LogArchive small(scratch_.path() / "pg_wal", scratch_.path() / "archive", 3000);
  write(first_);
  ASSERT_FALSE(small.keep(first_));
  EXPECT_EQ(small.keep(first_).error().code, ErrorCode::kDiskFull);
  EXPECT_TRUE(names().empty());
}

}  // namespace
}  // namespace verbund::mirror
