// What the engine decided, carried out.
#include "cluster/service_impl.h"

#include "base/messages.h"

namespace verbund::cluster {
namespace {

/// Why the lock table refused, for people.
Error refusal(const LockReplied& action, const Phrase& operation, const std::optional<protocol::LockView>& holder, const Settings& settings) {
  const auto because = [&](Phrase cause, Phrase hint = {}) {
    return make_error(*action.refused, std::move(cause), std::move(hint)).in(operation);
  };
  switch (*action.refused) {
    case ErrorCode::kHeld: return because(phrase("held by {} (user {})", holder->workstation, holder->user));
    case ErrorCode::kTimedOut: return because(phrase("still held by others when the time was over"));
    case ErrorCode::kCancelled: return because(phrase("cancelled"));
    case ErrorCode::kTooManyKeys:
      return make_error(*action.refused, phrase("lock: more than {} keys in one request", protocol::kMaxKeysPerRequest));
    case ErrorCode::kTooManyLocks:
      return make_error(*action.refused, phrase("lock: the session would hold or wait for more than {} locks", settings.max_locks_per_session));
    case ErrorCode::kReclaiming:
      return because(phrase("after its restart the node waits for earlier holders"), phrase("try again, or give wait_ms"));
    case ErrorCode::kUnavailable:
      return because(phrase("the record is guarded, and its token could not be written to the database"),
                     phrase("try again; `verbund audit --action guard` tells whose transaction was in the way"));
    case ErrorCode::kNotHeld: return because(phrase("this session does not hold it"));
    case ErrorCode::kNotFound: return because(phrase("no such request is waiting"));
    default: return because(phrase("no keys given"));
  }
}

}  // namespace

void Service::Impl::act(Joined& action) {
  const auto* session = engine.session(action.session);
  if (session == nullptr || session->stored.kind == protocol::SessionKind::kTool) return;
  publish(Topic::kPresence, protocol::SessionJoined{view_of(*session)});
}

void Service::Impl::act(StateChanged& action) {
  const auto* session = engine.session(action.session);
  if (session == nullptr || session->stored.kind == protocol::SessionKind::kTool) return;
  publish(Topic::kPresence, protocol::SessionStateChanged{action.session, action.state});
}

void Service::Impl::act(Lost& action) {
  // What it says from now on is not taken; it finds out by resuming.
  if (auto* open = action.connection ? connection(peer_of(action.connection)) : nullptr) close(*open, std::nullopt);
  remove_stored(action.session, true);
}

void Service::Impl::act(Left& action) {
  const auto& left = action.session;
  // A lost one is forgotten already, or its removal goes on.
  if (action.reason != protocol::LeftReason::kLost && !action.own) remove_stored(left.id, false);
  remembered.erase(left.id);
  waiting_resumes.erase(left.id);
  if (action.own) return;
  if (action.reason == protocol::LeftReason::kLost) lost_total.add();
  around.log.info("session.left", {{"session", left.id.value},
                                   {"user", left.identity.user},
                                   {"workstation", left.workstation},
                                   {"reason", static_cast<int>(action.reason)}});
  if (left.kind == protocol::SessionKind::kWorkstation) {
    publish(Topic::kPresence, protocol::SessionLeft{left.id, left.workstation, left.identity.user, action.reason});
  }
  auto* open = action.connection ? connection(peer_of(action.connection)) : nullptr;
  if (open == nullptr) return;
  open->session = {};
  if (action.reason == protocol::LeftReason::kRemoved) return close(*open, protocol::ClosingReason::kRemoved);
  if (action.reason == protocol::LeftReason::kReplaced) return close(*open, protocol::ClosingReason::kSuperseded);
  close(*open, std::nullopt);  // goodbye: answered already; lost: it finds out by resuming
}

void Service::Impl::act(PingDue& action) {
  auto* silent = connection(peer_of(action.connection));
  if (silent != nullptr && silent->phase == Connection::Phase::kRegistered) send_event(*silent, protocol::Ping{});
}

void Service::Impl::act(Superseded& action) {
  auto* old = connection(peer_of(action.connection));
  if (old == nullptr) return;
  old->session = {};
  close(*old, protocol::ClosingReason::kSuperseded);
}

protocol::LockView Service::Impl::view(const LockRecord& lock) const {
  protocol::LockView view{lock.key, lock.token, lock.session, {}, {}, {}, lock.since, lock.note, lock.state, lock.waiting};
  if (const auto* session = engine.sessions().find(lock.session)) {
    view.workstation = session->stored.workstation;
    view.user = session->stored.identity.user;
    view.address = session->stored.address;
  }
  return view;
}

void Service::Impl::act(LocksGranted& action) {
  grants_total.add(static_cast<double>(action.locks.size()));
  if (!broadcaster.watched(Topic::kLocks)) return;
  protocol::LockGranted event;
  event.locks.reserve(action.locks.size());
  for (const auto& lock : action.locks) event.locks.push_back(view(lock));
  publish(Topic::kLocks, std::move(event));
}

void Service::Impl::act(LocksReleased& action) {
  if (const auto* session = engine.session(action.session)) {
    action.workstation = session->stored.workstation;
    action.user = session->stored.identity.user;
  }
  const auto until = around.clock.wall();
  for (const auto& lock : action.locks) recent_holders.released(lock, action.workstation, action.user, until);
  if (!broadcaster.watched(Topic::kLocks)) return;
  protocol::LockReleased event{{}, action.session, action.changes_pending};
  event.keys.reserve(action.locks.size());
  for (auto& lock : action.locks) event.keys.push_back(std::move(lock.key));
  publish(Topic::kLocks, std::move(event));
}

void Service::Impl::act(LocksLost& action) {
  auto* holder = connection_of(action.session);
  if (holder != nullptr && holder->phase == Connection::Phase::kRegistered) {
    send_event(*holder, protocol::LockLost{std::move(action.keys), action.reason, std::move(action.by), std::move(action.text)});
  }
}

void Service::Impl::act(LockReplied& action) {
  if (action.refused) refusals_total.add();
  Awaited waiter;
  if (action.ticket == immediate) {
    waiter = std::move(immediate_awaited);
    immediate_answered = true;
  } else {
    const auto found = awaited.find(action.ticket.value);
    if (found == awaited.end()) return answer_own(action);
    waiter = std::move(found->second);
    awaited.erase(found);
  }
  auto* asking = connection(waiter.peer);
  // A connection that has gone repeats its named request on the next one.
  if (asking == nullptr || asking->phase != Connection::Phase::kRegistered) return;
  // The changes that a release waited for must be read before its grant is.
  if (!action.refused) broadcaster.flush(waiter.peer, Broadcaster::Pressure::kIgnore);
  reply(*asking, waiter.id, body_of(action, waiter.kind));
}

protocol::ReplyBody Service::Impl::body_of(LockReplied& action, RequestKind kind) const {
  if (!action.refused) {
    if (kind != RequestKind::kLock) return protocol::Done{};
    return protocol::Granted{action.token, std::move(action.tokens), settings.lease};
  }
  protocol::Refused refused{{*action.refused, {}, {}}, {}, action.retry_after};
  if (action.holder) refused.holder = view(*action.holder);
  const auto key = action.key.type.empty() ? std::string{} : to_string(action.key);
  const Phrase operation = kind == RequestKind::kCancel ? phrase("cancel")
                           : kind == RequestKind::kLock ? (key.empty() ? phrase("lock") : phrase("lock {}", key))
                                                        : (key.empty() ? phrase("unlock") : phrase("unlock {}", key));
  refused.error = refusal(action, operation, refused.holder, settings);
  return refused;
}

}  // namespace verbund::cluster
