#include "importer/partial_time.h"

#include <fmt/format.h>

namespace verbund::importer {
namespace {

std::optional<int> digits(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return {};
    value = value * 10 + (c - '0');
  }
  return value;
}

/// Takes `count` digits from the front.
std::optional<int> take_digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return {};
  auto value = digits(text.substr(0, count));
  if (value) text.remove_prefix(count);
  return value;
}

bool take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<PartialDate> take_date(std::string_view& text) {
  const auto year = take_digits(text, 4);
  if (!year || *year == 0) return {};
  int month = 1;
  int day = 1;
  Precision precision = Precision::kYear;
  if (take(text, '-')) {
    const auto found = take_digits(text, 2);
    if (!found) return {};
    month = *found;
    precision = Precision::kMonth;
    if (take(text, '-')) {
      const auto found_day = take_digits(text, 2);
      if (!found_day) return {};
      day = *found_day;
      precision = Precision::kDay;
    }
  }
  const std::chrono::year_month_day date{std::chrono::year{*year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return {};
  return PartialDate{std::chrono::sys_days{date}, precision};
}

/// Up to microseconds; further digits are cut, PostgreSQL has no place for them.
std::optional<microseconds> take_fraction(std::string_view& text) {
  if (!take(text, '.')) return microseconds{0};
  std::int64_t value = 0;
  int taken = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    if (taken < 6) value = value * 10 + (text.front() - '0');
    ++taken;
    text.remove_prefix(1);
  }
  if (taken == 0) return {};
  for (; taken < 6; ++taken) value *= 10;
  return microseconds{value};
}

std::optional<microseconds> take_time_of_day(std::string_view& text) {
  const auto hour = take_digits(text, 2);
  if (!hour || !take(text, ':')) return {};
  const auto minute = take_digits(text, 2);
  if (!minute || *hour > 23 || *minute > 59) return {};
  microseconds time = std::chrono::hours{*hour} + std::chrono::minutes{*minute};
  if (!take(text, ':')) return time;
  const auto second = take_digits(text, 2);
  if (!second || *second > 60) return {};  // 60: a leap second; PostgreSQL too counts it into the next minute
  const auto fraction = take_fraction(text);
  if (!fraction) return {};
  return time + seconds{*second} + *fraction;
}

std::optional<microseconds> take_zone(std::string_view& text) {
  if (take(text, 'Z')) return microseconds{0};
  const bool west = !text.empty() && text.front() == '-';
  if (!west && (text.empty() || text.front() != '+')) return {};
  text.remove_prefix(1);
  const auto hour = take_digits(text, 2);
  if (!hour || !take(text, ':')) return {};
  const auto minute = take_digits(text, 2);
  if (!minute || *hour > 14 || *minute > 59) return {};
  const microseconds offset = std::chrono::hours{*hour} + std::chrono::minutes{*minute};
  return west ? -offset : offset;
}

}  // namespace

std::string_view name_of(Precision precision) {
  constexpr std::array<std::string_view, 4> kNames{"year", "month", "day", "time"};
  return kNames.at(static_cast<std::size_t>(precision));
}

std::string PartialDate::to_sql() const {
  const std::chrono::year_month_day date{day};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

std::string PartialTime::to_sql() const {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::hh_mm_ss clock{time - day};
  // A zone can carry the first instant of year 1 before year 1, which needs "BC" in PostgreSQL's notation.
  const std::chrono::year_month_day date{day};
  const int year = static_cast<int>(date.year());
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00{}", year > 0 ? year : 1 - year,
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count(), year > 0 ? "" : " BC");
}

std::optional<PartialDate> parse_partial_date(std::string_view text) {
  auto date = take_date(text);
  if (!text.empty()) return {};
  return date;
}

std::optional<PartialTime> parse_partial_time(std::string_view text) {
  const auto date = take_date(text);
  if (!date) return {};
  if (text.empty()) return PartialTime{WallTime{date->day}, date->precision};
  if (date->precision != Precision::kDay || !take(text, 'T')) return {};
  const auto clock = take_time_of_day(text);
  if (!clock) return {};
  const auto zone = take_zone(text);
  if (!zone || !text.empty()) return {};
  return PartialTime{WallTime{date->day} + *clock - *zone, Precision::kTime};
}

}  // namespace verbund::importer
