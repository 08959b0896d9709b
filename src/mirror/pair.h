#pragma once
/// What the two agents of a pair remember and tell each other. Values. The rules: pair_engine.h, README.md "The pair".
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "mirror/loss.h"

namespace verbund::mirror {

/// Which machine of the pair, 1 to 3. The first production is 1. Never given to another machine.
using Member = std::uint64_t;

/// The smallest term above `above` that `member` may begin. Every member has terms of its own, so that two machines can never
/// write in the same one, whatever they have heard of each other.
constexpr Term next_term(Member member, Term above) {
  constexpr std::uint64_t kMembers = 4;
  const std::uint64_t from = above.value + 1;
  return {from + (member + kMembers - from % kMembers) % kMembers};
}

enum class Stage {
  kServing,     ///< production in `term`; opens when the rules of the start let it
  kHandedOver,  ///< was production, has stopped at `end`, the mirror may take `offered`
  kFenced,      ///< its data are of an older term: takes no write, waits for a rejoin
  kFollowing,   ///< mirror of production in `term`
  kPromoting,   ///< mirror; on the way to production in `offered`
  kRejoining,   ///< its data are being made those of a mirror
};
std::string_view to_string(Stage stage);

/// What an agent must never forget; on disk before anything is done or said that follows from it.
struct PairRecord {
  Member member = 0;
  Stage stage = Stage::kServing;
  Term term;             ///< in which it writes or follows
  Term seen;             ///< the highest term that anybody is known to have begun
  Term offered;          ///< kFollowing: would take it; kHandedOver: the mirror may; kPromoting: takes it; else none
  Term declined;         ///< takes no term up to this one any more
  Beat end;              ///< kHandedOver, kFenced: where its log ends; position 0: not known
  bool alone = false;    ///< production: opens without the peer's answer, since a person has said that the peer is gone
  bool peer_asks = false;        ///< mirror: production does not open without asking
  std::uint64_t boots = 0;       ///< lives of the agent, this one included
  std::optional<LossReport> report;  ///< of its promotion
  Member candidate = 0;          ///< production: whom the witness may give it; then it writes only while it holds the lease. 0: nobody
  bool given = false;            ///< its promotion, under way or done, was by the witness and no person's word
  friend bool operator==(const PairRecord&, const PairRecord&) = default;
};

/// What the agent sees of its PostgreSQL.
struct ServerFacts {
  bool running = false;
  bool standby = false;       ///< the data directory is a mirror's: its server is in recovery when it runs
  bool diverged = false;      ///< a mirror whose log is no part of production's: it can't follow
  Beat beat;                  ///< production: last written; mirror: `position` received; stopped: its end, 0 when unclean
};

enum class Wish {
  kNone,
  kHandOver,  ///< has stopped at `end` and asks for an offer; may still take it back
  kWithdraw,  ///< wants to open again: asks the mirror never to take a term up to `wish_term`
};

/// An agent's state as it tells it, every second and after each change. Every message has everything: a lost one, a late
/// one and one that comes twice do no harm.
struct PairStatus {
  Member member = 0;
  std::uint64_t boots = 0, sequence = 0;              ///< order among the messages of a member
  std::uint64_t heard_boots = 0, heard_sequence = 0;  ///< the newest of the peer's that it had when it sent this one
  Stage stage = Stage::kServing;
  Term term, seen, offered, declined;
  bool open = false;       ///< takes writes
  bool asks = false;       ///< does not open at a start without an answer
  bool following = false;  ///< a mirror whose server runs
  Beat beat;               ///< kServing: now; kHandedOver, kFenced: its end; kFollowing: received
  Beat ready_for;          ///< a mirror that has all up to here, where production has stopped, and offers `offered`
  Wish wish = Wish::kNone;
  Term wish_term;
  nanoseconds lease{0};    ///< production goes on for so long after it was last answered; 0: without end
};

enum class Task {
  kCheckpoint,  ///< production: so that stopping is short
  kDrain,       ///< no new application connections; open transactions end in time
  kStop,        ///< PostgreSQL, clean when it can be
  kOpen,        ///< start it if need be, take writes in `term`
  kFollow,      ///< start it if need be, as a mirror of the peer
  kPromote,     ///< no longer receive, then leave recovery; done at once when it has left it
  kRejoin,      ///< list what is lost, rewind or copy
};
std::string_view to_string(Task task);

}  // namespace verbund::mirror
