// find_user, run and start. What is known about running processes: process_watch.cc.
#include "platform/os/process.h"

#include <csignal>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/messages.h"
#include "platform/os/child.h"
#include "platform/os/child_streams.h"
#include "platform/os/descriptor.h"

namespace verbund::os {
namespace {

/// A clock in tests may stand still: look at it, and at the child, at least this often.
constexpr milliseconds kLookAgain{100};

}  // namespace

Result<User> find_user(const std::string& name) {
  std::vector<char> buffer(16 * 1024);
  passwd entry{};
  passwd* found = nullptr;
  const int cause = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found != nullptr) return User{entry.pw_name, entry.pw_uid, entry.pw_gid};
  if (cause != 0 && cause != ENOENT && cause != ESRCH) return failed_call(phrase("look up user {}", name), cause);
  return fail(ErrorCode::kNotFound, phrase("look up user {}: no such user on this machine", name));
}

bool running_as_root() { return ::geteuid() == 0; }

Result<Outcome> run(const Command& command, Deadline deadline, const Clock& clock) {
  Stream output;
  Stream errors;
  const std::string name = command.argv.empty() ? std::string("program") : command.argv[0];
  Descriptor child_output;
  Descriptor child_errors;
  if (auto made = make_stream(output, child_output, name); !made) return pass(made);
  if (auto made = make_stream(errors, child_errors, name); !made) return pass(made);
  auto pid = spawn(command, ChildGroup::kProcessGroup, {-1, child_output.number(), child_errors.number()});
  if (!pid) return pass(pid);
  child_output.close();
  child_errors.close();

  // Readable when the child ends. Without it (Linux before 5.3) the look every kLookAgain finds out.
  const Descriptor ended(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  while (true) {
    int status = 0;
    const pid_t reaped = uninterrupted([&] { return ::waitpid(*pid, &status, WNOHANG); });
    const int cause = errno;
    // Waiting first, reading after: what the child wrote before its end is in the pipes now. Grandchildren that live on
    // (a server that went to the background) may hold the pipes open; they are not waited for.
    drain(output, command.max_output_bytes);
    drain(errors, command.max_output_bytes);
    if (reaped == *pid) return Outcome{exit_code_of(status), std::move(output.text), std::move(errors.text)};
    if (reaped < 0) return failed_call(phrase("wait for {}", name), cause);
    const auto left = std::chrono::ceil<milliseconds>(deadline.left(clock));
    if (left.count() == 0) {
      kill_group(*pid);
      return fail(ErrorCode::kTimedOut, phrase("run {}: not done at the deadline, killed", name));
    }
    pollfd watched[] = {{ended.number(), POLLIN, 0}, {output.from.number(), POLLIN, 0}, {errors.from.number(), POLLIN, 0}};
    ::poll(watched, 3, static_cast<int>(std::min(left, kLookAgain).count()));
  }
}

Result<Child> start(const Command& command, const std::string& log_file) {
  const Descriptor log(::open(log_file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
  if (!log) return failed_call(phrase("open {}", log_file), errno);
  auto pid = spawn(command, ChildGroup::kSession, {-1, log.number(), log.number()});
  if (!pid) return pass(pid);
  return Child{*pid};
}

std::optional<int> exit_code_if_ended(const Child& child) {
  int status = 0;
  const pid_t reaped = uninterrupted([&] { return ::waitpid(child.pid, &status, WNOHANG); });
  if (reaped != child.pid) return std::nullopt;
  return exit_code_of(status);
}

}  // namespace verbund::os
