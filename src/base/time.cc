#include "base/time.h"

#include <ctime>

#include <fmt/chrono.h>

namespace verbund {

std::string to_iso8601(WallTime time) {
  const auto whole = std::chrono::floor<seconds>(time);
  // Not by system_clock::to_time_t: that counts nanoseconds on the way, which reach from 1677 to 2262 only.
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(static_cast<std::time_t>(whole.time_since_epoch().count())),
                     (time - whole).count());
}

std::optional<WallTime> from_iso8601(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00.000000Z";
  if (text.size() != kForm.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == '0' ? !digit : text[i] != kForm[i]) return std::nullopt;
  }
  const auto number = [&](std::size_t at, std::size_t digits) {
    unsigned value = 0;
    for (const char c : text.substr(at, digits)) value = value * 10 + static_cast<unsigned>(c - '0');
    return value;
  };
  const std::chrono::year_month_day day{std::chrono::year(static_cast<int>(number(0, 4))), std::chrono::month(number(5, 2)),
                                        std::chrono::day(number(8, 2))};
  const unsigned hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (!day.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  return WallTime(std::chrono::sys_days(day)) + std::chrono::hours(hour) + std::chrono::minutes(minute) + seconds(second) +
         microseconds(number(20, 6));
}

}  // namespace verbund
