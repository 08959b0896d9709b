#pragma once
/// What has happened to media, sets, duties and drills: facts, entered one after the other, never changed. The book is what they
/// come to. Pure: no I/O, no clock; one thread per book. Entries are kept as a signed journal (media/ledger.h).
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "backup/level.h"
#include "backup/rotation/calendar.h"

namespace verbund::backup {

enum class MediumClass { kDaily, kFriday, kMonthEnd, kQuarterEnd, kYear };
std::string_view class_name(MediumClass medium_class);      ///< "daily", "friday", "month-end", "quarter-end", "year"
Result<MediumClass> parse_class(std::string_view text);     ///< kUsage

enum class MediumKind { kDisk, kTape, kCloud };
enum class Place { kInHouse, kOffSite };
enum class Task { kControl, kChange, kTakeAway };            ///< look at the run report; change the medium; take it out of the house

/// Facts. `at` is the office's wall clock when it was entered; `sequence` grows by one and alone orders them (clocks jump).
namespace fact {
struct MediumAdded { std::string id, label; MediumClass medium_class = MediumClass::kDaily; MediumKind kind = MediumKind::kDisk; };
struct MediumTaken { std::string id, by; Place to = Place::kOffSite; };
struct MediumBrought { std::string id, by; };
struct MediumRetired { std::string id, by, reason; bool lost = false; };
/// A run has ended; `medium` empty: none was written to.
struct RunEnded {
  enum class Outcome { kComplete, kIncomplete, kFailed };
  std::string set;                 ///< empty: none
  std::uint64_t set_sequence = 0;
  Outcome outcome = Outcome::kFailed;
  Level level = Level::kNone;
  std::string medium;
  Day night;                       ///< the working day whose data it holds
};
/// A set on a medium has gone, because the medium was written anew or pruned.
struct SetRemoved { std::string set, medium; };
struct SetVerified { std::string set, medium; Level level = Level::kNone; bool damaged = false; };
struct OffSiteVerified { std::string set, target; };
struct Ticked { Day day; Task task = Task::kControl; std::string by; };
struct DrillSigned { std::string set, by, system; bool passed = false; };
struct MailAcknowledged { std::string code, by; };
}  // namespace fact
using Fact = std::variant<fact::MediumAdded, fact::MediumTaken, fact::MediumBrought, fact::MediumRetired, fact::RunEnded, fact::SetRemoved,
                          fact::SetVerified, fact::OffSiteVerified, fact::Ticked, fact::DrillSigned, fact::MailAcknowledged>;

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
  std::uint64_t sequence = 0;
  fact::RunEnded::Outcome outcome = fact::RunEnded::Outcome::kFailed;
  Level level = Level::kNone;
  bool damaged = false;
  Day night;
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
};

class Book {
 public:
  /// Errors: kUsage (an unknown or retired medium, a number that does not follow): the book is as before.
  Status enter(const Entry& entry);
  [[nodiscard]] const std::map<std::string, MediumState>& media() const { return media_; }
  [[nodiscard]] const MediumState* by_label(std::string_view label) const;
  [[nodiscard]] std::uint64_t next_sequence() const { return next_; }
  /// Newest run of all, newest that is complete and proven from its medium, newest set that was read back off-site, last drill that passed.
  [[nodiscard]] const std::optional<std::pair<LocalTime, fact::RunEnded>>& last_run() const { return last_run_; }
  [[nodiscard]] const std::optional<std::pair<LocalTime, fact::RunEnded>>& last_good() const { return last_good_; }
  [[nodiscard]] const std::optional<std::pair<LocalTime, fact::OffSiteVerified>>& last_off_site() const { return last_off_site_; }
  [[nodiscard]] const std::optional<std::pair<LocalTime, fact::DrillSigned>>& last_drill() const { return last_drill_; }
  [[nodiscard]] std::optional<std::string> ticked_by(Day day, Task task) const;
  [[nodiscard]] bool acknowledged(const std::string& code) const;

 private:
  std::map<std::string, MediumState> media_;
  std::map<std::pair<Day, Task>, std::string> ticks_;
  std::vector<std::string> acknowledged_;
  std::optional<std::pair<LocalTime, fact::RunEnded>> last_run_, last_good_;
  std::optional<std::pair<LocalTime, fact::OffSiteVerified>> last_off_site_;
  std::optional<std::pair<LocalTime, fact::DrillSigned>> last_drill_;
  std::uint64_t next_ = 1;
};

}  // namespace verbund::backup
