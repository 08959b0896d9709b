#include "backup/services.h"

#include <gmock/gmock.h>

#include <fstream>

#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/log_sink.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ServicesTest : public ::testing::Test {
 protected:
  Application application(const std::string& name) {
    Application made;
    made.name = name;
    made.stop = {"rm", (scratch.path() / name).string()};
    made.start = {"touch", (scratch.path() / name).string()};
    made.running = {"test", "-e", (scratch.path() / name).string()};
    std::ofstream(scratch.path() / name) << "";
    return made;
  }
  bool runs(const std::string& name) { return std::filesystem::exists(scratch.path() / name); }

  testing::ScratchDirectory scratch;
  os::SystemClock clock;
  std::filesystem::path file = scratch.path() / "backup" / "stopped.jsonl";
  Services services{file, clock, os::null_log()};
};

TEST_F(ServicesTest, WhatWasStoppedIsStartedByTheNextProcess) {
  const auto a = application("a"), b = application("b");
  for (const auto& each : {a, b}) {
    ASSERT_TRUE(services.note_stop(each));
    ASSERT_TRUE(services.stop(each));
  }
  EXPECT_FALSE(services.running(a).value());
  // Killed here.
  Services next(file, clock, os::null_log());
  EXPECT_THAT(next.stopped().value(), ElementsAre("a", "b"));
  EXPECT_THAT(next.recover().value(), IsEmpty());
  EXPECT_TRUE(runs("a") && runs("b"));
  EXPECT_THAT(next.stopped().value(), IsEmpty());
}

TEST_F(ServicesTest, WhatDoesNotStartStaysInTheFile) {
  auto a = application("a");
  a.start = {"false"};
  ASSERT_TRUE(services.note_stop(a));
  const auto left = services.recover();
  ASSERT_TRUE(left);
  ASSERT_EQ(left->size(), 1U);
  EXPECT_THAT(left->front().why.english(), HasSubstr("false ended with 1"));
  EXPECT_THAT(services.stopped().value(), ElementsAre("a"));
}

TEST_F(ServicesTest, ATornLastLineWasNeverStopped) {
  ASSERT_TRUE(services.note_stop(application("a")));
  std::ofstream(file, std::ios::app) << R"({"application":"b","sta)";
  EXPECT_THAT(services.stopped().value(), ElementsAre("a"));
}

TEST_F(ServicesTest, ADamagedFileIsNotGuessedAt) {
  ASSERT_TRUE(services.note_stop(application("a")));
  std::ofstream(file, std::ios::app) << "nonsense\n";
  EXPECT_EQ(services.recover().error().code, ErrorCode::kDamaged);
}

TEST_F(ServicesTest, ACommandIsKilledAtItsLimit) {
  auto a = application("a");
  a.stop = {"sleep", "600"};
  a.stop_limit = seconds{1};
  EXPECT_EQ(services.stop(a).error().code, ErrorCode::kTimedOut);
}

TEST_F(ServicesTest, VersionComesFromACommandOrAFile) {
  auto a = application("a");
  EXPECT_EQ(program_version(a, clock).value(), "");
  a.version_command = {"echo", "7.2"};
  EXPECT_EQ(program_version(a, clock).value(), "7.2");
  a.version_command.clear();
  a.version_file = scratch.path() / "VERSION";
  EXPECT_EQ(program_version(a, clock).error().code, ErrorCode::kNotFound);
  std::ofstream(a.version_file) << "11g  \nsecond line\n";
  EXPECT_EQ(program_version(a, clock).value(), "11g");
}

}  // namespace
}  // namespace verbund::backup
