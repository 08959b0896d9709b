// Public holidays of the sixteen German states, by their laws on Sundays and holidays as they stand in 2026. What a state added
// counts from the year in which it was added, so that the days of older entries keep their class.
#include <array>
#include <initializer_list>

#include "backup/rotation/calendar.h"

namespace verbund::backup {
namespace {

using std::chrono::days;
using std::chrono::year_month_day;
using enum GermanState;

constexpr unsigned bit(GermanState state) { return 1U << static_cast<unsigned>(state); }
constexpr unsigned states(std::initializer_list<GermanState> list) {
  unsigned mask = 0;
  for (const GermanState state : list) mask |= bit(state);
  return mask;
}
constexpr unsigned kAll = 0xFFFF;

struct Fixed {
  unsigned month, day;
  const char* name;
  unsigned where;
  int from = 0, until = 9999;  ///< years
};
constexpr std::array kFixed = {
    Fixed{1, 1, "Neujahr", kAll},
    Fixed{1, 6, "Heilige Drei Könige", states({kBW, kBY, kST})},
    Fixed{3, 8, "Internationaler Frauentag", states({kBE}), 2019},
    Fixed{3, 8, "Internationaler Frauentag", states({kMV}), 2023},
    Fixed{5, 1, "Tag der Arbeit", kAll},
    Fixed{5, 8, "Tag der Befreiung", states({kBE}), 2020, 2020},
    Fixed{5, 8, "Tag der Befreiung", states({kBE}), 2025, 2025},
    Fixed{6, 17, "Jahrestag des Volksaufstandes", states({kBE}), 2028, 2028},
    Fixed{8, 15, "Mariä Himmelfahrt", states({kSL})},
    Fixed{9, 20, "Weltkindertag", states({kTH}), 2019},
    Fixed{10, 3, "Tag der Deutschen Einheit", kAll},
    Fixed{10, 31, "Reformationstag", kAll, 2017, 2017},
    Fixed{10, 31, "Reformationstag", states({kBB, kMV, kSN, kST, kTH})},
    Fixed{10, 31, "Reformationstag", states({kHB, kHH, kNI, kSH}), 2018},
    Fixed{11, 1, "Allerheiligen", states({kBW, kBY, kNW, kRP, kSL})},
    Fixed{12, 25, "1. Weihnachtstag", kAll},
    Fixed{12, 26, "2. Weihnachtstag", kAll},
};

struct Moving {
  int after_easter;  ///< days
  const char* name;
  unsigned where;
};
constexpr std::array kMoving = {
    Moving{-2, "Karfreitag", kAll},
    Moving{0, "Ostersonntag", states({kBB})},
    Moving{1, "Ostermontag", kAll},
    Moving{39, "Christi Himmelfahrt", kAll},
    Moving{49, "Pfingstsonntag", states({kBB})},
    Moving{50, "Pfingstmontag", kAll},
    Moving{60, "Fronleichnam", states({kBW, kBY, kHE, kNW, kRP, kSL})},
};

bool applies(const CalendarRules& rules, unsigned where) { return where == kAll || (rules.state && (where & bit(*rules.state)) != 0); }

/// The Wednesday before 23 November: eleven days before the first Sunday of Advent.
Day repentance_day(std::chrono::year year) {
  const Day limit{year / std::chrono::November / 23};
  const auto back = std::chrono::weekday{limit} - std::chrono::Wednesday;
  return limit - (back == days{0} ? days{7} : back);
}

}  // namespace

std::optional<std::string> holiday(const CalendarRules& rules, Day day) {
  const year_month_day date{day};
  const int year = static_cast<int>(date.year());
  for (const Fixed& fixed : kFixed) {
    if (static_cast<unsigned>(date.month()) != fixed.month || static_cast<unsigned>(date.day()) != fixed.day) continue;
    if (year >= fixed.from && year <= fixed.until && applies(rules, fixed.where)) return fixed.name;
  }
  const auto after_easter = (day - easter_sunday(date.year())).count();
  for (const Moving& moving : kMoving) {
    if (after_easter == moving.after_easter && applies(rules, moving.where)) return moving.name;
  }
  if (after_easter == 60 && rules.corpus_christi && (rules.state == kSN || rules.state == kTH)) return "Fronleichnam";
  if (rules.assumption && rules.state == kBY && date.month() == std::chrono::August && date.day() == std::chrono::day{15}) return "Mariä Himmelfahrt";
  if (rules.state == kSN && day == repentance_day(date.year())) return "Buß- und Bettag";
  return std::nullopt;
}

}  // namespace verbund::backup
