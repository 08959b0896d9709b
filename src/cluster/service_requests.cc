// Requests of registered clients that the engine decides: locks, beat, goodbye.
#include "cluster/service_impl.h"

#include "base/messages.h"

namespace verbund::cluster {

/// A ticket whose answer may come at once; `finish_awaited` keeps it when it has not.
Ticket Service::Impl::await(Connection& connection, const protocol::RequestId& id, RequestKind kind) {
  immediate = {++last_ticket};
  immediate_awaited = {connection.id(), id, kind};
  immediate_answered = false;
  return immediate;
}

void Service::Impl::finish_awaited(const protocol::RequestId&) {
  carry_out();
  if (!immediate_answered) awaited.emplace(immediate.value, std::move(immediate_awaited));
  immediate = {};
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::Lock request) {
  const auto ticket = await(connection, id, RequestKind::kLock);
  engine.lock({connection.session, ticket, std::move(request.request), std::move(request.keys), request.wait,
               std::move(request.note)},
              now());
  finish_awaited(id);
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::Unlock request) {
  const auto ticket = await(connection, id, RequestKind::kUnlock);
  auto after = request.lsn;
  if (!after && request.wrote) after = kLsnUnknown;
  const auto release = engine.unlock({connection.session, ticket, std::move(request.request), std::move(request.keys),
                                      request.token, after},
                                     now());
  finish_awaited(id);
  if (!release) return;
  around.changes.current_lsn([this, guard = std::weak_ptr(alive), release](Result<Lsn> lsn) {
    // Without an answer the release waits for its time limit and is marked changes_pending.
    if (guard.expired() || !lsn) return;
    engine.resolve_release(release, *lsn, now());
    carry_out();
    schedule_fan_out();
  });
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::Cancel request) {
  const auto ticket = await(connection, id, RequestKind::kCancel);
  engine.cancel(connection.session, ticket, request.request, now());
  finish_awaited(id);
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::Break request) {
  const auto* session = engine.session(connection.session);
  const auto& user = session->stored.identity.user;
  if (!connection.may_break_locks) {
    around.audit.record(user, "lock.break.refused", request.keys.empty() ? "" : to_string(request.keys.front()), request.reason);
    return refuse(connection, id, make_error(ErrorCode::kForbidden, phrase("break locks: user {} does not have the right", user),
                                   phrase("an administrator can break locks")));
  }
  // Their holders' names are read before they are gone.
  std::vector<protocol::LockView> broken;
  for (const auto& lock : engine.force(request.keys, user, request.reason, now())) broken.push_back(view(lock));
  for (const auto& lock : broken) {
    around.audit.record(user, "lock.break", to_string(lock.key),
                        fmt::format("held by {} at {} since {}; reason: {}", lock.user, lock.workstation,
                                    to_iso8601(lock.since), request.reason));
  }
  carry_out();
  reply(connection, id, protocol::Broken{std::move(broken)});
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::Beat) {
  broadcaster.flush(connection.id(), Broadcaster::Pressure::kRespect);
  reply(connection, id, protocol::BeatReply{broadcaster.cursor(connection.id())});
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::Goodbye) {
  reply(connection, id, protocol::Done{});
  engine.leave(connection.session, protocol::LeftReason::kGoodbye, now());
}

}  // namespace verbund::cluster
