#pragma once
/// What the engine asks its service to do, in the order in which others must see it. Values; no I/O.
#include <optional>
#include <variant>
#include <vector>

#include "cluster/stored_session.h"

namespace verbund::cluster {

/// One connection of a client; never given twice in this process. 0: none.
using ConnectionId = StrongId<struct ConnectionTag>;
/// The caller's handle of one request that awaits exactly one LockReplied.
using Ticket = StrongId<struct TicketTag>;

/// One write to the guard's lock table that awaits exactly one `guard_done`.
using GuardId = StrongId<struct GuardTag>;

/// The engine's time: `boot` decides, `wall` is only shown.
struct Now {
  TimePoint boot;
  WallTime wall;
};

/// A work lock without the names of its holder (those belong to the session).
struct LockRecord {
  RecordKey key;
  FencingToken token;  ///< none: reserved for the first of the queue, who waits for more keys
  SessionId session;
  WallTime since;
  std::string note;
  protocol::LockState state = protocol::LockState::kHeld;
  std::uint32_t waiting = 0;
  bool granting = false;  ///< taken, but nobody has been told: the guard has not written it yet
};

struct Joined {
  SessionId session;
};
struct StateChanged {
  SessionId session;
  protocol::SessionState state = protocol::SessionState::kActive;
};
/// The session can't come back: it waits for nothing any more, its connection is to be closed. Its locks stay until the
/// store has forgotten it, so that it can't claim after a crash what others have been granted since; then `forget`.
struct Lost {
  SessionId session;
  ConnectionId connection;  ///< silent, but still open; or none
};
/// The session has ended; its locks were released before this.
struct Left {
  StoredSession session;
  protocol::LeftReason reason = protocol::LeftReason::kGoodbye;
  ConnectionId connection;  ///< still open, or none
  bool own = false;         ///< it was never stored
};
/// The client was silent for a while and can't keep time by itself (hidden browser tab).
struct PingDue {
  SessionId session;
  ConnectionId connection;
};
/// Another connection has resumed the session.
struct Superseded {
  ConnectionId connection;
};

/// The one outcome of a lock, unlock or cancel request.
struct LockReplied {
  Ticket ticket;
  SessionId session;
  std::optional<ErrorCode> refused;
  RecordKey key;  ///< that the refusal is about
  FencingToken token;
  std::vector<protocol::KeyToken> tokens;
  std::optional<LockRecord> holder;         ///< with kHeld
  std::optional<milliseconds> retry_after;  ///< with kReclaiming
};
struct LocksGranted {
  std::vector<LockRecord> locks;
};
/// Announced now: the keys are free (or go to the next of their queues in an action that follows).
struct LocksReleased {
  SessionId session;  ///< may have left since: see `workstation` and `user`
  std::vector<LockRecord> locks;
  bool changes_pending = false;
  std::string workstation, user;  ///< of a session that ends
};
/// To the holder, who did not give them up.
struct LocksLost {
  SessionId session;
  std::vector<RecordKey> keys;
  protocol::LockLostReason reason = protocol::LockLostReason::kBroken;
  std::string by, text;
};
/// These locks are to be written to the guard's table; nobody hears of them before `guard_done`.
struct GuardWrite {
  GuardId number;
  SessionId session;
  std::vector<protocol::KeyToken> tokens;
  bool claims = false;  ///< held before the restart: to be tried until they are written, or a higher token is found there
};
/// These tokens are over: to be taken out of the guard's table as soon as that can be.
struct GuardClear {
  std::vector<protocol::KeyToken> tokens;
};
/// What the session claimed at its resume is decided: what it does not hold now is lost.
struct ClaimsSettled {
  SessionId session;
};
/// Nobody can claim any more what was held before the restart.
struct ReclaimEnded {};

using Action = std::variant<Joined, StateChanged, Lost, Left, PingDue, Superseded, LockReplied, LocksGranted, LocksReleased,
                            LocksLost, GuardWrite, GuardClear, ClaimsSettled, ReclaimEnded>;
using Actions = std::vector<Action>;

}  // namespace verbund::cluster
