#pragma once
/// Which days people come to the office. Pure: no clock, no time zone (the caller turns instants into the office's local time).
/// Any thread.
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace verbund::backup {

/// A day, and a time of day, as the office's wall clock shows it.
using Day = std::chrono::local_days;
using LocalTime = std::chrono::local_seconds;

/// "2026-11-22", of the years 1970 to 9999. Errors: kUsage.
Result<Day> parse_day(std::string_view text);
std::string day_text(Day day);
/// "2026-11-22T01:30:00". Errors: kUsage.
Result<LocalTime> parse_local_time(std::string_view text);
std::string local_time_text(LocalTime time);
/// Sunday of Easter in the Gregorian calendar (source in calendar.cc).
Day easter_sunday(std::chrono::year year);

/// The German states, as ISO 3166-2:DE names them.
enum class GermanState { kBB, kBE, kBW, kBY, kHB, kHE, kHH, kMV, kNI, kNW, kRP, kSH, kSL, kSN, kST, kTH };
/// "BY". Errors: kUsage, which names all sixteen.
Result<GermanState> parse_state(std::string_view text);
std::string_view state_name(GermanState state);

struct ClosingDays {
  Day first, last;     ///< both are closed
  std::string name;    ///< "Betriebsferien"
};

struct CalendarRules {
  std::optional<GermanState> state = std::nullopt;  ///< absent: the nine holidays of the whole federation
  bool assumption = false;              ///< BY: Mariä Himmelfahrt is kept (communities with a Catholic majority)
  bool corpus_christi = false;          ///< SN, TH: Fronleichnam is kept here
  bool christmas_eve = true;            ///< 24 and 31 December are closed
  std::vector<std::chrono::weekday> open = {std::chrono::Monday, std::chrono::Tuesday, std::chrono::Wednesday, std::chrono::Thursday, std::chrono::Friday};
  std::vector<ClosingDays> closed = {};
};

/// The public holiday that `day` is by these rules: its German name. Sources in holidays.cc.
std::optional<std::string> holiday(const CalendarRules& rules, Day day);

class Calendar {
 public:
  explicit Calendar(CalendarRules rules) : rules_(std::move(rules)) {}
  [[nodiscard]] bool working_day(Day day) const;
  /// Its German name ("Karfreitag", "Betriebsferien"); nullopt: none (a weekend has no name).
  [[nodiscard]] std::optional<std::string> why_closed(Day day) const;
  /// The first working day at or after `day`. The rules leave one within a year, or `day` itself is given back.
  [[nodiscard]] Day working_day_from(Day day) const;
  /// The last one before `day`; within a year, or the day before.
  [[nodiscard]] Day working_day_before(Day day) const;
  /// Whether it is the last working day of its week (Monday to Sunday), month, quarter, year.
  [[nodiscard]] bool last_of_week(Day day) const;
  [[nodiscard]] bool last_of_month(Day day) const;
  [[nodiscard]] bool last_of_quarter(Day day) const;
  [[nodiscard]] bool last_of_year(Day day) const;

 private:
  /// No working day between `day` and `end`, and `day` is one.
  [[nodiscard]] bool last_before(Day day, Day end) const;

  CalendarRules rules_;
};

}  // namespace verbund::backup
