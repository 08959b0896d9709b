#include "platform/os/process.h"

#include <csignal>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/scratch_directory.h"

namespace verbund::os {
namespace {

using namespace std::chrono_literals;

struct Process : testing::Test {
  Result<Outcome> shell(const std::string& script, nanoseconds limit = 20s) {
    Command command;
    command.argv = {"sh", "-c", script};
    return run(command, Deadline::in(clock, limit), clock);
  }
  SystemClock clock;
  ScratchDirectory scratch;
};

TEST_F(Process, ReturnsOutputErrorsAndExitCode) {
  const auto outcome = shell("echo out; echo err >&2; exit 3");
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->exit_code, 3);
  EXPECT_EQ(outcome->output, "out\n");
  EXPECT_EQ(outcome->errors, "err\n");
  EXPECT_EQ(shell("kill -TERM $$")->exit_code, 128 + SIGTERM);
}

TEST_F(Process, HandsOverInputEnvironmentAndDirectory) {
  Command command;
  command.argv = {"sh", "-c", "cat; echo $VERBUND_TEST; pwd"};
  command.stdin_text = std::string(300'000, 'x');
  command.environment["VERBUND_TEST"] = "value";
  command.directory = "/";
  const auto outcome = run(command, Deadline::in(clock, 20s), clock);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->output, command.stdin_text + "value\n/\n");
}

TEST_F(Process, KeepsTheOutputWithinItsLimit) {
  Command command;
  command.argv = {"sh", "-c", "head -c 1000000 /dev/zero; echo end >&2"};
  command.max_output_bytes = 1000;
  const auto outcome = run(command, Deadline::in(clock, 20s), clock);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->output.size(), 1000U);
  EXPECT_EQ(outcome->errors, "end\n");
}

TEST_F(Process, NamesAProgramThatIsMissing) {
  Command command;
  for (const std::string name : {"verbund-no-such-program", "/nonexistent/program"}) {
    command.argv = {name};
    const auto outcome = run(command, Deadline::in(clock, 20s), clock);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::kNotFound);
  }
  command.argv = {"true"};
  command.directory = "/nonexistent";
  EXPECT_EQ(run(command, Deadline::in(clock, 20s), clock).error().code, ErrorCode::kIo);
}

TEST_F(Process, KillsTheWholeGroupAtTheDeadline) {
  const auto pid_file = scratch.path() / "pid";
  const auto outcome = shell("sleep 600 & echo $! > " + pid_file.native() + "; wait", 500ms);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kTimedOut);
  const int grandchild = std::stoi(*read_file(pid_file));
  const auto deadline = Deadline::in(clock, 10s);
  while (process_start_time(grandchild) && !deadline.passed(clock)) std::this_thread::yield();
  EXPECT_FALSE(process_start_time(grandchild));
}

TEST_F(Process, DoesNotWaitForWhatWentToTheBackground) {
  const auto outcome = shell("sleep 600 & echo $!", 20s);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_TRUE(signal_and_wait(std::stoi(outcome->output), SIGKILL, Deadline::in(clock, 10s), clock));
}

TEST_F(Process, InheritsNoDescriptorAndNoIgnoredSignal) {
  const int leaky = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC, as a library might
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  const auto outcome = shell("ls /proc/$$/fd; grep SigIgn /proc/$$/status");
  ::signal(SIGPIPE, before);
  ::close(leaky);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->output.starts_with("0\n1\n2\nSigIgn:\t0000000000000000")) << outcome->output;
}

TEST_F(Process, BecomesAnotherUser) {
  if (!running_as_root()) GTEST_SKIP() << "needs root";
  Command command;
  command.argv = {"sh", "-c", "id -un; id -G; echo $USER"};
  command.directory = "/";
  command.as_user = find_user("nobody").value();
  const auto outcome = run(command, Deadline::in(clock, 20s), clock);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->output, fmt::format("nobody\n{}\nnobody\n", command.as_user->gid));
}

TEST_F(Process, StartsAChildInASessionOfItsOwnAndEndsIt) {
  Command command;
  command.argv = {"sh", "-c", "cat; echo oops >&2; exec sleep 600"};
  command.stdin_text = "hello\n";
  const auto log = scratch.path() / "child.log";
  const auto child = start(command, log.native());
  ASSERT_TRUE(child) << child.error().message;
  const auto deadline = Deadline::in(clock, 10s);
  while (read_file(log).value() != "hello\noops\n" && !deadline.passed(clock)) std::this_thread::yield();
  EXPECT_EQ(read_file(log).value(), "hello\noops\n");
  EXPECT_EQ(::getsid(child->pid), child->pid);
  EXPECT_TRUE(process_start_time(child->pid));
  while (process_executable(child->pid)->find("sleep") == std::string::npos &&
         process_executable(child->pid)->find("coreutils") == std::string::npos && !deadline.passed(clock)) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(exit_code_if_ended(*child));
  EXPECT_TRUE(signal_and_wait(child->pid, SIGTERM, Deadline::in(clock, 10s), clock));
  EXPECT_FALSE(process_start_time(child->pid));
}

TEST_F(Process, TellsTheExitCodeOfAStartedChild) {
  Command command;
  command.argv = {"sh", "-c", "exit 7"};
  const auto child = start(command, (scratch.path() / "log").native());
  ASSERT_TRUE(child);
  const auto deadline = Deadline::in(clock, 10s);
  std::optional<int> code;
  while (!(code = exit_code_if_ended(*child)) && !deadline.passed(clock)) std::this_thread::yield();
  EXPECT_EQ(code, 7);
}

TEST_F(Process, SaysThatAProcessSurvivedASignal) {
  Command command;
  command.argv = {"sh", "-c", "trap '' TERM; echo ready; while :; do sleep 600; done"};
  const auto log = scratch.path() / "log";
  const auto child = start(command, log.native());
  ASSERT_TRUE(child);
  const auto deadline = Deadline::in(clock, 10s);
  while (read_file(log).value().empty() && !deadline.passed(clock)) std::this_thread::yield();
  EXPECT_FALSE(signal_and_wait(child->pid, SIGTERM, Deadline::in(clock, 200ms), clock));
  ::kill(-child->pid, SIGKILL);  // its sleep, too
  EXPECT_TRUE(signal_and_wait(child->pid, SIGKILL, Deadline::in(clock, 10s), clock));
}

}  // namespace
}  // namespace verbund::os
