#pragma once
/// How far the mirror is behind, and what a promotion now would lose: computed from heartbeats and received positions.
/// Pure: no I/O, no clock; one thread. See README.md, "What would be lost".
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "base/ids.h"
#include "base/time.h"

namespace verbund::mirror {

/// What production says of itself once a second.
struct Beat {
  Lsn position;                ///< up to here its log was written
  std::uint64_t finished = 0;  ///< every transaction numbered below had ended before `position`
  std::uint64_t begun = 0;     ///< no transaction numbered this or above had ended before `position`
  friend bool operator==(const Beat&, const Beat&) = default;
};

struct Behind {
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> commits;  ///< at most; absent: not known, no beat is old enough
  nanoseconds span{0};        ///< since the mirror last had all that production had; 0: it had at the last beat
  nanoseconds age{0};         ///< of the last beat: what happened since is not known
};

enum class LossKind {
  kNone,     ///< production has provably stopped at a position that is here
  kBounded,  ///< it has provably stopped; what lies between is lost
  kWithin,   ///< it has provably stopped acknowledging at a known instant, where is not known: bounded by `span`; the rest "at least"
  kUnknown,  ///< it may have gone on after its last beat: "at least"
};

/// What a promotion loses. The confirmation is a token of exactly this report: of everything but `span` and `waited`, which only grow.
struct LossReport {
  LossKind kind = LossKind::kUnknown;
  Term term;                  ///< in which production wrote
  Lsn received;               ///< the mirror has everything before
  Lsn end;                    ///< production's, kNone and kBounded: the last; else: as far as it was heard of
  std::uint64_t bytes = 0;    ///< kWithin, kUnknown: at least
  std::optional<std::uint64_t> commits;  ///< at most, kWithin, kUnknown: of those that were heard of; absent: not known
  nanoseconds span{0};        ///< production's last moments that are concerned
  /// What was acknowledged up to so long ago to anybody who waited for this mirror (synchronous commit) is here. Absent: that was never
  /// promised. Never a reason for kNone: a production that is cut off goes on without waiting when its promise has ended.
  std::optional<nanoseconds> waited = {};
  friend bool operator==(const LossReport&, const LossReport&) = default;
};
std::string_view to_string(LossKind kind);
/// Twelve letters and digits; equal reports, equal tokens.
std::string token_of(const LossReport& report);

/// Follows one term of production. A new term needs a new one: positions of two terms can't be compared.
class LossMeter {
 public:
  /// Beats come in the order in which they were sent. `told`: not sent before; nothing: not known.
  void heard(const Beat& beat, TimePoint now, std::optional<TimePoint> told = {});
  /// Production has said that commits wait for this mirror at least until then (SyncEngine::promise), counted from before it was asked.
  void promised(TimePoint until);
  /// Nothing before the first beat.
  [[nodiscard]] std::optional<Behind> behind(Lsn received, TimePoint now) const;
  /// `stopped`: production as it provably stopped acknowledging.
  [[nodiscard]] LossReport report(Term term, Lsn received, const std::optional<Beat>& stopped, TimePoint now) const;
  /// Of a production that provably acknowledged nothing from `stopped` on, wherever its log ends: kWithin; kUnknown when too little was heard.
  [[nodiscard]] LossReport report_within(Term term, Lsn received, TimePoint stopped, TimePoint now) const;

 private:
  struct Heard {
    Beat beat;
    TimePoint time;
    std::optional<TimePoint> told;
  };
  /// The last beat whose position is not beyond `received`; nothing when all are.
  [[nodiscard]] const Heard* reached(Lsn received) const;
  [[nodiscard]] std::optional<std::uint64_t> commits_until(const Beat& last, Lsn received) const;
  void thin_out();

  std::deque<Heard> heard_;  // positions grow
  std::optional<TimePoint> promised_until_;
};

}  // namespace verbund::mirror
