#include "backup/rotation/calendar.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/messages.h"

namespace verbund::backup {
namespace {

using std::chrono::days;
using std::chrono::month;
using std::chrono::year;
using std::chrono::year_month_day;

constexpr days kLongestClosure{366};

struct StateName {
  GermanState state;
  std::string_view name;
};
constexpr std::array kStates = {
    StateName{GermanState::kBB, "BB"}, StateName{GermanState::kBE, "BE"}, StateName{GermanState::kBW, "BW"}, StateName{GermanState::kBY, "BY"},
    StateName{GermanState::kHB, "HB"}, StateName{GermanState::kHE, "HE"}, StateName{GermanState::kHH, "HH"}, StateName{GermanState::kMV, "MV"},
    StateName{GermanState::kNI, "NI"}, StateName{GermanState::kNW, "NW"}, StateName{GermanState::kRP, "RP"}, StateName{GermanState::kSH, "SH"},
    StateName{GermanState::kSL, "SL"}, StateName{GermanState::kSN, "SN"}, StateName{GermanState::kST, "ST"}, StateName{GermanState::kTH, "TH"}};

/// The number that exactly these digits are.
std::optional<int> digits(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

Day first_after_months(Day day, unsigned months_per_part) {
  const year_month_day date{day};
  const unsigned part = (static_cast<unsigned>(date.month()) - 1) / months_per_part;
  const unsigned next = (part + 1) * months_per_part;  // months since January
  return Day{(date.year() + std::chrono::years{next / 12}) / month{next % 12 + 1} / 1};
}

}  // namespace

Result<Day> parse_day(std::string_view text) {
  const auto refused = [&] { return fail(ErrorCode::kUsage, phrase("'{}' is no date", text), phrase("For example 2026-11-22")); };
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return refused();
  const auto y = digits(text.substr(0, 4)), m = digits(text.substr(5, 2)), d = digits(text.substr(8, 2));
  if (!y || !m || !d || *y < 1970) return refused();
  const year_month_day date{year{*y}, month{static_cast<unsigned>(*m)}, std::chrono::day{static_cast<unsigned>(*d)}};
  if (!date.ok()) return refused();
  return Day{date};
}

std::string day_text(Day day) {
  const year_month_day date{day};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

Result<LocalTime> parse_local_time(std::string_view text) {
  const auto refused = [&] { return fail(ErrorCode::kUsage, phrase("'{}' is no time", text), phrase("For example 2026-11-22T01:30:00")); };
  if (text.size() != 19 || text[10] != 'T' || text[13] != ':' || text[16] != ':') return refused();
  const auto day = parse_day(text.substr(0, 10));
  const auto h = digits(text.substr(11, 2)), m = digits(text.substr(14, 2)), s = digits(text.substr(17, 2));
  if (!day || !h || !m || !s || *h > 23 || *m > 59 || *s > 59) return refused();
  return *day + std::chrono::hours{*h} + std::chrono::minutes{*m} + std::chrono::seconds{*s};
}

std::string local_time_text(LocalTime time) {
  const auto day = std::chrono::floor<days>(time);
  const auto second = (time - day).count();
  return fmt::format("{}T{:02}:{:02}:{:02}", day_text(day), second / 3600, second / 60 % 60, second % 60);
}

/// The "anonymous Gregorian algorithm" of 1876, as in J. Meeus, Astronomical Algorithms (1991), chapter 8.
Day easter_sunday(year of) {
  const int y = static_cast<int>(of);
  const int a = y % 19, b = y / 100, c = y % 100, d = b / 4, e = b % 4;
  const int f = (b + 8) / 25, g = (b - f + 1) / 3, h = (19 * a + b - d - g + 15) % 30;
  const int i = c / 4, k = c % 4, l = (32 + 2 * e + 2 * i - h - k) % 7, m = (a + 11 * h + 22 * l) / 451;
  const int sum = h + l - 7 * m + 114;
  return Day{of / month{static_cast<unsigned>(sum / 31)} / std::chrono::day{static_cast<unsigned>(sum % 31 + 1)}};
}

Result<GermanState> parse_state(std::string_view text) {
  const auto found = std::ranges::find(kStates, text, &StateName::name);
  if (found != kStates.end()) return found->state;
  return fail(ErrorCode::kUsage, phrase("'{}' is no German state", text),
              phrase("One of {}.", "BB, BE, BW, BY, HB, HE, HH, MV, NI, NW, RP, SH, SL, SN, ST, TH"));
}

std::string_view state_name(GermanState state) { return std::ranges::find(kStates, state, &StateName::state)->name; }

bool Calendar::working_day(Day day) const {
  return std::ranges::find(rules_.open, std::chrono::weekday{day}) != rules_.open.end() && !why_closed(day);
}

std::optional<std::string> Calendar::why_closed(Day day) const {
  if (auto name = holiday(rules_, day)) return name;
  for (const auto& closing : rules_.closed) {
    if (closing.first <= day && day <= closing.last) return closing.name;
  }
  if (!rules_.christmas_eve) return std::nullopt;
  const year_month_day date{day};
  if (date.month() != std::chrono::December) return std::nullopt;
  if (date.day() == std::chrono::day{24}) return "Heiligabend";
  if (date.day() == std::chrono::day{31}) return "Silvester";
  return std::nullopt;
}

Day Calendar::working_day_from(Day day) const {
  for (Day at = day; at - day <= kLongestClosure; at += days{1}) {
    if (working_day(at)) return at;
  }
  return day;
}

Day Calendar::working_day_before(Day day) const {
  for (Day at = day - days{1}; day - at <= kLongestClosure; at -= days{1}) {
    if (working_day(at)) return at;
  }
  return day - days{1};
}

bool Calendar::last_before(Day day, Day end) const {
  if (!working_day(day)) return false;
  for (Day at = day + days{1}; at < end; at += days{1}) {
    if (working_day(at)) return false;
  }
  return true;
}

bool Calendar::last_of_week(Day day) const {
  const auto from_monday = std::chrono::weekday{day} - std::chrono::Monday;
  return last_before(day, day - from_monday + days{7});
}

bool Calendar::last_of_month(Day day) const { return last_before(day, first_after_months(day, 1)); }
bool Calendar::last_of_quarter(Day day) const { return last_before(day, first_after_months(day, 3)); }
bool Calendar::last_of_year(Day day) const { return last_before(day, first_after_months(day, 12)); }

}  // namespace verbund::backup
