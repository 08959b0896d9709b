#pragma once
/// What client_simtest.cc holds the engine against: of a node only what the laws speak of, one session, its locks against a
/// rival, a log of changes. What it does with requests is what src/cluster does (service_life_test.cc has the cases).
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "protocol/codec.h"

namespace verbund::client::simulation {

using namespace protocol;

constexpr int kKeys = 6;
constexpr milliseconds kHeartbeat{1000}, kSuspect{2000}, kLease{6000}, kReconnect{7000};
inline RecordKey key_of(int number) { return {"patient", std::to_string(number)}; }

class ModelNode {
 public:
  using Message = std::variant<Reply, Event>;

  /// A message of the client; the answers are appended to `out`.
  void take(const Request& request, TimePoint now, std::vector<Message>& out) {
    if (const auto* hello = std::get_if<Register>(&request.body)) return on_register(request.id, *hello, now, out);
    if (const auto* back = std::get_if<Resume>(&request.body)) return on_resume(request.id, *back, now, out);
    last_sign = now;
    if (std::holds_alternative<Beat>(request.body)) return reply(request.id, BeatReply{{{"h"}, {sent_csn}}}, out);
    if (const auto* lock = std::get_if<Lock>(&request.body)) return on_lock(request.id, *lock, out);
    if (const auto* unlock = std::get_if<Unlock>(&request.body)) return on_unlock(request.id, *unlock, out);
    if (const auto* cancel = std::get_if<Cancel>(&request.body)) return on_cancel(request.id, *cancel, out);
    if (const auto* tell = std::get_if<Tell>(&request.body)) return on_tell(request.id, *tell, out);
    if (const auto* broken = std::get_if<Break>(&request.body)) {
      ++breaks[broken->reason];
      return reply(request.id, Broken{}, out);
    }
    reply(request.id, Done{}, out);
  }
  void disconnected(TimePoint now) {
    if (connected) last_sign = now;
    connected = false;
  }
  /// The session is lost when nothing was heard of it for so long.
  void tick(TimePoint now) {
    if (session != 0 && now >= last_sign + kReconnect) forget_session();
  }
  void forget_session() {
    session = 0;
    connected = false;
    held.clear();
    memory.clear();
    waits.clear();
  }
  /// kill -9: who is known may resume, what was remembered is gone.
  void restart(TimePoint now) {
    connected = false;
    memory.clear();
    waits.clear();
    claimable = std::exchange(held, {});
    last_sign = now;
    ++starts;
  }
  std::optional<Message> write() {
    ++head;
    if (!connected) return std::nullopt;
    sent_csn = head;
    return change(head);
  }
  /// Somebody else lets go. Who waited is granted what is free now, connected or not; the replies of those who are not
  /// are never read.
  void rival_leaves(const RecordKey& key, std::vector<Message>& out) {
    rival.erase(key);
    for (auto waiting = waits.begin(); waiting != waits.end();) {
      if (std::ranges::any_of(waiting->second.keys, [&](const auto& wanted) { return rival.contains(wanted); })) {
        ++waiting;
        continue;
      }
      const auto name = waiting->first;
      const auto wait = std::move(waiting->second);
      waiting = waits.erase(waiting);
      grant(name, wait.ids, wait.keys, out);
    }
  }
  std::optional<Message> break_lock(const RecordKey& key) {
    if (held.erase(key) == 0 || !connected) return std::nullopt;
    return Event{LockLost{{key}, LockLostReason::kBroken, "admin", ""}};
  }

  struct Wait {
    std::vector<RequestId> ids;
    std::vector<RecordKey> keys;
  };
  std::uint64_t session = 0, head = 100, sent_csn = 100;
  bool connected = false;
  TimePoint last_sign;
  std::map<RecordKey, FencingToken> held, claimable;
  std::set<RecordKey> rival;  ///< held by somebody else
  std::map<std::string, ReplyBody> memory;
  std::map<std::string, Wait> waits;  ///< by request, behind the rival
  std::map<std::string, int> tells, breaks;
  int starts = 1;

 private:
  static Event change(std::uint64_t csn) {
    Changes event;
    event.cursor = {{"h"}, {csn}};
    return event;
  }
  static void reply(const RequestId& id, ReplyBody body, std::vector<Message>& out) { out.emplace_back(Reply{id, std::move(body)}); }
  void refuse(const RequestId& id, ErrorCode code, std::vector<Message>& out) { reply(id, Refused{{code, "refused", ""}, {}, {}}, out); }

  void welcome(const RequestId& id, bool resumed, const std::optional<Cursor>& cursor, std::vector<LostLock> lost, std::vector<Message>& out) {
    Welcome hello;
    hello.session = {session};
    hello.secret = "s";
    hello.resumed = resumed;
    hello.cursor = cursor.value_or(Cursor{{"h"}, {head}});
    hello.heartbeat = kHeartbeat;
    hello.suspect = kSuspect;
    hello.lease = kLease;
    hello.jitter = milliseconds{100};
    for (const auto& [key, token] : held) {
      if (resumed) hello.held.push_back({key, token});
    }
    hello.lost = std::move(lost);
    const auto from = hello.cursor.csn.value;
    reply(id, std::move(hello), out);
    for (auto csn = from + 1; csn <= head; ++csn) out.emplace_back(change(csn));
    sent_csn = head;
  }
  void on_register(const RequestId& id, const Register& hello, TimePoint now, std::vector<Message>& out) {
    if (session != 0) forget_session();  // the old one would be lost later; nobody of this run waits for it
    claimable.clear();
    session = ++last_session;
    connected = true;
    last_sign = now;
    welcome(id, false, hello.cursor, {}, out);
  }
  void on_resume(const RequestId& id, const Resume& back, TimePoint now, std::vector<Message>& out) {
    if (back.session.value != session || session == 0) return refuse(id, ErrorCode::kUnknownSession, out);
    connected = true;
    last_sign = now;
    std::vector<LostLock> lost;
    for (const auto& claim : back.reclaim) {
      const auto before = claimable.find(claim.key);
      if (before != claimable.end() && before->second == claim.token) held[claim.key] = claim.token;
      if (!held.contains(claim.key)) lost.push_back({claim.key, LockLostReason::kRefused});
    }
    claimable.clear();
    for (auto& [name, wait] : waits) wait.ids.clear();  // whom the earlier connection would have told
    welcome(id, true, back.cursor, std::move(lost), out);
  }
  bool remembered(const RequestId& id, const std::string& name, std::vector<Message>& out) {
    const auto found = memory.find(name);
    if (name.empty() || found == memory.end()) return false;
    // A grant that is over must not be believed once more.
    const auto* granted = std::get_if<Granted>(&found->second);
    const auto over = [&](const KeyToken& given) { return !held.contains(given.key) || held.at(given.key) != given.token; };
    if (granted != nullptr && std::ranges::any_of(granted->tokens, over)) {
      refuse(id, ErrorCode::kNotHeld, out);
    } else {
      reply(id, found->second, out);
    }
    return true;
  }
  void on_lock(const RequestId& id, const Lock& lock, std::vector<Message>& out) {
    if (remembered(id, lock.request, out)) return;
    if (const auto waiting = waits.find(lock.request); waiting != waits.end()) return waiting->second.ids.push_back(id);
    const bool blocked = std::ranges::any_of(lock.keys, [&](const auto& key) { return rival.contains(key); });
    if (!blocked) return grant(lock.request, {id}, lock.keys, out);
    if (lock.wait.count() > 0) {
      waits[lock.request] = {{id}, lock.keys};
    } else {
      settle(lock.request, {id}, Refused{{ErrorCode::kHeld, "held", ""}, {}, {}}, out);
    }
  }
  void grant(const std::string& name, const std::vector<RequestId>& ids, const std::vector<RecordKey>& keys, std::vector<Message>& out) {
    Granted granted;
    granted.token = {++last_token};
    for (const auto& key : keys) granted.tokens.push_back({key, held.try_emplace(key, granted.token).first->second});
    settle(name, ids, std::move(granted), out);
  }
  void settle(const std::string& name, const std::vector<RequestId>& ids, const ReplyBody& outcome, std::vector<Message>& out) {
    memory[name] = outcome;
    for (const auto& id : ids) reply(id, outcome, out);
  }
  void on_cancel(const RequestId& id, const Cancel& cancel, std::vector<Message>& out) {
    const auto waiting = waits.extract(cancel.request);
    if (!waiting) return refuse(id, ErrorCode::kNotFound, out);
    settle(cancel.request, waiting.mapped().ids, Refused{{ErrorCode::kCancelled, "cancelled", ""}, {}, {}}, out);
    reply(id, Done{}, out);
  }
  void on_unlock(const RequestId& id, const Unlock& unlock, std::vector<Message>& out) {
    if (remembered(id, unlock.request, out)) return;
    bool all = true;
    for (const auto& key : unlock.keys) all = held.erase(key) > 0 && all;
    ReplyBody outcome = Done{};
    if (!all) outcome = Refused{{ErrorCode::kNotHeld, "not held", ""}, {}, {}};
    memory[unlock.request] = outcome;
    reply(id, outcome, out);
  }
  void on_tell(const RequestId& id, const Tell& tell, std::vector<Message>& out) {
    if (remembered(id, tell.request, out)) return;
    ++tells[fmt::format("{}/{}/{}", starts, session, tell.text)];
    memory[tell.request] = Delivered{1};
    reply(id, Delivered{1}, out);
  }

  std::uint64_t last_session = 0, last_token = 0;
};

}  // namespace verbund::client::simulation
