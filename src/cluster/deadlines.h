#pragma once
/// Ordered deadlines: looks only at what is due. Pure, one thread.
#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "base/time.h"

namespace verbund::cluster {

/// Each number has at most one deadline; the caller keeps it to disarm.
class Deadlines {
 public:
  void arm(TimePoint when, std::uint64_t number) { order_.emplace(when, number); }
  void disarm(TimePoint when, std::uint64_t number) { order_.erase({when, number}); }
  /// Takes out the earliest number that is due at `now`.
  std::optional<std::uint64_t> take_due(TimePoint now) {
    if (order_.empty() || order_.begin()->first > now) return std::nullopt;
    const auto number = order_.begin()->second;
    order_.erase(order_.begin());
    return number;
  }
  [[nodiscard]] std::size_t size() const { return order_.size(); }

 private:
  std::set<std::pair<TimePoint, std::uint64_t>> order_;
};

/// Time that stands still while the loop did: a gap far above the tick between two events was our own stall (or the
/// machine slept), so all leases are extended by it before any may expire (etcd #15247).
class StallClock {
 public:
  explicit StallClock(milliseconds tolerated) : tolerated_(tolerated) {}
  /// The engine's time at `now`.
  TimePoint observe(TimePoint now) {
    if (last_ && now > *last_ + tolerated_) stalled_ += now - *last_ - tolerated_;
    if (!last_ || now > *last_) last_ = now;
    return *last_ - stalled_;
  }
  [[nodiscard]] nanoseconds stalled() const { return stalled_; }

 private:
  milliseconds tolerated_;
  std::optional<TimePoint> last_;
  nanoseconds stalled_{0};
};

}  // namespace verbund::cluster
