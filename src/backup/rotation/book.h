#pragma once
/// What has happened to media, sets, duties and drills: facts, entered one after the other, never changed. The book is what they
/// come to. Pure: no I/O, no clock; one thread per book. Entries are kept as a signed journal (media/ledger.h).
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "backup/level.h"
#include "backup/rotation/calendar.h"
#include "base/time.h"

namespace verbund::backup {

enum class MediumClass { kDaily, kFriday, kMonthEnd, kQuarterEnd, kYear };
inline constexpr MediumClass kClasses[] = {MediumClass::kDaily, MediumClass::kFriday, MediumClass::kMonthEnd, MediumClass::kQuarterEnd,
                                           MediumClass::kYear};  ///< lowest first
std::string_view class_name(MediumClass medium_class);      ///< "daily", "friday", "month-end", "quarter-end", "year"
Result<MediumClass> parse_class(std::string_view text);     ///< kUsage

enum class MediumKind { kDisk, kTape, kCloud };
enum class Place { kInHouse, kOffSite };
enum class Task { kControl, kChange, kTakeAway };            ///< look at the run report; change the medium; take it out of the house
std::string_view task_name(Task task);                       ///< "control", "change", "take-away"
Result<Task> parse_task(std::string_view text);              ///< kUsage

struct Person {
  std::string name;
  std::string mail;                    ///< empty: can't be told by mail
  bool operator==(const Person&) const = default;
};
/// "Anna Müller <anna@example.org>", or a name alone. Errors: kUsage.
Result<Person> parse_person(std::string_view text);
std::string person_text(const Person& person);

/// Facts. `at` is the office's wall clock when it was entered; `sequence` grows by one and alone orders them (clocks jump).
namespace fact {
struct MediumAdded { std::string id, label; MediumClass medium_class = MediumClass::kDaily; MediumKind kind = MediumKind::kDisk; };
struct MediumTaken { std::string id, by; Place to = Place::kOffSite; };
struct MediumBrought { std::string id, by; };
struct MediumRetired { std::string id, by, reason; bool lost = false; };
/// A run has ended; `medium` empty: none was written to. A set without a medium lies in a directory: a copy, which counts as long as the
/// office has nothing better (Book::last_good).
struct RunEnded {
  enum class Outcome { kComplete, kIncomplete, kFailed };
  std::string set;                 ///< empty: none
  std::uint64_t set_sequence = 0;
  Outcome outcome = Outcome::kFailed;
  Level level = Level::kNone;
  std::string medium;
  Day night;                       ///< the working day whose data it holds
};
/// A set on a medium (empty: in a directory) has gone, because the medium was written anew or pruned.
struct SetRemoved { std::string set, medium; };
struct SetVerified { std::string set, medium; Level level = Level::kNone; bool damaged = false; };
struct OffSiteVerified { std::string set, target; };
struct Ticked { Day day; Task task = Task::kControl; std::string by; };
struct DrillSigned { std::string set, by, system; bool passed = false; };
struct MailAcknowledged { std::string code, by; };
/// From now on these two do `task` (absent: every task) on `day`, or on each `weekday`, or (neither) on every day. Nobody named: what was
/// said before for the same task and day no longer holds.
struct DutyGiven {
  std::string by;
  std::optional<Task> task;
  std::optional<std::chrono::weekday> weekday;
  std::optional<Day> day;
  Person responsible, deputy;
};
/// Both days are away. `back`: the absence that begins at `first` is taken back.
struct AbsenceNoted { std::string by, person; Day first, last; bool back = false; };
/// Whoever looks at the clock has found it before the newest entry (clock_set_back): from here on times count anew.
struct ClockSetBack {};
}  // namespace fact
using Fact = std::variant<fact::MediumAdded, fact::MediumTaken, fact::MediumBrought, fact::MediumRetired, fact::RunEnded, fact::SetRemoved,
                          fact::SetVerified, fact::OffSiteVerified, fact::Ticked, fact::DrillSigned, fact::MailAcknowledged, fact::DutyGiven,
                          fact::AbsenceNoted, fact::ClockSetBack>;

struct Entry {
  std::uint64_t sequence = 0;
  LocalTime at;
  Fact fact;
};
/// One JSON object, one line, without signature and chain (the ledger adds them). docs/formats/backup-ledger.md
std::string json_of(const Entry& entry);
/// Errors: kDamaged.
Result<Entry> entry_of(std::string_view json);

struct SetOnMedium {
  std::string set;
  std::uint64_t sequence = 0;           ///< the set's own number
  fact::RunEnded::Outcome outcome = fact::RunEnded::Outcome::kFailed;
  Level level = Level::kNone;
  bool damaged = false;
  LocalTime damaged_at{};               ///< when it was found so
  Day night;
  std::uint64_t entered = 0;            ///< the entry of its run: what was written later has a higher one, whatever the clock said
  LocalTime at{};
  seconds witnessed{};                  ///< Book::witnessed of the first run that held its night: what is kept is a night
  /// Complete, and read back from its medium.
  [[nodiscard]] bool good() const;
  /// Worth keeping until its time has come: a set, not found damaged.
  [[nodiscard]] bool counts() const { return outcome != fact::RunEnded::Outcome::kFailed && !damaged; }
};

struct MediumState {
  std::string id, label;
  MediumClass medium_class = MediumClass::kDaily;
  MediumKind kind = MediumKind::kDisk;
  Place place = Place::kInHouse;
  std::string moved_by;                 ///< who took it or brought it last
  LocalTime moved_at{};
  int uses = 0;                         ///< runs written to it
  std::vector<SetOnMedium> sets;        ///< oldest first
  bool retired = false, lost = false;
  std::uint64_t last_written = 0;       ///< entry of the last run to it; 0: never
  std::uint64_t last_taken = 0;         ///< entry with which it last left the house; 0: never
  [[nodiscard]] bool in_use() const { return !retired && !lost; }
  /// The newest that is good; nullptr: none.
  [[nodiscard]] const SetOnMedium* newest_good() const;
};

/// What happened, when by the office's clock, when by Book::witnessed, and as which entry.
template <typename T>
struct Event {
  T what;
  LocalTime at{};
  seconds witnessed{};
  std::uint64_t entry = 0;
};

/// The clock has made a leap between two entries.
struct ClockLeap {
  std::uint64_t entry = 0;              ///< the first one after it
  LocalTime from{}, to{};
};

/// A journal that steps back by more than this was written by a clock that was set; daylight saving alone takes an hour.
inline constexpr std::chrono::hours kLeapBack{2};
/// A silence longer than this is a clock that was set, or a machine that has long been off: somebody has to look.
inline constexpr std::chrono::days kLeapAhead{35};
/// As much time passes between two entries at most, whatever the clock says: a weekend with the machine off.
inline constexpr std::chrono::days kMostBetweenEntries{3};

class Book {
 public:
  /// Errors: kUsage (an unknown medium, one that is no longer in use, a number that does not follow): the book is as before.
  Status enter(const Entry& entry);
  [[nodiscard]] const std::map<std::string, MediumState>& media() const { return media_; }
  /// Whether disks or tapes are in use: then runs go to them, and a directory gets nothing.
  [[nodiscard]] bool uses_media() const;
  /// Sets in a directory, oldest first.
  [[nodiscard]] const std::vector<SetOnMedium>& copies() const { return copies_; }
  /// nullptr: no such medium. Of several that bore a label the one in use.
  [[nodiscard]] const MediumState* find(const std::string& id) const;
  [[nodiscard]] const MediumState* by_label(std::string_view label) const;
  [[nodiscard]] std::uint64_t next_sequence() const { return next_; }
  /// The newest entry's; nullopt: there is none.
  [[nodiscard]] const std::optional<LocalTime>& newest_at() const { return newest_at_; }

  /// How much time has passed since the first entry, as far as the entries bear it out: it never runs backwards, and between two
  /// entries at most kMostBetweenEntries count. Retention is measured with it: a clock that leaps frees no medium.
  [[nodiscard]] seconds witnessed(LocalTime now) const;
  /// The last leap, until somebody has ticked off a control after it.
  [[nodiscard]] const std::optional<ClockLeap>& leap() const { return leap_; }
  /// Since the last run the clock was set back: it read this then. nullopt: it was not, times of runs count.
  [[nodiscard]] const std::optional<LocalTime>& set_back_to() const { return set_back_to_; }

  /// Newest run of all; newest good set on a medium in use, or in a directory as long as no medium in use was ever written to; newest set
  /// that was read back off-site, and all those by set and target; last drill that passed.
  [[nodiscard]] const std::optional<Event<fact::RunEnded>>& last_run() const { return last_run_; }
  [[nodiscard]] std::optional<Event<SetOnMedium>> last_good() const;
  [[nodiscard]] const std::optional<Event<fact::OffSiteVerified>>& last_off_site() const { return last_off_site_; }
  [[nodiscard]] const std::map<std::pair<std::string, std::string>, Event<fact::OffSiteVerified>>& off_site() const { return off_site_; }
  [[nodiscard]] const std::optional<Event<fact::DrillSigned>>& last_drill() const { return last_drill_; }
  /// Entry of the first of the runs that held the same night as the last one, without another between; 0: no run yet.
  [[nodiscard]] std::uint64_t night_begun() const { return night_begun_; }
  [[nodiscard]] std::optional<std::string> ticked_by(Day day, Task task) const;
  [[nodiscard]] bool acknowledged(const std::string& code) const;
  /// As they were given; a later one stands over an earlier one.
  [[nodiscard]] const std::vector<fact::DutyGiven>& duties() const { return duties_; }
  [[nodiscard]] const std::vector<fact::AbsenceNoted>& absences() const { return absences_; }

 private:
  struct Take;                         ///< one overload per fact; book.cc
  void note_time(const Entry& entry);

  std::map<std::string, MediumState> media_;
  std::vector<SetOnMedium> copies_;
  std::map<std::pair<Day, Task>, std::string> ticks_;
  std::set<std::string> acknowledged_;
  std::vector<fact::DutyGiven> duties_;
  std::vector<fact::AbsenceNoted> absences_;
  std::optional<Event<fact::RunEnded>> last_run_;
  std::optional<Event<fact::OffSiteVerified>> last_off_site_;
  std::map<std::pair<std::string, std::string>, Event<fact::OffSiteVerified>> off_site_;
  std::optional<Event<fact::DrillSigned>> last_drill_;
  std::optional<LocalTime> newest_at_, set_back_to_;
  std::optional<ClockLeap> leap_;
  seconds witnessed_{}, night_witnessed_{};
  std::uint64_t night_begun_ = 0;
  std::uint64_t next_ = 1;
};

}  // namespace verbund::backup
