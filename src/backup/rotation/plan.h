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
  ClassRule friday{2, std::chrono::days{11}};          ///< the last working day of a week; Christmas can shorten two weeks by three days
  ClassRule month_end{17, std::chrono::days{731}};     ///< the last working day of a month: eight a year are no quarter's, two years, and one
  ClassRule quarter_end{9, std::chrono::days{731}};    ///< four a year, two years, and one
  ClassRule year{0, std::chrono::days{3653}};
  CalendarRules calendar;
  std::chrono::minutes night_at{90};                   ///< 01:30: the run's time of day, every day, also when the office is closed
  std::chrono::hours missed_after{5};                  ///< a run that has not ended this long after is MISSED
  std::chrono::days off_site_oldest{7};                ///< a verified set outside the house that is older is an alarm
  int off_site_least = 1;
  bool take_away = true;                               ///< media leave the house after their night (C5); false: the off-site copies are enough
  std::chrono::days drill_every{183};
  int floor = 2;                                       ///< so many media with the newest good sets are never written over
};
const ClassRule& rule_of(const PlanRules& rules, MediumClass medium_class);

/// "daily medium", to be said in the reader's language.
Phrase class_phrase(MediumClass medium_class);

/// The day that an instant belongs to: what happens before noon counts to the day before.
Day office_day(LocalTime at);

/// The working day whose data a run at `at` holds (a run before noon belongs to the day before), and when its report is looked at.
struct Night {
  Day of;                              ///< the last working day at or before
  Day controlled_on;                   ///< the working day after: who is on duty then controls it
  MediumClass medium_class = MediumClass::kDaily;
  bool office_closed = false;          ///< nobody has come since the night before: the medium of then is still in
};
Night night_of(const PlanRules& rules, LocalTime at);
/// The night that a run at `now` would hold. Before noon last night's, until a run has completed it; then the coming one's.
Night night_now(const PlanRules& rules, const Book& book, LocalTime now);

/// The medium that a night wants: the one in which this night has been written already, else of its class the one that has rested longest
/// of those whose retention has passed, in the house or to be brought. When no medium of the class may be written, one of the class
/// below takes its place: better than no backup, and said in `problem`.
struct Due {
  Night night;
  std::optional<std::string> medium;   ///< its id; nullopt: there is none, `problem` says why
  Phrase problem;                      ///< msgid empty: none
  std::optional<Day> retained_until;   ///< what is written there tonight is kept at least until then
};
Due due_on(const PlanRules& rules, const Book& book, LocalTime now);
Due due_for(const PlanRules& rules, const Book& book, const Night& night, LocalTime now);

/// What stands in the drive.
struct Presented {
  std::string id;                      ///< of its label; empty: it has none
  std::string label;
  bool mounted = true;
  bool another_installation = false;
};

/// Whether a run may write to it: the due medium, the one of this night, or any other of the due one's class that is free. A refusal is an
/// Error: kMediumGone (nothing is mounted), kWrongMedium, of which kinds: no label, foreign, unknown, retired, lost, class, not expired
/// (until when). The hint names the right one.
Status may_write(const PlanRules& rules, const Book& book, const Presented& presented, LocalTime now);

/// The first night on which a medium may be written over; nullopt: now (it holds nothing that counts, or its time has come).
/// Time is that of Book::witnessed. The newest good sets (PlanRules::floor) are kept whatever the date; a clock that stands before the newest
/// entry keeps all until that has been entered (clock_set_back). Of both the day given is the next one: ask again then.
std::optional<Day> kept_until(const PlanRules& rules, const Book& book, const std::string& medium, LocalTime now);

/// The sets on a medium that may go once tonight's set is there (a disk that is full: before). Expired ones, failed and damaged ones,
/// those of the same night that a newer good one has replaced; never one that `floor` needs, none while the clock is wrong.
/// A tape holds one night: it may be written when kept_until is nullopt, and then loses all.
std::vector<std::string> removable(const PlanRules& rules, const Book& book, const std::string& medium, LocalTime now);

/// `backup schedule`: the next nights with their media, as if each went well.
struct PlannedNight {
  LocalTime at;
  Due due;
};
std::vector<PlannedNight> schedule(const PlanRules& rules, const Book& book, LocalTime now, int nights);

/// When the next run is due: the first night after the last run's end; `now` when one was slept through, never before. A forward leap of
/// the clock runs one night, not all. After one back (clock_set_back, entered) nights count from there on, so that runs never stop.
/// Nights on which nobody could change a tape that holds the last working day already are left out.
/// `since`: the installation's first day, before which nothing was due.
LocalTime next_run(const PlanRules& rules, const Book& book, LocalTime since, LocalTime now);
/// The newest time of a night that is not after `now`.
LocalTime last_night(const PlanRules& rules, LocalTime now);
/// The last night that should have had its run by `now` (missed_after has passed) and has none.
std::optional<LocalTime> missed_night(const PlanRules& rules, const Book& book, LocalTime since, LocalTime now);

/// The clock stands before the newest entry by more than daylight saving explains: whoever sees this enters fact::ClockSetBack.
bool clock_set_back(const Book& book, LocalTime now);

}  // namespace verbund::backup
