#include <gtest/gtest.h>

#include "platform/os/file.h"
#include "platform/os/log_line.h"
#include "platform/os/log_sink.h"
#include "platform/os/scratch_directory.h"

namespace verbund::os {
namespace {

constexpr WallTime kTime{seconds{1'795'316'645}};

TEST(LogLine, EscapesWhateverAFieldHolds) {
  const std::string line = json_line(kTime, LogLevel::kInfo, "session.lost",
                                     {{"user", "Dr. \"A\\\"\n\x1b[2J\x7f"}, {"level", "ä\xff"}, {"c1", "\xc2\x9b"}});
  EXPECT_EQ(line, R"({"time":"2026-11-22T03:04:05.000000Z","level":"info","event":"session.lost",)"
                  R"("user":"Dr. \"A\\\"\n\u001b[2J\u007f","level_":"ä)" "\xef\xbf\xbd" R"(","c1":"\u009b"})");
}

TEST(LogLine, IsReadableOnTheTerminal) {
  EXPECT_EQ(readable_line(kTime, LogLevel::kWarning, "session.lost", {{"session", 7}, {"user", "Dr. A\n"}}),
            R"(2026-11-22T03:04:05.000000Z WARNING session.lost session=7 user="Dr. A\n")");
}

TEST(LogSink, WritesLinesOfItsLevelAtOnce) {
  const ScratchDirectory scratch;
  const auto path = scratch.path() / "log" / "verbund.log";
  const auto log = open_log({.file = path, .terminal = false, .file_level = LogLevel::kWarning});
  ASSERT_TRUE(log) << log.error().message;
  (*log)->info("hidden");
  (*log)->error("shown", {{"format", "{} %v"}});
  const auto text = read_file(path).value();
  EXPECT_TRUE(text.ends_with(R"("level":"error","event":"shown","format":"{} %v"})" "\n")) << text;
  EXPECT_EQ(std::ranges::count(text, '\n'), 1);
}

TEST(LogSink, SaysThatTheFileCannotBeOpened) {
  const ScratchDirectory scratch;
  EXPECT_EQ(open_log({.file = scratch.path(), .terminal = false}).error().code, ErrorCode::kIo);
  null_log().error("nothing");
}

}  // namespace
}  // namespace verbund::os
