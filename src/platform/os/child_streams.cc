#include "platform/os/child_streams.h"

#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#include "base/messages.h"

namespace verbund::os {
namespace {

/// How long a killed process may take to disappear; longer only when the kernel itself hangs (dead network drive).
constexpr int kReapTries = 500;

}  // namespace

Status make_stream(Stream& stream, Descriptor& write_end, const std::string& name) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed_call(phrase("make pipe for {}", name), errno);
  stream.from = Descriptor(ends[0]);
  write_end = Descriptor(ends[1]);
  ::fcntl(stream.from.number(), F_SETFL, O_NONBLOCK);  // our end only
  return {};
}

void drain(Stream& stream, std::size_t max_bytes) {
  char buffer[16 * 1024];
  while (stream.from) {
    const ssize_t got = uninterrupted([&] { return ::read(stream.from.number(), buffer, sizeof buffer); });
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      stream.from.close();
      return;
    }
    stream.text.append(buffer, std::min(static_cast<std::size_t>(got), max_bytes - stream.text.size()));
  }
}

int exit_code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

void kill_group(int pid) {
  ::kill(-pid, SIGKILL);
  for (int i = 0; i < kReapTries; ++i) {
    if (uninterrupted([&] { return ::waitpid(pid, nullptr, WNOHANG); }) != 0) return;
    ::poll(nullptr, 0, 10);
  }
}

}  // namespace verbund::os
