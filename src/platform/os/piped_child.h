#pragma once
/// A child process whose standard input or output is a stream of any length (pg_dump, pg_restore, tar).
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "platform/os/process.h"

namespace verbund::os {

struct PipedOptions {
  bool input = false;   ///< `write` feeds its standard input; else it is Command::stdin_text
  bool output = false;  ///< `read` gives its standard output; else that goes nowhere
  std::size_t max_error_bytes = 64 * 1024;  ///< of standard error; more is read and dropped
  nanoseconds longest_silence{0};           ///< without a byte on any stream: killed (kTimedOut); 0: as long as it takes
  std::function<bool()> cancelled = {};     ///< asked ten times a second in every wait; true: killed (kCancelled)
};

/// Threads: one, which is the one that started it: the child dies with that thread. Its standard error is collected by all calls.
/// After an error of `read`, `write` or `wait` the child has been killed and is gone.
class PipedChild {
 public:
  /// As `run` starts it: no shell, no descriptor but 0 to 2, a process group of its own. Errors: kNotFound, kIo.
  static Result<PipedChild> start(const Command& command, PipedOptions options, const Clock& clock);
  PipedChild(PipedChild&&) noexcept;
  ~PipedChild();  ///< kills it with its group when it still runs

  /// How many bytes of `into` were filled, at least one; 0: its standard output has ended. Errors: kTimedOut, kCancelled, kIo.
  Result<std::size_t> read(std::span<char> into);
  /// Returns when the child has been given all of it; false: it reads no more (`wait` says why). Errors as `read`.
  Result<bool> write(std::string_view bytes);
  void close_input();
  /// Until it has ended; its input is closed, what it still says on standard output dropped. Errors as `read`.
  Result<Outcome> wait();

 private:
  struct Impl;
  explicit PipedChild(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A text as a file that only this user can read and that lies in memory: nothing stays on a disk, whatever dies. For children
/// that take a secret from a file. Gone with this object.
class SecretFile {
 public:
  static Result<SecretFile> make(std::string_view text);
  SecretFile(SecretFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  SecretFile& operator=(SecretFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~SecretFile();
  [[nodiscard]] std::string path() const;  ///< for children while this process runs

 private:
  explicit SecretFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace verbund::os
