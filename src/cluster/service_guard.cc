// Locks of guarded types: what the engine wants written goes to the guard, whose word decides grants and claims.
#include <algorithm>

#include "base/messages.h"

#include "cluster/service_impl.h"

namespace verbund::cluster {

void Service::Impl::act(GuardWrite& action) {
  around.guard->write(std::move(action.tokens), action.session, action.claims ? GuardPatience::kUntilDecided : GuardPatience::kBounded,
                      [this, guard = std::weak_ptr(alive), number = action.number](LockGuard::Outcome outcome) {
                        if (guard.expired()) return;
                        engine.guard_done(number, {std::move(outcome.failed), outcome.code}, now());
                        carry_out();
                        schedule_fan_out();
                      });
}

void Service::Impl::act(GuardClear& action) { around.guard->clear(std::move(action.tokens)); }

void Service::Impl::act(ClaimsSettled& action) { settled_resumes.push_back(action.session); }

void Service::Impl::act(ReclaimEnded&) { sweep_guard(); }

/// Tokens of before the restart that nobody has claimed are over.
void Service::Impl::sweep_guard() {
  if (around.guard == nullptr) return;
  around.guard->earlier_than(epoch, [this, guard = std::weak_ptr(alive)](std::vector<protocol::KeyToken> tokens) {
    if (guard.expired()) return;
    std::erase_if(tokens, [&](const protocol::KeyToken& row) {
      const auto lock = engine.locks().find(row.key);
      return lock && lock->token == row.token;
    });
    if (!tokens.empty()) around.guard->clear(std::move(tokens));
  });
}

/// The welcome waits for the guard: what it says to be held must be so in the database.
void Service::Impl::await_claims(Connection& connection, const protocol::RequestId& id, protocol::Resume request, Resumed resumed) {
  connection.phase = Connection::Phase::kPending;
  connection.session = request.session;
  WaitingResume waiting{connection.id(), id, std::move(request.secret), std::move(request.cursor), std::move(resumed.lost), {}};
  for (auto& claim : request.reclaim) waiting.claimed.push_back(std::move(claim.key));
  waiting_resumes[request.session] = std::move(waiting);
}

void Service::Impl::finish_resumes() {
  for (const auto id : std::exchange(settled_resumes, {})) {
    const auto found = waiting_resumes.find(id);
    if (found == waiting_resumes.end()) continue;
    auto waiting = std::move(found->second);
    waiting_resumes.erase(found);
    auto* asking = connection(waiting.peer);
    const auto* session = engine.session(id);
    if (session == nullptr || asking == nullptr || asking->phase != Connection::Phase::kPending || shutting_down) continue;
    Resumed resumed{engine.locks().held_by(id), std::move(waiting.lost), false};
    for (auto& key : waiting.claimed) {
      const bool held = std::ranges::find(resumed.held, key, &protocol::KeyToken::key) != resumed.held.end();
      const bool told = std::ranges::find(resumed.lost, key, &protocol::LostLock::key) != resumed.lost.end();
      if (!held && !told) resumed.lost.push_back({std::move(key), protocol::LockLostReason::kRefused});
    }
    registered(*asking, *session);
    welcome(*asking, waiting.id, *session, std::move(waiting.secret), std::move(waiting.cursor), std::move(resumed));
    end_pending(waiting.peer);
  }
}

void Service::set_guarded(std::set<std::string, std::less<>> types, std::function<void(Status)> done) {
  auto held = impl_->engine.set_guarded(std::move(types));
  if (held.empty() || impl_->around.guard == nullptr) return done({});
  impl_->around.guard->write(std::move(held), {}, GuardPatience::kBounded, [done = std::move(done)](const LockGuard::Outcome& outcome) {
    if (outcome.failed.empty()) return done({});
    done(fail(outcome.code, phrase("guard the locks that are held: {} could not be written", to_string(outcome.failed.front()))));
  });
}

}  // namespace verbund::cluster
