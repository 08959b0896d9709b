#pragma once
/// Which machine of a pair makes the nights (ADR 31): the mirror, so that production is not burdened; production when the mirror can't, or has not.
///
/// What the node knows of the other machine it notes in DIR/backup/pair.json: `backup night` and `backup check` are processes of their own. Blocking, but for `turn_of`,
/// which is pure; any thread.
#include <filesystem>
#include <optional>
#include <string>

#include "backup/night/outlook.h"

namespace verbund::backup {

/// A pair as the node of this machine sees it.
struct PairNights {
  enum class Part {
    kProduction,
    kMirror,
    kNone,               ///< it may not work: it waits, or is fenced
  };
  Part part = Part::kProduction;
  std::string other;     ///< the other machine's name
  bool heard = false;    ///< not long ago; what follows is of then
  bool makes = false;    ///< a backup is configured there, and somebody there is to make it
  bool busy = false;     ///< a run is under way there
  bool apart = false;    ///< its ledger is another one, of before it was in the pair: then each makes its own nights, as if there were no other
  friend bool operator==(const PairNights&, const PairNights&) = default;
};
/// Noted longer ago, the other machine counts as not heard: nobody has renewed it.
inline constexpr seconds kPairNoted{60};
/// nullopt: this machine is in no pair. Errors: kDamaged, kIo.
Result<std::optional<PairNights>> read_pair_nights(const std::filesystem::path& installation, WallTime now);
/// nullopt: it is in no pair any more.
Status write_pair_nights(const std::filesystem::path& installation, const std::optional<PairNights>& pair, WallTime now);

enum class Turn {
  kOurs,
  kStandsIn,             ///< production's, because the mirror makes none, or has made none of this night
  kOthers,
  kNobodys,              ///< this machine may not work; whoever may does not ask it
};
std::string_view turn_name(Turn turn);  ///< "ours", "stands in", "others", "nobodys"
struct NightTurn {
  Turn turn = Turn::kOurs;
  bool due = false;      ///< this machine is to make a run now
  bool trouble = false;  ///< the mirror does not do what it is there for: somebody is to know, until a night has gone as it should
  Phrase why;            ///< of a machine in a pair that may work: for people
};
/// So long a mirror may take from the night's time until a run that counts; one that is under way is waited for.
inline constexpr std::chrono::hours kMirrorMayTake{2};
/// `stood_in`: the newest night for which production has tried it, whatever came of it: once for each.
NightTurn turn_of(const std::optional<PairNights>& pair, const Outlook& outlook, const PlanRules& plan, LocalTime since, std::optional<LocalTime> stood_in, LocalTime now);
/// The same by what stands in `installation`. Errors: those of read_pair_nights, nights_since, kDamaged.
Result<NightTurn> turn_now(const std::filesystem::path& installation, const Outlook& outlook, const PlanRules& plan, LocalTime now);

/// DIR/backup/nights.stood-in: production has made the run of the night that `now` belongs to, or has tried.
Status note_stood_in(const std::filesystem::path& installation, const PlanRules& plan, LocalTime now);

}  // namespace verbund::backup
