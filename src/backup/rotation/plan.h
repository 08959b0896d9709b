#pragma once
/// Which medium a night wants, what a medium may be used for, and what is due soon (C6).
/// Pure engine: no I/O, no clock; any thread. Time is the office's wall clock, handed in.
#include <optional>
#include <string>
#include <vector>

#include "backup/rotation/book.h"
#include "backup/rotation/calendar.h"
#include "base/messages.h"

namespace verbund::backup {

/// How many media there are of a class, and how long what is on one is kept before it may be written anew.
struct ClassRule {
  int media = 0;                       ///< 0: the class is not used, its days are those of the class below
  std::chrono::days keep{0};
};

/// Defaults: a two-week scheme (DESIGN, C6). A day belongs to the highest class that applies to it.
struct PlanRules {
  ClassRule daily{5, std::chrono::days{6}};            ///< a different one each working day
  ClassRule friday{2, std::chrono::days{13}};          ///< the last working day of a week; a two-week scheme
  ClassRule month_end{24, std::chrono::days{731}};     ///< the last working day of a month: two years
  ClassRule quarter_end{8, std::chrono::days{731}};
  ClassRule year{0, std::chrono::days{3653}};
  CalendarRules calendar;
  std::chrono::minutes night_at{90};                   ///< 01:30: the run's time of day
  std::chrono::days off_site_oldest{7};                ///< a verified set outside the house that is older is an alarm
  int off_site_least = 1;
  std::chrono::days drill_every{183};
  int floor = 2;                                       ///< complete, proven sets that are never written over, over all media
};

/// The working day whose data a run at `now` holds (a run after midnight belongs to the day before), and when its report is looked at.
struct Night {
  Day of;                              ///< the last working day at or before
  Day controlled_on;                   ///< the working day after: who is on duty then controls it
  MediumClass medium_class = MediumClass::kDaily;
  bool office_closed = false;          ///< nobody has come since the night before: the medium of then is still in
};
Night night_of(const PlanRules& rules, LocalTime now);

/// The medium that a night wants: of its class, in the house or to be brought, the one that has rested longest among those whose
/// retention has passed; or the one in which this night has been written already.
struct Due {
  Night night;
  std::optional<std::string> medium;   ///< its id; nullopt: there is none, `problem` says why
  Phrase problem;
  std::optional<Day> retained_until;   ///< what is written there tonight is kept until then
};
Due due_on(const PlanRules& rules, const Book& book, LocalTime now);

/// What stands in the drive.
struct Presented {
  std::string id;                      ///< of its label; empty: it has none
  std::string label;
  bool mounted = true;
  bool another_installation = false;
};

/// Whether a run may write to it. A refusal is an Error: kMediumGone (nothing is mounted), kWrongMedium (with the name of the right
/// one in the hint), of which kinds: no label, foreign, retired, class, not expired (until when), already lost.
Status may_write(const PlanRules& rules, const Book& book, const Presented& presented, LocalTime now);

/// Until when what a medium holds may not be overwritten; nullopt: it holds nothing that counts (empty, or only failed runs).
/// Sets that are the only good ones (PlanRules::floor) are kept whatever the date; a clock that stands before the newest entry keeps all.
std::optional<Day> kept_until(const PlanRules& rules, const Book& book, const std::string& medium, LocalTime now);

/// The sets on a medium that go when it is written tonight; never one that `floor` needs.
std::vector<std::string> removable(const PlanRules& rules, const Book& book, const std::string& medium, LocalTime now);

/// `backup schedule`: the next nights with their media, as if each went well.
struct PlannedNight {
  LocalTime at;
  Due due;
};
std::vector<PlannedNight> schedule(const PlanRules& rules, const Book& book, LocalTime now, int nights);

/// When the next run is due: the night after the last run's; at once when one was slept through. Never in the past of `now`, and a
/// clock that was set back does not run a night twice, nor stop the runs for ever.
LocalTime next_run(const PlanRules& rules, const Book& book, LocalTime now);

}  // namespace verbund::backup
