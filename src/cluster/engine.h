#pragma once
/// Sessions and work locks together: what happens to a session happens to its locks.
/// Pure engine: no I/O, no clock, no randomness; one thread. (state, event, now) → actions, which the caller takes and
/// carries out in order. See README.md for the laws it keeps.
#include "cluster/locks.h"
#include "cluster/sessions.h"

namespace verbund::cluster {

struct Resumed {
  std::vector<protocol::KeyToken> held;
  std::vector<protocol::LostLock> lost;
  bool pending = false;  ///< the guard has to decide on further claims: ClaimsSettled follows
};

class Engine {
 public:
  /// `known`: alive when the node last ran; until all have resumed or left, or `reconnect` is over, keys go only to
  /// earlier holders. `tick` is how often `tick` is called: gaps far above it are our own stalls and extend all leases.
  Engine(const Settings& settings, LockEpoch epoch, std::vector<StoredSession> known, SessionId next_session, Now now,
         milliseconds tick = milliseconds{100});

  /// Never given twice.
  SessionId next_session();
  /// Would `add_session` take it? Errors: kAddressTaken, kUnavailable.
  [[nodiscard]] Status admit(const StoredSession& session) const;
  Status add_session(StoredSession session, ConnectionId connection, bool needs_ping, Now now);
  /// A session of this process, without connection: it holds locks until it leaves or the process ends, and claims nothing after a restart. The id is
  /// the caller's, of a range that `next_session` does not reach.
  void add_own(StoredSession session, Now now);
  /// The secret was checked by the caller. Errors: kUnknownSession.
  Result<Resumed> resume(SessionId session, ConnectionId connection, bool needs_ping,
                         std::span<const protocol::Reclaim> claims, Now now);
  void sign_of_life(SessionId session, Now now);
  void disconnected(SessionId session, ConnectionId connection, Now now);
  /// goodbye, removed.
  void leave(SessionId session, protocol::LeftReason reason, Now now);
  /// The store has forgotten a lost session: its locks are free. Nothing when it is not lost or has left already.
  void forget(SessionId session, Now now);

  // As LockTable; the session must be registered.
  void lock(LockRequest request, Now now);
  ReleaseId unlock(UnlockRequest request, Now now);
  void resolve_release(ReleaseId release, Lsn lsn, Now now);
  void cancel(SessionId session, Ticket ticket, std::string_view request, Now now);
  std::vector<LockRecord> force(std::span<const RecordKey> keys, const std::string& by, const std::string& text, Now now);
  void feed_passed(Lsn lsn, Now now);
  std::vector<protocol::KeyToken> set_guarded(std::set<std::string, std::less<>> types) { return locks_.set_guarded(std::move(types)); }
  void guard_done(GuardId number, const GuardOutcome& outcome, Now now);

  /// Every tick. Costs nothing for sessions and waits that are not due.
  void tick(Now now);

  /// What to do, in order. Empties the list; give the vector back with `recycle` to save allocations.
  Actions take_actions();
  void recycle(Actions&& actions);

  [[nodiscard]] const SessionTable& sessions() const { return sessions_; }
  [[nodiscard]] Session* session(SessionId session) { return sessions_.find(session); }
  [[nodiscard]] const LockTable& locks() const { return locks_; }
  /// Time by which leases were extended because the loop stood still.
  [[nodiscard]] nanoseconds stalled() const { return clock_.stalled(); }

 private:
  Now engine_time(Now now) { return {clock_.observe(now.boot), now.wall}; }
  void tell_expired(SessionId session);
  void end(SessionId session, protocol::LeftReason reason, Now now);
  void end_reclaim_when_settled(Now now);

  const Settings settings_;
  StallClock clock_;
  SessionId next_session_;
  TimePoint reclaim_until_;  ///< for what clients are told; the window ends with the last session that could claim
  SessionTable sessions_;
  LockTable locks_;
  Actions actions_, spare_;
  std::vector<SessionId> lost_;  ///< scratch of `tick`
};

}  // namespace verbund::cluster
