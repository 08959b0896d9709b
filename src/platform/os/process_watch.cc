// What is known about running processes, and ending them.
#include <charconv>
#include <climits>
#include <csignal>

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "platform/os/descriptor.h"
#include "platform/os/file.h"
#include "platform/os/process.h"

namespace verbund::os {
namespace {

constexpr milliseconds kLookAgain{50};

struct Stat {
  char state = '?';
  std::uint64_t start_time = 0;
};

std::optional<Stat> read_stat(int pid) {
  if (pid <= 0) return std::nullopt;
  const auto text = read_file(fmt::format("/proc/{}/stat", pid), 16 * 1024);
  if (!text) return std::nullopt;
  // Field 2 is the program's name in parentheses and may itself hold blanks and parentheses: count from the last one.
  std::size_t position = text->rfind(')');
  if (position == std::string::npos || position + 2 >= text->size()) return std::nullopt;
  position += 2;
  Stat stat;
  stat.state = (*text)[position];
  for (int field = 3; field < 22; ++field) {
    position = text->find(' ', position);
    if (position == std::string::npos) return std::nullopt;
    ++position;
  }
  const char* end = text->data() + text->size();
  if (std::from_chars(text->data() + position, end, stat.start_time).ec != std::errc{}) return std::nullopt;
  return stat;
}

/// A zombie has ended; only its parent has not asked yet.
bool dead(const Stat& stat) { return stat.state == 'Z' || stat.state == 'X'; }

/// Gone, a zombie, or the number belongs to another process by now. Reaps it when it is a child of ours.
bool gone(int pid, std::uint64_t start_time) {
  uninterrupted([&] { return ::waitpid(pid, nullptr, WNOHANG); });
  const auto stat = read_stat(pid);
  return !stat || dead(*stat) || stat->start_time != start_time;
}

}  // namespace

std::optional<std::uint64_t> process_start_time(int pid) {
  const auto stat = read_stat(pid);
  if (!stat || dead(*stat)) return std::nullopt;
  return stat->start_time;
}

std::optional<std::string> process_executable(int pid) {
  std::string target(PATH_MAX, '\0');
  const ssize_t length = ::readlink(fmt::format("/proc/{}/exe", pid).c_str(), target.data(), target.size());
  if (length <= 0) return std::nullopt;
  target.resize(static_cast<std::size_t>(length));
  return target;
}

bool signal_and_wait(int pid, int signal, Deadline deadline, const Clock& clock) {
  const auto stat = read_stat(pid);
  if (!stat) return true;
  const Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  // Between reading and opening the number may have been given to somebody else, who must not get the signal.
  if (gone(pid, stat->start_time)) return true;
  const long sent = process ? ::syscall(SYS_pidfd_send_signal, process.number(), signal, nullptr, 0)
                            : static_cast<long>(::kill(pid, signal));
  if (sent != 0 && errno == EPERM) return false;
  while (!gone(pid, stat->start_time)) {
    const auto left = std::chrono::ceil<milliseconds>(deadline.left(clock));
    if (left.count() == 0) return false;
    pollfd watched{process.number(), POLLIN, 0};
    ::poll(&watched, 1, static_cast<int>(std::min(left, kLookAgain).count()));
  }
  return true;
}

}  // namespace verbund::os
