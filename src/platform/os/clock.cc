#include "platform/os/clock.h"

#include <ctime>

namespace verbund::os {

TimePoint SystemClock::now() const {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return TimePoint(seconds{time.tv_sec} + nanoseconds{time.tv_nsec});
}

WallTime SystemClock::wall() const {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return WallTime(seconds{time.tv_sec} + std::chrono::floor<microseconds>(nanoseconds{time.tv_nsec}));
}

}  // namespace verbund::os
