// The application's calls over torn connections, and the locks they lead to.
#include <algorithm>

#include "base/messages.h"

#include "client/engine.h"

namespace verbund::client {
namespace {

using namespace protocol;

/// Where a request carries its name; null: it has none.
std::string* request_field(RequestBody& body) {
  if (auto* lock = std::get_if<Lock>(&body)) return &lock->request;
  if (auto* unlock = std::get_if<Unlock>(&body)) return &unlock->request;
  if (auto* tell = std::get_if<Tell>(&body)) return &tell->request;
  if (auto* changed = std::get_if<Changed>(&body)) return &changed->request;
  return nullptr;
}

/// Changes something and has no name: done twice, it could hit somebody else.
bool repeatable(const RequestBody& body) {
  return !std::holds_alternative<Break>(body) && !std::holds_alternative<Goodbye>(body);
}

}  // namespace

std::string Engine::new_request() { return fmt::format("{:016x}-{}", random(), next_id_); }

CallId Engine::call(RequestBody body, TimePoint deadline, TimePoint now, Actions& out) {
  const auto id = next_id_++;
  if (auto* request = request_field(body); request != nullptr && request->empty()) *request = new_request();
  const bool pointless = state_ == State::kEnded || state_ == State::kIdle ||
                         (std::holds_alternative<Goodbye>(body) && phase_ != Phase::kRunning);
  if (pointless || now >= deadline) {
    const auto code = pointless ? ErrorCode::kNotReachable : ErrorCode::kTimedOut;
    const auto* cause = pointless ? "ask the node: there is no connection" : "ask the node: the time is over";
    out.push_back(Finished{id, Refused{{code, cause, ""}, {}, {}}});
    return id;
  }
  auto& call = calls_[id];
  call.body = std::move(body);
  call.deadline = deadline;
  if (phase_ == Phase::kRunning) send_call(id, call, out);
  return id;
}

void Engine::call_internally(RequestBody body, Actions& out) {
  const auto id = next_id_++;
  auto& call = calls_[id];
  call.body = std::move(body);
  call.deadline = TimePoint::max();
  call.internal = true;
  if (phase_ == Phase::kRunning) send_call(id, call, out);
}

void Engine::send_call(CallId id, Call& call, Actions& out) {
  ++call.sent;
  call.again_at.reset();
  send(call.body, id, out);
}

void Engine::send_all_calls(Actions& out) {
  for (auto& [id, call] : calls_) send_call(id, call, out);
}

void Engine::watch_calls(TimePoint now, Actions& out) {
  std::vector<CallId> over;
  for (auto& [id, call] : calls_) {
    if (now >= call.deadline) {
      over.push_back(id);
    } else if (call.again_at && now >= *call.again_at && phase_ == Phase::kRunning) {
      send_call(id, call, out);
    }
  }
  for (const auto id : over) give_up(id, out);
}

/// The caller waits no longer. What it wanted of its locks must come about nevertheless.
void Engine::give_up(CallId id, Actions& out) {
  auto call = calls_.extract(id);
  out.push_back(Finished{id, Refused{make_error(ErrorCode::kTimedOut, phrase("wait for the node's answer: the time is over")), {}, {}}});
  const bool sent = call.mapped().sent > 0;
  if (const auto* lock = std::get_if<Lock>(&call.mapped().body); lock != nullptr && sent) return abandon(*lock, out);
  const auto* unlock = std::get_if<Unlock>(&call.mapped().body);
  if (unlock == nullptr) return;
  forget_locks(*unlock);  // if it was not even sent: a resume finds that nobody claims them and gives them back
  if (!sent) return;
  call.mapped().internal = true;
  call.mapped().deadline = TimePoint::max();
  calls_.insert(std::move(call));
}

/// Nobody waits for this lock any more, but the node may have granted it or may still do so: it must not stay.
void Engine::abandon(const Lock& lock, Actions& out) {
  call_internally(Cancel{lock.request}, out);
  doubtful_.insert(lock.keys.begin(), lock.keys.end());
  give_back_doubtful(out);
}

/// What another caller still waits for is looked at again when it has its answer. What another caller holds stays in doubt
/// until the cancelled requests are answered: it may be broken and granted to one of them before we hear of either.
void Engine::give_back_doubtful(Actions& out) {
  Unlock unlock;
  const bool settled = !cancelling();
  std::erase_if(doubtful_, [&](const RecordKey& key) {
    if (held_.contains(key)) return settled;
    if (wanted(key) || unlock.keys.size() == kMaxKeysPerRequest) return false;
    unlock.keys.push_back(key);
    return true;
  });
  if (unlock.keys.empty()) return;
  unlock.request = new_request();
  call_internally(std::move(unlock), out);
}

bool Engine::cancelling() const {
  return std::ranges::any_of(calls_, [](const auto& entry) { return std::holds_alternative<Cancel>(entry.second.body); });
}

/// A caller waits for it.
bool Engine::wanted(const RecordKey& key) const {
  return std::ranges::any_of(calls_, [&](const auto& entry) {
    const auto* lock = std::get_if<Lock>(&entry.second.body);
    return lock != nullptr && std::ranges::find(lock->keys, key) != lock->keys.end();
  });
}

bool Engine::being_released(const RecordKey& key) const {
  return std::ranges::any_of(calls_, [&](const auto& entry) {
    const auto* unlock = std::get_if<Unlock>(&entry.second.body);
    return unlock != nullptr && std::ranges::find(unlock->keys, key) != unlock->keys.end();
  });
}

void Engine::on_call_reply(CallId id, const ReplyBody& body, TimePoint now, Actions& out) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  auto& call = found->second;
  const auto* refused = std::get_if<Refused>(&body);
  if (refused != nullptr && refused->error.code == ErrorCode::kUnavailable && refused->retry_after && call.sent > 1) {
    // The first sending is still being done; its outcome is what the caller wants.
    call.again_at = now + std::clamp(*refused->retry_after, milliseconds{1}, milliseconds{60'000});
    return;
  }
  if (needs_confirmation(call, body)) {
    *request_field(call.body) = new_request();
    call.sent = 0;
    call.asked_anew = true;
    return send_call(id, call, out);
  }
  finish(id, body, out);
}

/// A remembered grant is told again even when the lock has been broken since, or refused because one of its keys has.
/// Under a new name the node looks anew.
bool Engine::needs_confirmation(const Call& call, const ReplyBody& body) const {
  if (call.sent < 2 || !std::holds_alternative<Lock>(call.body)) return false;
  if (const auto* refused = std::get_if<Refused>(&body)) return refused->error.code == ErrorCode::kNotHeld;
  const auto* granted = std::get_if<Granted>(&body);
  return granted != nullptr && std::ranges::any_of(granted->tokens, [&](const KeyToken& given) {
    const auto known = held_.find(given.key);
    return known == held_.end() || known->second != given.token;
  });
}

void Engine::finish(CallId id, ReplyBody body, Actions& out) {
  const auto call = calls_.extract(id);
  if (!call) return;
  remember_outcome(call.mapped(), body, out);
  if (!doubtful_.empty()) give_back_doubtful(out);
  const bool goodbye = std::holds_alternative<Goodbye>(call.mapped().body);
  if (!call.mapped().internal) out.push_back(Finished{id, std::move(body)});
  if (!goodbye) return;
  held_.clear();
  end(make_error(ErrorCode::kCancelled, phrase("stay connected: this program said goodbye")), out);
}

void Engine::finish_unrepeatable(Actions& out) {
  std::vector<CallId> over;
  for (const auto& [id, call] : calls_) {
    if (call.sent > 0 && !repeatable(call.body)) over.push_back(id);
  }
  for (const auto id : over) {
    finish(id, Refused{make_error(ErrorCode::kNotReachable, phrase("wait for the node's answer: the connection is torn"),
                        phrase("look whether it has been done before you try again")), {}, {}}, out);
  }
}

void Engine::remember_outcome(const Call& call, const ReplyBody& body, Actions& out) {
  if (const auto* granted = std::get_if<Granted>(&body)) {
    for (const auto& [key, token] : granted->tokens) held_[key] = token;
    return;
  }
  // Of what the first asking got, some may be left.
  const auto* lock = std::get_if<Lock>(&call.body);
  if (lock != nullptr && call.asked_anew) doubtful_.insert(lock->keys.begin(), lock->keys.end());
  const auto* unlock = std::get_if<Unlock>(&call.body);
  if (unlock == nullptr) return;
  const auto* refused = std::get_if<Refused>(&body);
  // Refused because one of the keys was not held, the others are released nevertheless.
  if (!std::holds_alternative<Done>(body) && (refused == nullptr || refused->error.code != ErrorCode::kNotHeld)) return;
  if (!call.internal) return forget_locks(*unlock);
  // Its caller has gone; a grant that was under way before it may have been told since, and ended with it.
  on_lock_lost({unlock->keys, LockLostReason::kExpired, {}, {}}, out);
}

void Engine::forget_locks(const Unlock& unlock) {
  for (const auto& key : unlock.keys) held_.erase(key);
  if (unlock.token.value != 0) std::erase_if(held_, [&](const auto& held) { return held.second == unlock.token; });
}

/// What the node says after a resume that the session holds and what it does not. Before the calls are sent again.
void Engine::take_over_locks(const Welcome& welcome, Actions& out) {
  std::map<LockLostReason, std::vector<RecordKey>> lost;
  const auto lose = [&](const RecordKey& key, LockLostReason reason) {
    // Whoever is giving it back learns the outcome from that call.
    if (held_.erase(key) > 0 && !being_released(key)) lost[reason].push_back(key);
  };
  for (const auto& [key, token] : welcome.held) {
    const auto known = held_.find(key);
    if (known != held_.end() && known->second == token) continue;
    // Another token: ours was broken and a request that nobody has an answer to was granted it since.
    lose(key, LockLostReason::kBroken);
    if (!being_released(key)) doubtful_.insert(key);
  }
  for (const auto& gone : welcome.lost) lose(gone.key, gone.reason);
  for (auto& [reason, keys] : lost) out.push_back(LocksGone{std::move(keys), reason});
  give_back_doubtful(out);
}

void Engine::on_lock_lost(const LockLost& lost, Actions& out) {
  LocksGone gone{{}, lost.reason};
  for (const auto& key : lost.keys) {
    if (held_.erase(key) > 0) gone.keys.push_back(key);
  }
  if (!gone.keys.empty()) out.push_back(std::move(gone));
  if (!doubtful_.empty()) give_back_doubtful(out);
}

void Engine::lose_all_locks(Actions& out) {
  doubtful_.clear();
  if (held_.empty()) return;
  LocksGone gone;
  for (const auto& [key, token] : held_) gone.keys.push_back(key);
  held_.clear();
  out.push_back(std::move(gone));
}

}  // namespace verbund::client
