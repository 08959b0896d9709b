#pragma once
/// Whether production's commits wait for the mirror, and what it may be told about that. Pure engine: no I/O, no clock; one thread.
///
/// Laws (sync_engine_simtest): a commit never waits for longer than `fall_back_after` and the time of a look, counted from the start of this life at the
/// earliest; whatever was acknowledged to somebody who waited, before the end of a promise that was given, is on the mirror's disk.
#include <deque>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace verbund::mirror {

struct SyncTuning {
  nanoseconds fall_back_after = seconds{3};    ///< a mirror that is not heard, or has not flushed what was written, for so long
  nanoseconds steady_for = seconds{2};         ///< heard and caught up for so long before commits wait (again)
  nanoseconds longest_steady = seconds{60};    ///< `steady_for` doubles with each fall-back within `calm_after`
  nanoseconds calm_after = seconds{600};
  nanoseconds retry_after = seconds{1};        ///< a change that failed
};

/// Production's server as of one look.
struct SyncFacts {
  Lsn position;           ///< inserted up to here
  Lsn flushed;            ///< by the mirror's receiver, as it says; zero: it is not connected
  std::uint64_t word = 0; ///< another one: the receiver has said something since the last look
  bool follows = false;   ///< the mirror's node has said so lately
};

namespace sync {
/// First of all. `engaged`: commits waited when the last life ended; a promise of that life may last.
struct Booted {
  bool engaged = false;
  bool wanted = false;
  nanoseconds promises_of = {};   ///< `fall_back_after` of the last life
};
struct Wanted {
  bool wanted = false;
};
/// Another machine takes the mirror's place.
struct Replaced {};
struct Looked {
  SyncFacts facts;
};
/// A look that failed, or no look for a while.
struct Missed {};
/// Commits wait from now on; everything that was acknowledged without waiting lies before `position`.
struct Engaged {
  Lsn position;
};
struct Released {};
struct Failed {};
using Event = std::variant<Booted, Wanted, Replaced, Looked, Missed, Engaged, Released, Failed>;
}  // namespace sync

enum class SyncState {
  kAsynchronous,
  kEngaging,   ///< being made to wait
  kCatchingUp, ///< commits wait; what was acknowledged before is not all on the mirror yet
  kSynchronous,
  kReleasing,  ///< being let go
};
std::string_view to_string(SyncState state);

/// Exactly one outcome each: Engaged or Failed; Released or Failed.
enum class SyncAction { kNone, kEngage, kRelease };

class SyncEngine {
 public:
  explicit SyncEngine(const SyncTuning& tuning) : tuning_(tuning), steady_(tuning.steady_for) {}

  [[nodiscard]] SyncAction handle(const sync::Event& event, TimePoint now);
  /// For so long from `now` commits wait whatever happens: nothing is acknowledged that is not on the mirror. To be told to the mirror
  /// at once: the engine keeps it. Nothing: no promise.
  [[nodiscard]] std::optional<nanoseconds> promise(TimePoint now);

  [[nodiscard]] SyncState state() const { return state_; }
  [[nodiscard]] bool wanted() const { return wanted_; }
  [[nodiscard]] TimePoint since() const { return since_; }
  /// Why commits do not wait though they should: a msgid; empty: they do, or should not.
  [[nodiscard]] const char* reason() const { return reason_; }

 private:
  struct Written {
    Lsn position;
    TimePoint time;
  };
  void boot(const sync::Booted& booted, TimePoint now);
  void wish(bool wanted);
  void take(const SyncFacts& facts, TimePoint now);
  [[nodiscard]] TimePoint patience() const;
  SyncAction decide(TimePoint now);
  SyncAction engage(TimePoint now);
  SyncAction let_go(TimePoint now);
  void enter(SyncState state, TimePoint now);

  const SyncTuning tuning_;
  SyncState state_ = SyncState::kAsynchronous;
  bool wanted_ = false;
  bool replaced_ = false;                    // until the new one is heard following
  const char* reason_ = "";
  TimePoint since_{};
  nanoseconds steady_;
  std::optional<TimePoint> heard_at_;
  std::uint64_t word_ = 0;
  bool follows_ = false;
  Lsn flushed_, before_;                     // before_: the position of the look before
  std::optional<Lsn> catch_up_to_;           // kCatchingUp; absent: that of the next look
  bool half_done_ = false;                   // a change has failed: what holds is not known
  std::optional<TimePoint> caught_up_since_;
  std::deque<Written> unflushed_;            // positions grow
  TimePoint promised_until_{}, engaged_at_{}, not_before_{};
};

}  // namespace verbund::mirror
