#include "platform/os/piped_child.h"

#include <csignal>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/scratch_directory.h"

namespace verbund::os {
namespace {

using namespace std::chrono_literals;

struct Piped : testing::Test {
  Result<PipedChild> shell(const std::string& script, PipedOptions options = {}) {
    Command command;
    command.argv = {"sh", "-c", script};
    return PipedChild::start(command, std::move(options), clock);
  }
  std::string read_all(PipedChild& child) {
    std::string all;
    std::vector<char> buffer(100'000);
    for (auto got = child.read(buffer); got && *got > 0; got = child.read(buffer)) all.append(buffer.data(), *got);
    return all;
  }
  SystemClock clock;
  ScratchDirectory scratch;
};

TEST_F(Piped, StreamsOutputAndKeepsErrorsApart) {
  auto child = shell("i=0; while [ $i -lt 100 ]; do echo line $i >&2; i=$((i+1)); done; head -c 5000000 /dev/zero; exit 3", {.output = true, .max_error_bytes = 20});
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(read_all(*child).size(), 5'000'000U);
  const auto outcome = child->wait();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->exit_code, 3);
  EXPECT_EQ(outcome->errors, "line 0\nline 1\nline 2");  // what is over is read and dropped
}

TEST_F(Piped, FeedsInputOfAnySize) {
  auto child = shell("cksum > " + (scratch.path() / "sum").native(), {.input = true});
  ASSERT_TRUE(child);
  const std::string block(1'000'003, 'x');
  for (int i = 0; i < 9; ++i) ASSERT_TRUE(child->write(block).value());
  child->close_input();
  EXPECT_EQ(child->wait()->exit_code, 0);
  EXPECT_NE(read_file(scratch.path() / "sum")->find(" 9000027"), std::string::npos);
}

TEST_F(Piped, SaysWhenTheChildReadsNoMore) {
  auto child = shell("exec 0<&-; echo enough >&2; exit 7", {.input = true});
  ASSERT_TRUE(child);
  const std::string block(1'000'000, 'x');
  Result<bool> taken = true;
  for (int i = 0; i < 50 && taken && *taken; ++i) taken = child->write(block);
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_FALSE(*taken);
  const auto outcome = child->wait();
  EXPECT_EQ(outcome->exit_code, 7);
  EXPECT_EQ(outcome->errors, "enough\n");
}

TEST_F(Piped, GivesUpWhenCancelledAndLeavesNoZombie) {
  const auto pid_file = scratch.path() / "pid";
  auto child = shell("echo $$ > " + pid_file.native() + "; sleep 600 & wait", {.output = true, .cancelled = [&] { return std::filesystem::exists(pid_file); }});
  ASSERT_TRUE(child);
  char buffer[100];
  const auto got = child->read(buffer);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(Piped, IsKilledAfterTooLongASilence) {
  auto child = shell("echo begun; sleep 600", {.output = true, .longest_silence = 300ms});
  ASSERT_TRUE(child);
  char buffer[100];
  EXPECT_EQ(child->read(buffer).value(), 6U);
  const auto got = child->read(buffer);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::kTimedOut);
}

TEST_F(Piped, DiesWithItsOwner) {
  const auto pid_file = scratch.path() / "pid";
  {
    auto child = shell("echo $$ > " + pid_file.native() + "; echo ready; exec sleep 600", {.output = true});
    char buffer[100];
    ASSERT_EQ(child->read(buffer).value(), 6U);
  }
  EXPECT_FALSE(process_start_time(std::stoi(*read_file(pid_file))));
}

TEST_F(Piped, InheritsNothingWhenToldSo) {
  Command command;
  command.argv = {"/usr/bin/env"};
  command.inherit_environment = false;
  command.environment = {{"ONLY", "this"}};
  auto child = PipedChild::start(command, {.output = true}, clock);
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(read_all(*child), "ONLY=this\n");
}

TEST_F(Piped, ReadsASecretThatNobodyElseMay) {
  const auto secret = SecretFile::make("geheim\n");
  ASSERT_TRUE(secret) << secret.error().message;
  struct stat status{};
  ASSERT_EQ(::stat(secret->path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_TRUE(S_ISREG(status.st_mode));
  auto child = shell("cat " + secret->path(), {.output = true});
  EXPECT_EQ(read_all(*child), "geheim\n");
}

}  // namespace
}  // namespace verbund::os
