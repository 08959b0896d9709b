#pragma once
/// The machine's clocks, and the time zone of the place (GCC 12 has no time-zone database; the C library reads /etc/localtime or TZ).
/// Any thread.
#include <string>

#include "base/time.h"

namespace verbund::os {

/// CLOCK_BOOTTIME and CLOCK_REALTIME.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override;
  [[nodiscard]] WallTime wall() const override;
};

/// What the wall clock of the place shows; fractions of a second are cut.
std::chrono::local_seconds local_time(WallTime time);
/// The instant at which the wall clock shows `time`; of the hour that comes twice in autumn, and of the one that is left out in
/// spring, what mktime makes of it.
WallTime wall_time(std::chrono::local_seconds time);
/// "2026-11-22 03:04".
std::string local_text(WallTime time);

}  // namespace verbund::os
