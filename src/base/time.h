#pragma once
/// Time as engines see it: handed in, never read. Two kinds that don't mix.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace verbund {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

/// Monotonic and counting while the machine sleeps (CLOCK_BOOTTIME): leases and deadlines are measured on it.
struct BootClock {
  using duration = nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
};
using TimePoint = BootClock::time_point;

/// What people and PostgreSQL call the time: UTC, microseconds since 1970.
using WallTime = std::chrono::sys_time<microseconds>;
/// "2026-11-22T03:04:05.123456Z"
std::string to_iso8601(WallTime time);
/// Exactly the form that to_iso8601 gives, of a day that exists; nothing else.
std::optional<WallTime> from_iso8601(std::string_view text);

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual TimePoint now() const = 0;
  [[nodiscard]] virtual WallTime wall() const = 0;
};

/// Until when a wait may last. Every wait takes one.
class Deadline {
 public:
  static Deadline at(TimePoint time) { return Deadline(time); }
  static Deadline in(const Clock& clock, nanoseconds span) { return Deadline(clock.now() + span); }
  [[nodiscard]] TimePoint time() const { return time_; }
  [[nodiscard]] bool passed(const Clock& clock) const { return clock.now() >= time_; }
  /// Zero when passed.
  [[nodiscard]] nanoseconds left(const Clock& clock) const {
    const auto now = clock.now();
    return now >= time_ ? nanoseconds{0} : time_ - now;
  }

 private:
  explicit Deadline(TimePoint time) : time_(time) {}
  TimePoint time_;
};

}  // namespace verbund
