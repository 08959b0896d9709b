#include "platform/os/watched_child.h"

#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "platform/os/file.h"
#include "platform/os/scratch_directory.h"
#include "testing/eventually.h"

namespace verbund::os {
namespace {

struct WatchedChildTest : ::testing::Test {
  Result<int> run(const std::string& script) {
    Command command;
    command.argv = {"/bin/sh", "-c", script};
    return child.run(command, scratch.path() / "log");
  }
  ScratchDirectory scratch;
  WatchedChild child;
};

TEST_F(WatchedChildTest, GivesTheExitCodeOneAfterTheOther) {
  EXPECT_EQ(run("echo said; exit 10"), 10);
  EXPECT_EQ(run("kill -TERM $$"), 128 + SIGTERM);
  EXPECT_EQ(read_file(scratch.path() / "log"), "said\n");
  Command none;
  none.argv = {"/no/such/program"};
  EXPECT_EQ(child.run(none, scratch.path() / "log").error().code, ErrorCode::kNotFound);
}

TEST_F(WatchedChildTest, AnotherThreadEndsIt) {
  const auto begun = scratch.path() / "begun";
  std::jthread other([&] {
    EXPECT_TRUE(testing::eventually([&] { return std::filesystem::exists(begun); }));
    child.end(SIGINT);
  });
  EXPECT_EQ(run("trap 'kill $!; exit 3' INT; sleep 1000 & touch " + begun.native() + "; wait"), 3);
  EXPECT_EQ(run("exit 0").error().code, ErrorCode::kCancelled) << "nothing is begun any more";
}

}  // namespace
}  // namespace verbund::os
