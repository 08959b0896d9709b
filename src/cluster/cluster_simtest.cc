// Seeded random steps over sessions and locks, held against a model that knows only the laws of README.md.
// VERBUND_SIM_STEPS (all runs together) and VERBUND_SIM_SEED choose size and seed; the seed is printed.
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "cluster/guard_model.h"

namespace verbund::cluster {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

constexpr int kKeys = 24;
constexpr std::uint64_t kOwnSessions = 1ULL << 62;
/// Those of patients may be guarded.
RecordKey key_of(int number) { return {number % 3 == 0 ? "letter" : "patient", std::to_string(number)}; }

struct Wanted {
  SessionId session;
  std::set<RecordKey> keys;
  std::uint64_t order = 0;
  bool waits = false;
};
struct Held {
  SessionId session;
  FencingToken token;
};

class Simulation {
 public:
  Simulation(std::uint64_t seed, std::uint64_t steps) : random_(seed), steps_(steps), guarding_(random(3) > 0) { start_node({}); }

  void run() {
    for (std::uint64_t step = 0; step < steps_ && !::testing::Test::HasFailure(); ++step) {
      now_ += milliseconds{random(50)};
      if (random(4000) == 0) now_ += seconds{random(90)};  // our own stall
      one_step();
      check_actions();
      window_ = engine_->locks().reclaiming();
      if (random(2000) == 0) check_table();
      if (random(10'000) == 0) switch_guard(random(3) > 0);
      if (random(20'000) == 0) restart();
    }
  }

 private:
  int random(int below) { return static_cast<int>(random_() % static_cast<std::uint64_t>(below)); }
  Now now() const { return {now_, WallTime{std::chrono::duration_cast<microseconds>(now_.time_since_epoch())}}; }

  void start_node(std::vector<StoredSession> known) {
    settings_.reconnect = seconds{8};
    settings_.lease = seconds{6};
    settings_.suspect = seconds{3};
    settings_.heartbeat = seconds{1};
    settings_.max_locks_per_session = 40;
    window_ = !known.empty();
    ++start_count_;
    epoch_ = {{1}, static_cast<std::uint16_t>(start_count_)};
    engine_ = std::make_unique<Engine>(settings_, epoch_, std::move(known), SessionId{next_}, now());
    if (guarding_) engine_->set_guarded({"patient"});
    passed_ = 0;
  }

  SessionId any_session() {
    if (sessions_.empty()) return {};
    auto it = sessions_.begin();
    std::advance(it, random(static_cast<int>(sessions_.size())));
    return it->first;
  }

  void one_step() {
    if (!dying_.empty() && random(6) == 0) return store_forgets();
    if (random(3) == 0) guard_.commit_one();
    if (random(3) == 0) return guard_.answer_one(*engine_, now());
    const auto session = any_session();
    const int what = random(100);
    if (!session || (what < 4 && sessions_.size() < 12)) return random(4) == 0 ? add_own() : add_session();
    if (own_.contains(session)) return own_step(session, what);
    auto& connection = sessions_[session];
    if (what < 10) return engine_->tick(now());
    if (what < 25) {
      if (awaiting_claims_.contains(session)) return;
      if (connection && !dying_.contains(session)) lease_until_[session] = now_ + settings_.lease;
      return engine_->sign_of_life(session, now());
    }
    if (what < 28) {
      engine_->disconnected(session, connection, now());
      connection = {};
      return;
    }
    if (what < 33) return resume(session);
    // The service takes nothing from a lost session: it closes its connection.
    if (dying_.contains(session) || awaiting_claims_.contains(session)) return;
    if (what < 34) {
      thinks_held_.erase(session);
      return engine_->leave(session, protocol::LeftReason::kGoodbye, now());
    }
    if (what < 64) return lock(session);
    if (what < 90) return unlock(session);
    if (what < 93) return cancel(session);
    if (what < 94) return force();
    passed_ += static_cast<std::uint64_t>(random(5));
    engine_->feed_passed({passed_}, now());
  }

  void add_session() {
    StoredSession stored;
    stored.id = engine_->next_session();
    stored.workstation = "w" + std::to_string(stored.id.value);
    next_ = stored.id.value + 1;
    ASSERT_TRUE(seen_sessions_.insert(stored.id).second) << "a session id was given twice";
    const ConnectionId connection{++connections_};
    stored_[stored.id] = stored;
    ASSERT_TRUE(engine_->add_session(stored, connection, random(2) == 0, now()));
    sessions_[stored.id] = connection;
    lease_until_[stored.id] = now_ + settings_.lease;
  }

  /// Of the node's own process: nothing ends it but its goodbye or the process.
  void add_own() {
    StoredSession session;
    session.id = {kOwnSessions + ++own_count_};
    engine_->add_own(session, now());
    own_.insert(session.id);
    sessions_[session.id] = {};
    lease_until_[session.id] = TimePoint::max();
  }
  void own_step(SessionId session, int what) {
    if (what < 60) return lock(session);
    if (what < 80) return unlock(session);
    thinks_held_.erase(session);
    engine_->leave(session, protocol::LeftReason::kGoodbye, now());
  }

  /// Its removal commits, and a little later the engine hears of it; the node may die between.
  void store_forgets() {
    const auto session = *std::next(dying_.begin(), random(static_cast<int>(dying_.size())));
    if (stored_.erase(session) == 1 && random(2) == 0) return;
    dying_.erase(session);
    engine_->forget(session, now());
  }

  void resume(SessionId session) {
    const ConnectionId connection{++connections_};
    std::vector<protocol::Reclaim> claims;
    for (const auto& [key, token] : owed_[session]) claims.push_back({key, token});
    // Also what needs no claim: held since, or being released.
    for (const auto& [key, held] : held_) {
      if (held.session == session && !owed_[session].contains(key) && random(2) == 0) claims.push_back({key, held.token});
    }
    const auto forged = key_of(random(kKeys));
    if (random(10) == 0 && !std::ranges::count(claims, forged, &protocol::Reclaim::key)) claims.push_back({forged, FencingToken::of({{1}, 60'000}, 7)});
    const bool window = engine_->locks().reclaiming();
    auto resumed = engine_->resume(session, connection, false, claims, now());
    ASSERT_EQ(resumed.has_value(), !dying_.contains(session)) << "who is lost can't come back";
    if (!resumed) return;
    sessions_[session] = connection;
    // What it validly held before the restart comes back to it in the window.
    auto& due = due_[session];
    for (const auto& [key, token] : owed_[session]) {
      if (window && valid_before_[key].session == session) due.insert(key);
    }
    for (const auto& claim : claims) {
      const auto told = std::ranges::count(resumed->held, claim.key, &protocol::KeyToken::key) +
                        std::ranges::count(resumed->lost, claim.key, &protocol::LostLock::key);
      const bool open = told == 0 && resumed->pending && guarded(claim.key);
      EXPECT_TRUE(told == 1 || open) << to_string(claim.key) << " is neither held nor lost, or both";
    }
    EXPECT_EQ(resumed->pending, engine_->locks().claims_pending(session));
    if (!resumed->pending) return welcome(session, std::move(resumed->held));
    awaiting_claims_.insert(session);
  }

  /// The client hears what it holds.
  void welcome(SessionId session, std::vector<protocol::KeyToken> held) {
    lease_until_[session] = now_ + settings_.lease;
    auto& thinks = thinks_held_[session];
    thinks.clear();
    for (const auto& [key, token] : held) thinks.insert(key);
    for (const auto& key : due_[session]) EXPECT_TRUE(thinks.contains(key)) << to_string(key) << " was not given back";
    due_.erase(session);
    owed_.erase(session);
    awaiting_claims_.erase(session);
    resumed_held_ = std::move(held);
    resumed_session_ = session;
  }

  void switch_guard(bool on) {
    if (on == guarding_) return;
    guarding_ = on;
    auto held = engine_->set_guarded(on ? std::set<std::string, std::less<>>{"patient"} : std::set<std::string, std::less<>>{});
    // As the node does it: what is held is written first, then the database begins to refuse.
    if (on) guard_.take(GuardWrite{{}, {}, std::move(held), true});
    // Each answer's actions are carried out at once, as by the node. Seed 1950286365 left a grant for the next step, whose
    // force then broke a lock that the model had not heard of yet.
    while (!guard_.idle()) {
      guard_.commit_one();
      guard_.answer_one(*engine_, now());
      check_actions();
    }
    if (!on) guard_.forget_everything();
  }

  void lock(SessionId session) {
    LockRequest request{session, {++tickets_}, {}, {}, {}, {}};
    const int count = random(3) == 0 ? 1 + random(4) : 1;
    for (int i = 0; i < count; ++i) request.keys.push_back(key_of(random(kKeys)));
    if (random(2) == 0) request.wait = milliseconds{1 + random(8000)};
    if (random(4) == 0) {
      request.request = "r" + std::to_string(random(40));
      named_[request.ticket.value] = {session, request.request};
    }
    asked_[request.ticket.value] = {session, {request.keys.begin(), request.keys.end()}, ++order_, request.wait.count() > 0};
    engine_->lock(std::move(request), now());
  }

  void unlock(SessionId session) {
    UnlockRequest request{session, {++tickets_}, {}, {}, {}, {}};
    for (const auto& [key, held] : held_) {
      if (held.session == session && random(2) == 0) request.keys.push_back(key);
    }
    if (request.keys.empty()) request.keys.push_back(key_of(random(kKeys)));
    for (const auto& key : request.keys) thinks_held_[session].erase(key);
    if (random(3) == 0) request.after = Lsn{passed_ + static_cast<std::uint64_t>(random(6))};
    if (random(10) == 0) request.after = kLsnUnknown;
    plain_.insert(request.ticket.value);
    const auto release = engine_->unlock(std::move(request), now());
    if (release && random(2) == 0) engine_->resolve_release(release, {passed_ + 1}, now());
  }

  void cancel(SessionId session) {
    const Ticket ticket{++tickets_};
    plain_.insert(ticket.value);
    engine_->cancel(session, ticket, "r" + std::to_string(random(40)), now());
  }

  void force() {
    std::vector<RecordKey> keys{key_of(random(kKeys)), key_of(random(kKeys))};
    // What the guard has not decided on is not broken.
    std::erase_if(keys, [&](const RecordKey& key) { return engine_->locks().find(key).value_or(LockRecord{}).granting; });
    engine_->force(keys, "admin", "test", now());
    for (auto& [session, thinks] : thinks_held_) {
      for (const auto& key : keys) thinks.erase(key);
    }
    for (auto& [session, due] : due_) {
      for (const auto& key : keys) due.erase(key);
    }
  }

  // ---- the laws -----------------------------------------------------------------------------------------------

  void check_actions() {
    auto actions = engine_->take_actions();
    for (auto& action : actions) std::visit([this](auto& what) { check(what); }, action);
    engine_->recycle(std::move(actions));
    for (const auto& [key, token] : resumed_held_) {
      const auto held = held_.find(key);
      EXPECT_TRUE(held != held_.end() && held->second.session == resumed_session_ && held->second.token == token);
    }
    resumed_held_.clear();
  }

  void check(LocksGranted& granted) {
    for (const auto& lock : granted.locks) {
      EXPECT_TRUE(sessions_.contains(lock.session)) << "a lock for an unknown session";
      EXPECT_FALSE(held_.contains(lock.key)) << "two holders of " << to_string(lock.key);
      const bool reclaimed = lock.token.epoch() < epoch_;
      EXPECT_FALSE(lock.granting);
      if (guarded(lock.key)) {
        EXPECT_EQ(guard_.token(lock.key), lock.token) << to_string(lock.key) << " was told before it was durable";
      }
      if (reclaimed) {
        EXPECT_TRUE(window_ || awaiting_claims_.contains(lock.session)) << "reclaimed after the window";
        EXPECT_GE(lock.token, highest_[lock.key]) << "a stale token was accepted";
      } else {
        EXPECT_GT(lock.token, highest_[lock.key]) << "the token did not grow";
      }
      highest_[lock.key] = std::max(highest_[lock.key], lock.token);
      held_[lock.key] = {lock.session, lock.token};
      if (!reclaimed) expect_nobody_else(lock);
      thinks_held_[lock.session].insert(lock.key);
      if (!reclaimed) granted_now_.insert(lock.key);
    }
  }
  /// Nobody works on the record in good faith, and nobody could claim it after a crash at this moment.
  void expect_nobody_else(const LockRecord& lock) {
    for (const auto& [session, thinks] : thinks_held_) {
      if (session == lock.session || !thinks.contains(lock.key)) continue;
      EXPECT_LE(lease_until_[session], now_) << to_string(lock.key) << " was granted while another's lease is live";
      EXPECT_FALSE(stored_.contains(session)) << to_string(lock.key) << " was granted while another can still claim it";
    }
  }
  void check(Lost& lost) {
    EXPECT_FALSE(own_.contains(lost.session));
    EXPECT_LE(lease_until_[lost.session], now_);
    for (const auto& [ticket, wanted] : asked_) EXPECT_NE(wanted.session, lost.session) << "lost, but waits";
    dying_.insert(lost.session);
    sessions_[lost.session] = {};
  }
  void check(LocksReleased& released) {
    for (const auto& lock : released.locks) {
      const auto held = held_.find(lock.key);
      ASSERT_TRUE(held != held_.end()) << "released what nobody held";
      EXPECT_EQ(held->second.session, released.session);
      held_.erase(held);
    }
  }
  void check(LockReplied& reply) {
    if (plain_.erase(reply.ticket.value) == 1) return;
    const auto asked = asked_.find(reply.ticket.value);
    ASSERT_TRUE(asked != asked_.end()) << "a request got two outcomes";
    const auto wanted = asked->second;
    asked_.erase(asked);
    const auto named = named_.find(reply.ticket.value);
    if (named != named_.end()) {
      // A repeated name repeats a first result, perhaps of other keys: the grant was checked when it was made.
      named_.erase(named);
      granted_now_.clear();
      return;
    }
    if (reply.refused) return;
    std::set<RecordKey> got;
    for (const auto& [key, token] : reply.tokens) {
      got.insert(key);
      EXPECT_EQ(held_[key].session, reply.session) << "granted, but not the holder";
      EXPECT_EQ(held_[key].token, token);
    }
    EXPECT_EQ(got, wanted.keys) << "all or none";
    // First in, first out: no request that came earlier and waits has a key among those granted now.
    for (const auto& [ticket, other] : asked_) {
      if (named_.contains(ticket)) continue;  // perhaps attached to a request for other keys
      if (!other.waits || other.order >= wanted.order || other.session == wanted.session || being_granted(other)) continue;
      for (const auto& key : granted_now_) {
        EXPECT_FALSE(other.keys.contains(key)) << "overtaken on " << to_string(key);
      }
    }
    granted_now_.clear();
  }
  /// It waits for the guard alone; of the keys that its session held before, some may have been given back since.
  [[nodiscard]] bool being_granted(const Wanted& wanted) const {
    return std::ranges::any_of(wanted.keys, [&](const RecordKey& key) {
      const auto lock = engine_->locks().find(key);
      return lock && lock->granting && lock->session == wanted.session;
    });
  }
  void check(Left& left) {
    for (const auto& [key, held] : held_) EXPECT_NE(held.session, left.session.id) << "left with a lock";
    for (const auto& [ticket, wanted] : asked_) {
      EXPECT_NE(wanted.session, left.session.id) << "left with an open request";
    }
    stored_.erase(left.session.id);
    dying_.erase(left.session.id);
    EXPECT_EQ(left.own, own_.erase(left.session.id) == 1);
    forget_in_model(left.session.id);
  }
  void check(LocksLost&) {}
  void check(GuardWrite& write) {
    EXPECT_FALSE(write.tokens.empty());
    guard_.take(std::move(write));
  }
  void check(GuardClear& over) { guard_.take(std::move(over)); }
  void check(ClaimsSettled& settled) {
    // Who has no connection by now hears of it at its next resume, and does nothing before.
    if (!awaiting_claims_.contains(settled.session) || !sessions_[settled.session] || dying_.contains(settled.session)) return;
    welcome(settled.session, engine_->locks().held_by(settled.session));
  }
  void check(ReclaimEnded&) {
    if (guarding_) guard_.sweep(epoch_, engine_->locks());
  }
  [[nodiscard]] bool guarded(const RecordKey& key) const { return guarding_ && key.type == "patient"; }
  void check(Superseded& old) {
    for (const auto& [id, connection] : sessions_) EXPECT_NE(connection, old.connection);
  }
  void check(Joined&) {}
  void check(StateChanged&) {}
  void check(PingDue&) {}

  void check_table() {
    EXPECT_EQ(engine_->locks().held_count(), held_.size());
    for (const auto& lock : engine_->locks().list({}, 1000)) {
      const auto held = held_.find(lock.key);
      ASSERT_TRUE(held != held_.end());
      EXPECT_EQ(held->second.session, lock.session);
      EXPECT_TRUE(engine_->sessions().find(lock.session) != nullptr);
    }
    EXPECT_EQ(engine_->sessions().size(), sessions_.size());
    if (!guarding_ || !guard_.idle() || engine_->locks().reclaiming()) return;
    for (const auto& [key, token] : guard_.table()) {
      const auto held = held_.find(key);
      EXPECT_TRUE(held != held_.end() && held->second.token == token) << to_string(key) << " is over, but its token counts";
    }
  }

  /// kill -9: the engine's memory is gone; sessions were stored, clients know their locks.
  void restart() {
    // Who has not come back since the restart before still claims what it held then.
    for (const auto& [key, held] : held_) {
      owed_[held.session][key] = held.token;
      valid_before_[key] = held;
    }
    // Whose removal had committed is gone; whose had not is back.
    for (const auto session : dying_) {
      if (!stored_.contains(session)) forget_in_model(session);
    }
    dying_.clear();
    // Those of the process ended with it and claim nothing.
    for (const auto session : std::exchange(own_, {})) forget_in_model(session);
    guard_.crash();
    awaiting_claims_.clear();
    due_.clear();
    held_.clear();
    asked_.clear();
    named_.clear();
    plain_.clear();
    granted_now_.clear();
    std::vector<StoredSession> known;
    for (const auto& [id, stored] : stored_) known.push_back(stored);
    for (auto& [id, connection] : sessions_) connection = {};
    start_node(std::move(known));
  }

  void forget_in_model(SessionId session) {
    sessions_.erase(session);
    owed_.erase(session);
    thinks_held_.erase(session);
    awaiting_claims_.erase(session);
    due_.erase(session);
  }

  std::mt19937_64 random_;
  const std::uint64_t steps_;
  GuardModel guard_{random_};
  bool guarding_;
  TimePoint now_{seconds{1000}};
  Settings settings_;
  LockEpoch epoch_;
  std::unique_ptr<Engine> engine_;
  std::map<SessionId, ConnectionId> sessions_;
  std::map<SessionId, StoredSession> stored_;        ///< durable
  std::set<SessionId> dying_;                        ///< lost, not yet forgotten
  std::set<SessionId> own_;
  std::uint64_t own_count_ = 0;
  std::map<SessionId, std::set<RecordKey>> thinks_held_;
  std::map<SessionId, TimePoint> lease_until_;       ///< by the client's own clock
  std::set<SessionId> seen_sessions_;
  std::map<RecordKey, Held> held_, valid_before_;
  std::map<RecordKey, FencingToken> highest_;
  std::map<SessionId, std::map<RecordKey, FencingToken>> owed_;
  std::map<std::uint64_t, Wanted> asked_;
  std::map<std::uint64_t, std::pair<SessionId, std::string>> named_;
  std::set<std::uint64_t> plain_;
  std::set<SessionId> awaiting_claims_;                      ///< resumed, but not welcome yet
  std::map<SessionId, std::set<RecordKey>> due_;
  std::set<RecordKey> granted_now_;
  std::vector<protocol::KeyToken> resumed_held_;
  SessionId resumed_session_;
  std::uint64_t next_ = 1, connections_ = 0, tickets_ = 0, order_ = 0, passed_ = 0;
  unsigned start_count_ = 0;
  bool window_ = false;  ///< before the last step
};

TEST(ClusterSimulation, LocksAndSessionsKeepTheirLawsUnderRandomSteps) {
  const auto seed = from_environment("VERBUND_SIM_SEED", std::random_device{}());
  const auto steps = from_environment("VERBUND_SIM_STEPS", 10'000'000);
  std::cout << "VERBUND_SIM_SEED=" << seed << "\n";
  RecordProperty("seed", std::to_string(seed));
  constexpr std::uint64_t kRuns = 20;
  for (std::uint64_t run = 0; run < kRuns && !HasFailure(); ++run) Simulation(seed + run, steps / kRuns).run();
}

}  // namespace
}  // namespace verbund::cluster
