#pragma once
/// An owned file descriptor and the wording of failed system calls. For units that call the system themselves; any thread.
#include <cerrno>
#include <string_view>
#include <utility>

#include <unistd.h>

#include "base/result.h"

namespace verbund::os {

/// Closes on destruction; -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      close();
      number_ = other.release();
    }
    return *this;
  }
  ~Descriptor() { close(); }

  [[nodiscard]] int number() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  int release() { return std::exchange(number_, -1); }
  void close() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  int number_;
};

/// Repeats a system call that a signal interrupted.
template <typename Call>
auto uninterrupted(Call call) {
  while (true) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

/// "operation: cause" with ENOSPC and EDQUOT as kDiskFull, everything else as kIo.
std::unexpected<Error> failed_call(Phrase operation, int error_number);

}  // namespace verbund::os
