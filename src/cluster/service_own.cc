// Locks that this process takes for itself.
#include "base/messages.h"
#include "cluster/service_impl.h"

namespace verbund::cluster {

void Service::Impl::lock_own(const OwnHolder& holder, std::vector<RecordKey> keys, std::function<void(OwnLocks)> done) {
  if (shutting_down) return done({{}, make_error(ErrorCode::kUnavailable, phrase("lock: the node is ending")), {}});
  if (engine.session(holder.session) == nullptr) {
    StoredSession session;
    session.id = holder.session;
    session.workstation = holder.workstation;
    session.identity.user = holder.user;
    session.app = holder.app;
    session.kind = protocol::SessionKind::kTool;
    session.since = around.clock.wall();
    engine.add_own(std::move(session), now());
  }
  const Ticket ticket{++last_ticket};
  own_waiting.emplace(ticket.value, std::move(done));
  engine.lock({holder.session, ticket, {}, std::move(keys), {}, {}}, now());
  carry_out();
  schedule_fan_out();
}

void Service::Impl::answer_own(LockReplied& action) {
  const auto found = own_waiting.find(action.ticket.value);
  if (found == own_waiting.end()) return;
  const auto done = std::move(found->second);
  own_waiting.erase(found);
  OwnLocks answer;
  if (action.refused) {
    auto refused = std::get<protocol::Refused>(body_of(action, RequestKind::kLock));
    answer.refused = std::move(refused.error);
    answer.holder = std::move(refused.holder);
    return done(std::move(answer));
  }
  for (const auto& [key, token] : engine.locks().held_by(action.session)) {
    if (engine.locks().guarded(key) && std::ranges::find(answer.tokens, token) == answer.tokens.end()) answer.tokens.push_back(token);
  }
  done(std::move(answer));
}

void Service::Impl::release_own(SessionId holder, Lsn written) {
  if (engine.session(holder) == nullptr) return;  // it never had one, or its user was removed
  UnlockRequest request{holder, {++last_ticket}, {}, {}, {}, written};
  for (auto& held : engine.locks().held_by(holder)) request.keys.push_back(std::move(held.key));
  if (!request.keys.empty()) engine.unlock(std::move(request), now());
  engine.leave(holder, protocol::LeftReason::kGoodbye, now());
  carry_out();
  schedule_fan_out();
}

/// Nobody is left waiting when the node ends.
void Service::Impl::refuse_own() {
  for (auto& [ticket, done] : std::exchange(own_waiting, {})) {
    done({{}, make_error(ErrorCode::kUnavailable, phrase("lock: the node is ending")), {}});
  }
}

void Service::lock_own(const OwnHolder& holder, std::vector<RecordKey> keys, std::function<void(OwnLocks)> done) {
  impl_->lock_own(holder, std::move(keys), std::move(done));
}
void Service::release_own(SessionId holder, Lsn written) { impl_->release_own(holder, written); }

}  // namespace verbund::cluster
