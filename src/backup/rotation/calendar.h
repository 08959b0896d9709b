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

/// "2026-11-22". Errors: kUsage.
Result<Day> parse_day(std::string_view text);
std::string day_text(Day day);
/// Sunday of Easter in the Gregorian calendar (source in calendar.cc).
Day easter_sunday(std::chrono::year year);

/// The German states, as ISO 3166-2:DE names them.
enum class GermanState { kBB, kBE, kBW, kBY, kHB, kHE, kHH, kMV, kNI, kNW, kRP, kSH, kSL, kSN, kST, kTH };
/// "BY". Errors: kUsage, which names all sixteen.
Result<GermanState> parse_state(std::string_view text);

struct ClosingDays {
  Day first, last;     ///< both are closed
  std::string name;    ///< "Betriebsferien"
};

struct CalendarRules {
  std::optional<GermanState> state;     ///< absent: the nine holidays of the whole federation
  bool assumption = false;              ///< BY: Mariä Himmelfahrt is kept (communities with a Catholic majority)
  bool corpus_christi = false;          ///< SN, TH: Fronleichnam is kept here
  bool christmas_eve = true;            ///< 24 and 31 December are closed
  std::vector<std::chrono::weekday> open = {std::chrono::Monday, std::chrono::Tuesday, std::chrono::Wednesday, std::chrono::Thursday, std::chrono::Friday};
  std::vector<ClosingDays> closed;
};

class Calendar {
 public:
  explicit Calendar(CalendarRules rules) : rules_(std::move(rules)) {}
  [[nodiscard]] bool working_day(Day day) const;
  /// Its German name ("Karfreitag", "Betriebsferien"); nullopt: none (a weekend has no name).
  [[nodiscard]] std::optional<std::string> why_closed(Day day) const;
  /// The first working day at or after `day`. The rules leave one within a year, or `day` itself is given back.
  [[nodiscard]] Day working_day_from(Day day) const;
  [[nodiscard]] Day working_day_before(Day day) const;
  /// The last working day of its month; of its quarter.
  [[nodiscard]] bool last_of_month(Day day) const;
  [[nodiscard]] bool last_of_quarter(Day day) const;
  [[nodiscard]] bool last_of_year(Day day) const;

 private:
  CalendarRules rules_;
};

}  // namespace verbund::backup
