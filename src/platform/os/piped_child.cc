#include "platform/os/piped_child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/os/child.h"
#include "platform/os/child_streams.h"

namespace verbund::os {
namespace {

constexpr int kLookAgainMs = 100;
/// As much as the kernel lets an ordinary user have: fewer switches between reader and writer.
constexpr int kPipeBytes = 1024 * 1024;

}  // namespace

struct PipedChild::Impl {
  Impl(std::string program, PipedOptions given, const Clock& boot_clock)
      : name(std::move(program)), options(std::move(given)), clock(boot_clock), last_byte(clock.now()) {}
  ~Impl() { kill(); }

  void kill() {
    if (pid != 0) kill_group(std::exchange(pid, 0));
  }

  Status make_input(Descriptor& child_end) {
    // A socket, since its writer can be told of a reader's death by an error instead of SIGPIPE.
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return failed_call(phrase("make pipe for {}", name), errno);
    input = Descriptor(ends[0]);
    child_end = Descriptor(ends[1]);
    ::setsockopt(input.number(), SOL_SOCKET, SO_SNDBUF, &kPipeBytes, sizeof kPipeBytes);
    ::shutdown(child_end.number(), SHUT_WR);
    return {};
  }

  /// Until something can be done on `descriptor`, or the next look at the clock. Collects standard error meanwhile.
  Status await(int descriptor, short events) {
    if (options.cancelled && options.cancelled()) {
      kill();
      return fail(ErrorCode::kCancelled, phrase("run {}: cancelled", name));
    }
    const auto silent = clock.now() - last_byte;
    if (options.longest_silence.count() > 0 && silent > options.longest_silence) {
      kill();
      return fail(ErrorCode::kTimedOut, phrase("run {}: nothing was heard of it for {} s, killed", name,
                                               std::chrono::duration_cast<seconds>(silent).count()));
    }
    pollfd watched[] = {{descriptor, events, 0}, {errors.from.number(), POLLIN, 0}};
    ::poll(watched, 2, kLookAgainMs);
    const auto before = errors.text.size();
    drain(errors, options.max_error_bytes);
    if (errors.text.size() != before || watched[0].revents != 0) last_byte = clock.now();
    return {};
  }

  std::unexpected<Error> broken(Phrase operation, int cause) {
    kill();
    return failed_call(std::move(operation), cause);
  }

  std::string name;
  PipedOptions options;
  const Clock& clock;
  TimePoint last_byte;
  int pid = 0;
  Descriptor input, ended;
  Stream output, errors;
};

PipedChild::PipedChild(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PipedChild::PipedChild(PipedChild&&) noexcept = default;
PipedChild::~PipedChild() = default;

Result<PipedChild> PipedChild::start(const Command& command, PipedOptions options, const Clock& clock) {
  auto impl = std::make_unique<Impl>(command.argv.empty() ? std::string("program") : command.argv[0], std::move(options), clock);
  Descriptor child_input, child_output, child_errors;
  if (impl->options.input) {
    if (auto made = impl->make_input(child_input); !made) return pass(made);
  }
  if (impl->options.output) {
    if (auto made = make_stream(impl->output, child_output, impl->name); !made) return pass(made);
    ::fcntl(impl->output.from.number(), F_SETPIPE_SZ, kPipeBytes);  // refused: it stays as it was
  } else {
    child_output = Descriptor(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!child_output) return failed_call(phrase("open {}", "/dev/null"), errno);
  }
  if (auto made = make_stream(impl->errors, child_errors, impl->name); !made) return pass(made);
  auto pid = spawn(command, ChildGroup::kProcessGroup,
                   {impl->options.input ? child_input.number() : -1, child_output.number(), child_errors.number()});
  if (!pid) return pass(pid);
  impl->pid = *pid;
  impl->ended = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  return PipedChild(std::move(impl));
}

Result<std::size_t> PipedChild::read(std::span<char> into) {
  auto& child = *impl_;
  while (child.output.from) {
    const ssize_t got = uninterrupted([&] { return ::read(child.output.from.number(), into.data(), into.size()); });
    if (got > 0) {
      child.last_byte = child.clock.now();
      if (child.options.cancelled && child.options.cancelled()) break;
      return static_cast<std::size_t>(got);
    }
    if (got == 0) {
      child.output.from.close();
      break;
    }
    if (errno != EAGAIN) return child.broken(phrase("read what {} writes", child.name), errno);
    if (auto waited = child.await(child.output.from.number(), POLLIN); !waited) return pass(waited);
  }
  if (child.output.from) {
    child.kill();
    return fail(ErrorCode::kCancelled, phrase("run {}: cancelled", child.name));
  }
  return 0;
}

Result<bool> PipedChild::write(std::string_view bytes) {
  auto& child = *impl_;
  while (!bytes.empty()) {
    if (!child.input) return false;
    const ssize_t sent = uninterrupted(
        [&] { return ::send(child.input.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT); });
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      child.last_byte = child.clock.now();
      continue;
    }
    if (errno == EPIPE || errno == ECONNRESET) {
      child.input.close();
      return false;
    }
    if (errno != EAGAIN) return child.broken(phrase("write to {}", child.name), errno);
    if (auto waited = child.await(child.input.number(), POLLOUT); !waited) return pass(waited);
  }
  return true;
}

void PipedChild::close_input() { impl_->input.close(); }

Result<Outcome> PipedChild::wait() {
  auto& child = *impl_;
  child.input.close();
  while (true) {
    int status = 0;
    const pid_t reaped = uninterrupted([&] { return ::waitpid(child.pid, &status, WNOHANG); });
    const int cause = errno;
    drain(child.output, child.output.text.size());  // keeps nothing
    drain(child.errors, child.options.max_error_bytes);
    if (reaped != 0) child.pid = 0;
    if (reaped > 0) return Outcome{exit_code_of(status), {}, std::move(child.errors.text)};
    if (reaped < 0) return failed_call(phrase("wait for {}", child.name), cause);
    if (auto waited = child.await(child.ended.number(), POLLIN); !waited) return pass(waited);
  }
}

Result<SecretFile> SecretFile::make(std::string_view text) {
  Descriptor file(::memfd_create("secret", MFD_CLOEXEC));
  if (!file) return failed_call(phrase("make a file for a secret"), errno);
  // libpq refuses a password file that others may read.
  if (::fchmod(file.number(), 0600) != 0) return failed_call(phrase("make a file for a secret"), errno);
  while (!text.empty()) {
    const ssize_t written = uninterrupted([&] { return ::write(file.number(), text.data(), text.size()); });
    if (written < 0) return failed_call(phrase("write a secret"), errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return SecretFile(file.release());
}

SecretFile::~SecretFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::string SecretFile::path() const { return fmt::format("/proc/{}/fd/{}", ::getpid(), descriptor_); }

}  // namespace verbund::os
