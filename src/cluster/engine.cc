#include "cluster/engine.h"

#include <algorithm>

#include "base/messages.h"
#include "cluster/invariant.h"

namespace verbund::cluster {

namespace {
/// A stall is a gap that no busy but running loop shows: ten ticks.
constexpr int kStallTicks = 10;
}  // namespace

Engine::Engine(const Settings& settings, LockEpoch epoch, std::vector<StoredSession> known, SessionId next_session,
               Now now, milliseconds tick)
    : settings_(settings),
      clock_(tick * kStallTicks),
      next_session_(next_session),
      sessions_(settings),
      locks_({protocol::kMaxKeysPerRequest, settings.max_locks_per_session, settings.release_wait}, epoch, !known.empty()) {
  const auto time = engine_time(now);
  reclaim_until_ = time.boot + settings.reconnect;
  for (auto& session : known) {
    next_session_ = std::max(next_session_, SessionId{session.id.value + 1});
    sessions_.add_known(std::move(session), time.boot);
  }
}

SessionId Engine::next_session() { return {next_session_.value++}; }

Status Engine::admit(const StoredSession& session) const {
  auto admitted = sessions_.admit(session);
  if (!admitted) return pass(admitted);
  return {};
}

Status Engine::add_session(StoredSession session, ConnectionId connection, bool needs_ping, Now now) {
  auto predecessor = sessions_.admit(session);
  if (!predecessor) return pass(predecessor);
  if (*predecessor) leave(*predecessor, protocol::LeftReason::kReplaced, now);
  sessions_.add(std::move(session), connection, needs_ping, engine_time(now).boot, actions_);
  return {};
}

void Engine::add_own(StoredSession session, Now now) { sessions_.add_own(std::move(session), engine_time(now).boot); }

Result<Resumed> Engine::resume(SessionId session, ConnectionId connection, bool needs_ping,
                               std::span<const protocol::Reclaim> claims, Now now) {
  const auto time = engine_time(now);
  if (!sessions_.resume(session, connection, needs_ping, time.boot, actions_)) {
    return fail(ErrorCode::kUnknownSession, phrase("resume session {}: it has ended or never was", session.value),
                phrase("register anew"));
  }
  Resumed resumed;
  resumed.lost = locks_.reclaim(session, claims, time, actions_);
  resumed.held = locks_.held_by(session);
  resumed.pending = locks_.claims_pending(session);
  end_reclaim_when_settled(time);
  return resumed;
}

void Engine::sign_of_life(SessionId session, Now now) {
  sessions_.sign_of_life(session, engine_time(now).boot, actions_);
}

void Engine::disconnected(SessionId session, ConnectionId connection, Now now) {
  sessions_.disconnected(session, connection, engine_time(now).boot, actions_);
}

void Engine::leave(SessionId session, protocol::LeftReason reason, Now now) {
  end(session, reason, engine_time(now));
}

void Engine::forget(SessionId session, Now now) {
  const auto* ended = sessions_.find(session);
  if (ended != nullptr && ended->lost) end(session, protocol::LeftReason::kLost, engine_time(now));
}

/// The names go with its last releases: whoever carries them out finds no session any more.
void Engine::end(SessionId session, protocol::LeftReason reason, Now now) {
  const auto* ending = sessions_.find(session);
  if (ending == nullptr) return;
  const auto first = actions_.size();
  locks_.drop_session(session, now, actions_);
  for (auto i = first; i < actions_.size(); ++i) {
    auto* released = std::get_if<LocksReleased>(&actions_[i]);
    if (released == nullptr || released->session != session) continue;
    released->workstation = ending->stored.workstation;
    released->user = ending->stored.identity.user;
  }
  sessions_.remove(session, reason, actions_);
  end_reclaim_when_settled(now);
}

void Engine::lock(LockRequest request, Now now) {
  invariant(sessions_.find(request.session) != nullptr, "only registered sessions lock");
  const auto time = engine_time(now);
  if (locks_.reclaiming()) {
    const auto left = std::chrono::ceil<milliseconds>(reclaim_until_ - time.boot);
    locks_.set_retry_after(std::clamp(left, milliseconds{1}, milliseconds{1000}));
  }
  locks_.acquire(std::move(request), time, actions_);
}

ReleaseId Engine::unlock(UnlockRequest request, Now now) {
  invariant(sessions_.find(request.session) != nullptr, "only registered sessions unlock");
  return locks_.release(std::move(request), engine_time(now), actions_);
}

void Engine::resolve_release(ReleaseId release, Lsn lsn, Now now) {
  locks_.resolve_release(release, lsn, engine_time(now), actions_);
}

void Engine::cancel(SessionId session, Ticket ticket, std::string_view request, Now now) {
  locks_.cancel(session, ticket, request, engine_time(now), actions_);
}

std::vector<LockRecord> Engine::force(std::span<const RecordKey> keys, const std::string& by, const std::string& text,
                                      Now now) {
  return locks_.force(keys, by, text, engine_time(now), actions_);
}

void Engine::feed_passed(Lsn lsn, Now now) { locks_.feed_passed(lsn, engine_time(now), actions_); }

void Engine::guard_done(GuardId number, const GuardOutcome& outcome, Now now) {
  locks_.guard_done(number, outcome, engine_time(now), actions_);
}

void Engine::tick(Now now) {
  const auto time = engine_time(now);
  lost_.clear();
  sessions_.tick(time.boot, lost_, actions_);
  for (const auto session : lost_) {
    tell_expired(session);
    locks_.drop_waits(session, time, actions_);
    actions_.emplace_back(Lost{session, sessions_.find(session)->connection});
  }
  locks_.tick(time.boot, time.wall, actions_);
}

/// A holder that is silent but connected hears of its loss (Consul #1843).
void Engine::tell_expired(SessionId session) {
  if (!sessions_.find(session)->connection) return;
  LocksLost lost{session, {}, protocol::LockLostReason::kExpired, {}, {}};
  for (auto& held : locks_.held_by(session)) lost.keys.push_back(std::move(held.key));
  if (!lost.keys.empty()) actions_.emplace_back(std::move(lost));
}

/// Not by the clock: who could still claim is lost when the time is over, and has left when the store has forgotten it.
void Engine::end_reclaim_when_settled(Now now) {
  if (!locks_.reclaiming()) return;
  if (sessions_.known_left() == 0) locks_.end_reclaim(now, actions_);
}

Actions Engine::take_actions() {
  auto taken = std::move(actions_);
  actions_ = std::move(spare_);
  actions_.clear();
  return taken;
}

void Engine::recycle(Actions&& actions) {
  actions.clear();
  if (actions.capacity() > spare_.capacity() && actions.capacity() <= 256) spare_ = std::move(actions);
}

}  // namespace verbund::cluster
