#include "platform/os/clock.h"

#include <ctime>

#include <fmt/format.h>

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

std::chrono::local_seconds local_time(WallTime time) {
  const std::time_t instant = std::chrono::floor<seconds>(time).time_since_epoch().count();
  std::tm parts{};
  tzset();  // localtime_r need not look at TZ again
  if (localtime_r(&instant, &parts) == nullptr) return std::chrono::local_seconds{seconds{instant}};
  return std::chrono::local_seconds{seconds{instant + parts.tm_gmtoff}};
}

WallTime wall_time(std::chrono::local_seconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::tm parts{};
  parts.tm_year = static_cast<int>(date.year()) - 1900;
  parts.tm_mon = static_cast<int>(static_cast<unsigned>(date.month())) - 1;
  parts.tm_mday = static_cast<int>(static_cast<unsigned>(date.day()));
  parts.tm_hour = static_cast<int>(clock.hours().count());
  parts.tm_min = static_cast<int>(clock.minutes().count());
  parts.tm_sec = static_cast<int>(clock.seconds().count());
  parts.tm_isdst = -1;
  return WallTime(seconds{mktime(&parts)});
}

std::string local_text(WallTime time) {
  const auto shown = local_time(time);
  const auto day = std::chrono::floor<std::chrono::days>(shown);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(shown - day);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count());
}

}  // namespace verbund::os
