#pragma once
/// Bytes on their way into a backup set or out of one. One thread each.
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verbund::backup {

/// Takes bytes until it is finished. What is not finished does not count: its destructor removes what it has written.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Errors: kDiskFull, kIo, kMediumGone; after one the sink is of no more use.
  virtual Status write(std::string_view bytes) = 0;
  /// On disk (fsync) before it returns.
  virtual Status finish() = 0;
};

/// Gives bytes until its end.
class Source {
 public:
  virtual ~Source() = default;
  /// How many bytes of `into` were filled; 0: the end. Errors: kIo, kDamaged (what was read is not what was written).
  virtual Result<std::size_t> read(std::span<char> into) = 0;
};

/// What a long task tells whoever looks on. Called from the task's thread, often: keep it short.
class Progress {
 public:
  virtual ~Progress() = default;
  /// `what` is an archive's or database's name; `total` in bytes, 0: not known.
  virtual void moved(std::string_view what, std::uint64_t done, std::uint64_t total) = 0;
  /// About how much `what` will be, from an earlier run: for a `moved` that knows no total.
  virtual void expected(std::string_view /*what*/, std::uint64_t /*total*/) {}
  /// Whether the task is to be given up (kCancelled); asked several times a second, from the task's threads.
  [[nodiscard]] virtual bool cancelled() const { return false; }
};

}  // namespace verbund::backup
