#include "cluster/sessions.h"

#include "base/messages.h"
#include "cluster/invariant.h"

namespace verbund::cluster {

using protocol::SessionState;

protocol::SessionView view_of(const Session& session) {
  const auto& stored = session.stored;
  return {stored.id,   stored.workstation, stored.identity.user, stored.address, stored.app,
          stored.kind, session.state,      stored.since};
}

bool SessionTable::counts_by_address(const StoredSession& session) const {
  return settings_.mode == protocol::Mode::kClientServer && session.kind == protocol::SessionKind::kWorkstation;
}

void SessionTable::arm(Session& session, TimePoint due) {
  deadlines_.disarm(session.due, session.stored.id.value);
  session.due = due;
  deadlines_.arm(due, session.stored.id.value);
}

/// The next moment at which silence changes something. Signs of life don't move the armed deadline: `tick` finds the
/// session alive and arms the next one, so a message costs no reordering.
TimePoint SessionTable::next_look(const Session& session) const {
  if (session.state == SessionState::kActive) {
    if (session.needs_ping && !session.pinged) {
      return session.last_sign + std::min(settings_.heartbeat + settings_.heartbeat / 2, settings_.suspect);
    }
    return session.last_sign + settings_.suspect;
  }
  return session.last_sign + settings_.reconnect;
}

void SessionTable::add_known(StoredSession stored, TimePoint now) {
  if (counts_by_address(stored)) by_address_[stored.address] = stored.id;
  const auto id = stored.id;
  auto& session = sessions_[id];
  session.stored = std::move(stored);
  session.state = SessionState::kReconnecting;
  session.known = true;
  session.last_sign = now;
  ++known_left_;
  arm(session, next_look(session));
}

Result<SessionId> SessionTable::admit(const StoredSession& stored) const {
  if (sessions_.size() >= settings_.max_sessions) {
    return fail(ErrorCode::kUnavailable,
                phrase("register workstation {}: {} sessions are registered, the limit", stored.workstation,
                            sessions_.size()),
                phrase("raise sessions.max in config/P2P.properties or end sessions that are not needed"));
  }
  if (!counts_by_address(stored)) return SessionId{};
  const auto taken = by_address_.find(stored.address);
  if (taken == by_address_.end()) return SessionId{};
  const auto& holder = sessions_.at(taken->second);
  // The same workplace whose program crashed: it need not wait for its own window.
  const bool same = holder.stored.workstation == stored.workstation &&
                    holder.stored.identity.user == stored.identity.user && holder.state != SessionState::kActive;
  if (same) return holder.stored.id;
  return fail(ErrorCode::kAddressTaken,
              phrase("register workstation {}: address {} is taken by workstation {} (user {})",
                          stored.workstation, stored.address, holder.stored.workstation, holder.stored.identity.user),
              phrase("mode Client-Server takes one workstation per address; end the other one or choose mode Shared"));
}

void SessionTable::add(StoredSession stored, ConnectionId connection, bool needs_ping, TimePoint now, Actions& out) {
  invariant(stored.id && !sessions_.contains(stored.id), "a session id is given once");
  if (counts_by_address(stored)) {
    invariant(!by_address_.contains(stored.address), "Client-Server mode: one workstation per address");
    by_address_[stored.address] = stored.id;
  }
  const auto id = stored.id;
  auto& session = sessions_[id];
  session.stored = std::move(stored);
  session.connection = connection;
  session.needs_ping = needs_ping;
  session.last_sign = now;
  arm(session, next_look(session));
  out.emplace_back(Joined{id});
}

void SessionTable::add_own(StoredSession stored, TimePoint now) {
  invariant(stored.id && !sessions_.contains(stored.id), "a session id is given once");
  const auto id = stored.id;
  auto& session = sessions_[id];
  session.stored = std::move(stored);
  session.own = true;
  session.last_sign = now;
}

bool SessionTable::resume(SessionId id, ConnectionId connection, bool needs_ping, TimePoint now, Actions& out) {
  auto* session = find(id);
  if (session == nullptr || session->lost || session->own) return false;
  if (session->connection && session->connection != connection) out.emplace_back(Superseded{session->connection});
  settle_known(*session);
  session->connection = connection;
  session->needs_ping = needs_ping;
  session->pinged = false;
  session->last_sign = now;
  set_state(*session, SessionState::kActive, out);
  arm(*session, next_look(*session));
  return true;
}

void SessionTable::sign_of_life(SessionId id, TimePoint now, Actions& out) {
  auto* session = find(id);
  if (session == nullptr || !session->connection || session->lost) return;
  session->last_sign = now;
  session->pinged = false;
  if (session->state != SessionState::kSuspect) return;
  set_state(*session, SessionState::kActive, out);
  arm(*session, next_look(*session));
}

void SessionTable::disconnected(SessionId id, ConnectionId connection, TimePoint now, Actions& out) {
  auto* session = find(id);
  if (session == nullptr || !session->connection || session->connection != connection) return;
  session->connection = {};
  if (session->lost) return;
  session->last_sign = now;
  set_state(*session, SessionState::kReconnecting, out);
  arm(*session, next_look(*session));
}

void SessionTable::remove(SessionId id, protocol::LeftReason reason, Actions& out) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  auto& session = found->second;
  settle_known(session);
  deadlines_.disarm(session.due, id.value);
  if (counts_by_address(session.stored)) {
    const auto taken = by_address_.find(session.stored.address);
    if (taken != by_address_.end() && taken->second == id) by_address_.erase(taken);
  }
  out.emplace_back(Left{std::move(session.stored), reason, session.connection, session.own});
  sessions_.erase(found);
}

void SessionTable::tick(TimePoint now, std::vector<SessionId>& lost, Actions& out) {
  while (const auto number = deadlines_.take_due(now)) {
    auto& session = sessions_.at(SessionId{*number});
    if (next_look(session) > now) {
      arm(session, next_look(session));
      continue;
    }
    if (session.state != SessionState::kActive) {
      session.lost = true;
      lost.push_back(session.stored.id);
      continue;
    }
    if (session.needs_ping && !session.pinged) {
      session.pinged = true;
      out.emplace_back(PingDue{session.stored.id, session.connection});
    }
    if (now >= session.last_sign + settings_.suspect) set_state(session, SessionState::kSuspect, out);
    arm(session, next_look(session));
  }
}

const Session* SessionTable::find(SessionId id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

Session* SessionTable::find(SessionId id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

void SessionTable::set_state(Session& session, SessionState state, Actions& out) {
  if (session.state == state) return;
  session.state = state;
  out.emplace_back(StateChanged{session.stored.id, state});
}

void SessionTable::settle_known(Session& session) {
  if (!session.known) return;
  session.known = false;
  --known_left_;
}

}  // namespace verbund::cluster
