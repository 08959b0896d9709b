#pragma once
/// Who does what on which day, who steps in, and what needs a person now (C1, C4, C5, C10, T6, B6).
/// Pure engine: no I/O, no clock; any thread.
#include <optional>
#include <string>
#include <vector>

#include "backup/rotation/plan.h"

namespace verbund::backup {

struct Person {
  std::string name;
  std::string mail;                    ///< empty: can't be told by mail
};
/// Who is responsible, and who steps in without further ado.
struct Pair {
  Person responsible, deputy;
};
struct Absence {
  std::string person;
  Day first, last;
};
struct DutyRules {
  Pair every_day;
  std::vector<std::pair<std::pair<std::chrono::weekday, Task>, Pair>> by_weekday;  ///< the first that fits counts
  std::vector<std::pair<std::pair<Day, Task>, Pair>> by_day;                       ///< before by_weekday
  std::vector<Absence> absences;       ///< meanwhile the deputy counts as responsible
  std::vector<Person> administrators;
  std::chrono::hours tick_until{10};   ///< time of day by which the control is ticked off; then the deputy is told
  std::chrono::hours escalate_until{14};  ///< then all administrators
};
Pair on_duty(const DutyRules& rules, Day day, Task task);

/// What needs a person. The same trouble has the same `key` as long as it lasts, so that it is told once and ended once.
struct Trouble {
  enum class Kind {
    kMissed,          ///< no run in the night that was due
    kFailed, kIncomplete,
    kNoMedium,        ///< none for tonight, or the due one is out of the house
    kNotTicked,       ///< nobody has controlled
    kOffSiteOld,      ///< none, too few, too old
    kDrillOverdue,
    kMediumOverdue,   ///< taken away and not brought back when it is due
    kNotTakenAway,    ///< it should be out of the house
    kClock,           ///< the clock disagrees with the journal
    kLastGoodOld,     ///< the newest proven set is older than two working days
  };
  Kind kind = Kind::kMissed;
  std::string key;                     ///< "missed/2026-11-20"
  Phrase text;
  std::vector<Person> to;              ///< who is told now; grows as it escalates
};
std::string_view kind_name(Trouble::Kind kind);
/// All that is wrong at `now`, worst first. `since`: the installation's first day, before which nothing was due.
std::vector<Trouble> troubles(const PlanRules& plan, const DutyRules& duty, const Book& book, LocalTime since, LocalTime now);

}  // namespace verbund::backup
