#include "platform/postgres/log_segments.h"

#include <cstring>

#include <gtest/gtest.h>

#include "platform/os/scratch_directory.h"
#include "platform/postgres/live_settings.h"

namespace verbund::postgres {
namespace {

TEST(LogSegments, AreNamedAsPostgresDoes) {
  EXPECT_EQ(segment_name(1, Lsn{0x3000000}), "000000010000000000000003");
  EXPECT_EQ(segment_name(1, Lsn{0x3ffffff}), "000000010000000000000003");
  EXPECT_EQ(segment_name(0x1a, Lsn{0x5ff000000}), "0000001A00000005000000FF");
  EXPECT_EQ(next_segment("0000001A00000005000000FF"), "0000001A0000000600000000");
  EXPECT_EQ(segment_start("0000001A00000005000000FF"), Lsn{0x5ff000000});
  EXPECT_EQ(segment_timeline("0000001A00000005000000FF"), 0x1aU);
}

TEST(LogSegments, RefuseOtherNames) {
  EXPECT_TRUE(is_segment_name("000000010000000000000003"));
  for (const char* name : {"", "00000001000000000000000", "00000001000000000000000g", "000000010000000000000100", "../000001000000000000003",
                           "000000010000000000000003.partial", "00000002.history"}) {
    EXPECT_FALSE(is_segment_name(name)) << name;
  }
}

TEST(LogSegments, OneThatWasWrittenOverIsNotTakenForWhole) {
  const std::string name = "000000010000000000000003";
  std::string content(kSegmentBytes, '\0');
  EXPECT_FALSE(check_segment(content, name));  // its first page says nothing
  for (std::size_t page = 0; page < 100; ++page) {
    const std::uint64_t address = 0x3000000 + page * 8192;
    std::memcpy(content.data() + page * 8192 + 8, &address, sizeof address);
  }
  EXPECT_TRUE(check_segment(content, name));  // the rest is empty: after a switch
  EXPECT_FALSE(check_segment(content, next_segment(name)));
  EXPECT_FALSE(check_segment(content.substr(1), name));
  const std::uint64_t later = 0x9000000 + 50 * 8192;
  std::memcpy(content.data() + 50 * 8192 + 8, &later, sizeof later);
  EXPECT_FALSE(check_segment(content, name));
}

TEST(LiveSettings, AreReadAsTheyWereWritten) {
  const os::ScratchDirectory scratch;
  EXPECT_TRUE(read_live_settings(scratch.path())->empty());
  const std::map<std::string, std::string> settings{{"a.b", "it's \\ here"}, {"primary_conninfo", ""}};
  ASSERT_TRUE(write_live_settings(scratch.path(), settings));
  EXPECT_EQ(read_live_settings(scratch.path()).value(), settings);
}

}  // namespace
}  // namespace verbund::postgres
