#pragma once
/// A clock that a test advances by hand. Any thread.
#include <atomic>

#include "base/time.h"

namespace verbund::testing {

class SimClock final : public Clock {
 public:
  /// Not zero, so that "earlier than the start" has a value; wall time is 2026-11-22 03:00 UTC.
  static constexpr TimePoint kStart{std::chrono::hours{1000}};
  static constexpr WallTime kWallStart{seconds{1'795'316'400}};

  [[nodiscard]] TimePoint now() const override { return kStart + nanoseconds{elapsed_.load()}; }
  [[nodiscard]] WallTime wall() const override {
    return kWallStart + std::chrono::duration_cast<microseconds>(nanoseconds{elapsed_.load()}) +
           microseconds{wall_shift_.load()};
  }

  void advance(nanoseconds span) { elapsed_ += span.count(); }
  /// Somebody sets the wall clock: now() does not move.
  void jump_wall(microseconds span) { wall_shift_ += span.count(); }

 private:
  std::atomic<std::int64_t> elapsed_{0};
  std::atomic<std::int64_t> wall_shift_{0};
};

}  // namespace verbund::testing
