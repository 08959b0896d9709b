#include "platform/os/watched_child.h"

#include <csignal>

#include <sys/wait.h>

#include "base/messages.h"
#include "platform/os/descriptor.h"

namespace verbund::os {

Result<int> WatchedChild::run(const Command& command, const std::string& log_file) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return fail(ErrorCode::kCancelled, phrase("run {}: given up", command.argv.empty() ? std::string("program") : command.argv[0]));
    auto child = start(command, log_file);
    if (!child) return pass(child);
    pid_ = child->pid;
  }
  siginfo_t info{};
  // Left on the process table: until that is over its pid is nobody else's.
  const int waited = uninterrupted([&] { return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT); });
  const int cause = errno;
  const std::lock_guard lock(mutex_);
  const Child child{std::exchange(pid_, 0)};
  if (waited != 0) return failed_call(phrase("wait for {}", command.argv[0]), cause);
  return exit_code_if_ended(child).value_or(128);
}

void WatchedChild::end(int signal) {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  if (pid_ != 0) ::kill(pid_, signal);
}

}  // namespace verbund::os
