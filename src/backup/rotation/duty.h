#pragma once
/// Who does what on which day, who steps in, and what needs a person now (C1, C4, C5, C10, T6, B6).
/// Pure engine: no I/O, no clock; any thread.
#include <optional>
#include <string>
#include <vector>

#include "backup/rotation/plan.h"

namespace verbund::backup {

/// Who is responsible, and who steps in without further ado.
struct Pair {
  Person responsible, deputy;          ///< name empty: there is none
};
struct Absence {
  std::string person;
  Day first, last;
};
/// What was given out, latest last; `day` counts before `weekday`, that before neither; one for the task before one for all tasks.
struct Given {
  std::optional<Task> task;
  std::optional<std::chrono::weekday> weekday;
  std::optional<Day> day;
  Pair pair;
};
struct DutyRules {
  std::vector<Given> given;
  std::vector<Absence> absences;       ///< meanwhile the deputy counts as responsible
  std::vector<Person> administrators;
  std::chrono::hours tick_until{10};   ///< time of day by which the control is ticked off; then the deputy is told
  std::chrono::hours escalate_until{14};  ///< then all administrators
};
/// The configured rules, and over them what has been entered by command (fact::DutyGiven, fact::AbsenceNoted).
DutyRules duty_now(DutyRules configured, const Book& book);

/// Who does it that day. Who is absent is left out: the deputy then counts as responsible and has no deputy.
Pair on_duty(const DutyRules& rules, Day day, Task task);

/// What needs a person. The same trouble has the same `key` as long as it lasts, so that it is told once and ended once.
struct Trouble {
  enum class Kind {
    kMissed,          ///< no run in the night that was due
    kFailed, kIncomplete,
    kLastGoodOld,     ///< the newest proven set is older than two working days
    kDamaged,         ///< a set was found damaged on its medium
    kNoMedium,        ///< none for tonight, or one of a lower class
    kClock,           ///< the clock disagrees with the journal
    kOffSiteOld,      ///< none, too few, too old
    kMediumOverdue,   ///< tonight's is out of the house and has not been brought
    kNotTicked,       ///< nobody has controlled
    kDrillOverdue,
    kNotTakenAway,    ///< it should be out of the house
  };
  Kind kind = Kind::kMissed;
  std::string key;                     ///< "missed/2026-11-20"
  Phrase text;
  std::vector<Person> to;              ///< who is told now; grows as it escalates: responsible, deputy, all administrators
};
/// "missed", "not-ticked"
std::string_view kind_name(Trouble::Kind kind);

/// All that is wrong at `now`, worst first. `since`: the installation's first day, before which nothing was due.
/// The responsible person is told at once. On the first working day the deputy is told at tick_until and the administrators at
/// escalate_until, unless the control has been ticked off that day; on the next one they are told in any case. Where nobody is named or
/// all are absent, the next in line is told.
std::vector<Trouble> troubles(const PlanRules& plan, const DutyRules& duty, const Book& book, LocalTime since, LocalTime now);

}  // namespace verbund::backup
