#include "backup/media/tape.h"

#include <gmock/gmock.h>

#include <sys/stat.h>
#include <thread>

#include "platform/os/file.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

class Quiet final : public Progress {
 public:
  void moved(std::string_view, std::uint64_t, std::uint64_t) override {}
};

class TapeTest : public ::testing::Test {
 protected:
  TapeTest() {
    fs::create_directories(set_ / "db");
    for (const char* name : {"RESTORE.txt", "db/praxis.dump.zst"}) EXPECT_TRUE(os::write_file_atomically(set_ / name, std::string(50'000, *name)));
    EXPECT_TRUE(os::write_file_atomically(ledger_, "{}\n"));
    EXPECT_TRUE(os::write_file_atomically(device_, ""));
  }
  std::vector<PublicKey> trusted() const { return {key_.public_key()}; }
  testing::ScratchDirectory scratch_;
  fs::path set_ = scratch_.path() / "target" / "20261122-013000-000001", ledger_ = scratch_.path() / "ledger.jsonl", device_ = scratch_.path() / "nst0:1";
  Tape tape_{device_, scratch_.path() / "work"};
  SigningKey key_ = SigningKey::generate();
  Label label_ = new_label("Band 1", MediumClass::kMonthEnd, MediumKind::kTape, "0011", WallTime{}).value();
  Quiet progress_;
};

TEST_F(TapeTest, HasALabelFirstThenTheSetAndStockTarReadsAll) {
  EXPECT_EQ(tape_.read_label(trusted(), progress_).error().code, ErrorCode::kNotFound) << "an empty one";
  ASSERT_TRUE(tape_.write_label(label_, key_, progress_));
  EXPECT_EQ(tape_.read_label(trusted(), progress_).value().id, label_.id);
  const auto written = tape_.write_set(label_, key_, ledger_, set_, progress_);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(tape_.read_label(trusted(), progress_).value().id, label_.id);
  EXPECT_TRUE(tape_.compare(set_, progress_));
  const auto out = scratch_.path() / "out";
  fs::create_directory(out);
  ASSERT_EQ(std::system(fmt::format("tar --force-local -xf '{}' -C {} && test \"$(tar --force-local -tf '{}' | head -n 1)\" = {}", device_.native(), out.native(), device_.native(), kLabelFile).c_str()), 0);
  EXPECT_EQ(os::read_file(out / set_.filename() / "db/praxis.dump.zst").value(), os::read_file(set_ / "db/praxis.dump.zst").value());
}

TEST_F(TapeTest, WhatIsNotOnItAsItWasWrittenIsNoticed) {
  ASSERT_TRUE(tape_.write_set(label_, key_, ledger_, set_, progress_));
  auto bytes = os::read_file(device_).value();
  bytes[bytes.size() - 30'000] ^= 1;
  ASSERT_TRUE(os::write_file_atomically(device_, bytes));
  EXPECT_EQ(tape_.compare(set_, progress_).error().code, ErrorCode::kDamaged);
  ASSERT_TRUE(os::write_file_atomically(device_, std::string_view(bytes).substr(0, 40'000)));
  EXPECT_FALSE(tape_.compare(set_, progress_)) << "cut";
  EXPECT_EQ(tape_.read_label({SigningKey::generate().public_key()}, progress_).error().code, ErrorCode::kForbidden);
}

TEST_F(TapeTest, AFifoTakesTheStream) {
  fs::remove(device_);
  ASSERT_EQ(::mkfifo(device_.c_str(), 0600), 0);
  std::string got;
  std::jthread reader([&] { got = os::read_file(device_).value_or(""); });
  EXPECT_TRUE(tape_.write_set(label_, key_, ledger_, set_, progress_));
  reader.join();
  EXPECT_GT(got.size(), 100'000U);
  EXPECT_TRUE(got.starts_with(std::string(kLabelFile)) || got.find(kLabelFile) < 2048);
}

TEST(Tape, ADriveThatIsNotThereIsAMediumThatIsGone) {
  testing::ScratchDirectory scratch;
  Quiet progress;
  EXPECT_EQ(Tape(scratch.path() / "nst9", scratch.path()).read_label({}, progress).error().code, ErrorCode::kMediumGone);
}

}  // namespace
}  // namespace verbund::backup
