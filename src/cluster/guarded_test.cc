// Locks of guarded types: nobody hears of a grant before the guard has written it.
#include "cluster/engine_fixture.h"
#include "cluster/service_fixture.h"

namespace verbund::cluster {
namespace {

struct GuardedLocks : Cluster {
  void begin(std::vector<StoredSession> known = {}, std::uint16_t start_count = 1) {
    start(std::move(known), start_count);
    engine->set_guarded({"patient"});
  }
  /// The guard's word on the only write of the last actions.
  void guard_says(GuardOutcome outcome = {}) {
    const auto writes = all_of<GuardWrite>(actions);
    ASSERT_EQ(writes.size(), 1u);
    engine->guard_done(writes[0].number, outcome, now());
    actions = engine->take_actions();
  }
};

TEST_F(GuardedLocks, AGrantIsToldWhenItIsWritten) {
  begin();
  const auto a = add();
  EXPECT_TRUE(lock(a, {kAnna}).empty());
  EXPECT_TRUE(all_of<LocksGranted>(actions).empty());
  EXPECT_TRUE(engine->locks().list({}, 10).empty());
  EXPECT_TRUE(engine->locks().held_by(a).empty());
  guard_says();
  EXPECT_EQ(all_of<LocksGranted>(actions).front().locks.front().key, kAnna);
  EXPECT_FALSE(all_of<LockReplied>(actions).front().refused);
  EXPECT_EQ(engine->locks().held_count(), 1u);
}

TEST_F(GuardedLocks, MeanwhileTheKeyIsTaken) {
  begin();
  const auto a = add(), b = add();
  lock(a, {kAnna});
  EXPECT_EQ(lock(b, {kAnna}).front().refused, ErrorCode::kHeld);
  EXPECT_EQ(unlock(a, {kAnna}).front().refused, ErrorCode::kNotHeld) << "it has not been told";
}

TEST_F(GuardedLocks, AFailedWriteFreesAllKeysOfTheRequestAndClearsThem) {
  begin();
  const auto a = add(), b = add();
  lock(a, {kAnna, kBert, {"letter", "1"}});
  EXPECT_EQ(all_of<GuardWrite>(actions).front().tokens.size(), 2u) << "letters are not guarded";
  guard_says({{kBert}, ErrorCode::kUnavailable});
  EXPECT_EQ(all_of<LockReplied>(actions).front().refused, ErrorCode::kUnavailable);
  EXPECT_EQ(all_of<LockReplied>(actions).front().key, kBert);
  EXPECT_EQ(all_of<GuardClear>(actions).front().tokens.size(), 2u);
  EXPECT_TRUE(all_of<LocksReleased>(actions).empty()) << "nobody had heard of them";
  lock(b, {{"letter", "1"}});
  EXPECT_FALSE(all_of<LockReplied>(actions).front().refused);
}

TEST_F(GuardedLocks, ARepeatedRequestHearsTheSameOutcome) {
  begin();
  const auto a = add();
  lock(a, {kAnna}, {}, "r1");
  const auto asked = actions;
  EXPECT_TRUE(lock(a, {kAnna}, {}, "r1").empty());
  EXPECT_TRUE(all_of<GuardWrite>(actions).empty());
  actions = asked;
  guard_says();
  EXPECT_EQ(all_of<LockReplied>(actions).size(), 2u);
}

TEST_F(GuardedLocks, AnotherRequestOfTheSameSessionWaitsForTheWrite) {
  begin();
  const auto a = add();
  lock(a, {kAnna});
  const auto asked = actions;
  EXPECT_TRUE(lock(a, {kAnna}).empty());
  actions = asked;
  guard_says();
  const auto replies = all_of<LockReplied>(actions);
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[0].token, replies[1].token);
}

TEST_F(GuardedLocks, CancelAndGoodbyeEndAGrantThatIsNotWrittenYet) {
  begin();
  const auto a = add(), b = add();
  lock(a, {kAnna}, {}, "r1");
  const auto number = all_of<GuardWrite>(actions).front().number;
  engine->cancel(a, {++tickets}, "r1", now());
  actions = engine->take_actions();
  EXPECT_EQ(all_of<LockReplied>(actions).front().refused, ErrorCode::kCancelled);
  EXPECT_EQ(all_of<GuardClear>(actions).size(), 1u);
  engine->guard_done(number, {}, now());
  EXPECT_TRUE(engine->take_actions().empty()) << "the guard's word comes too late";
  lock(a, {kAnna});
  engine->leave(a, protocol::LeftReason::kGoodbye, now());
  actions = engine->take_actions();
  EXPECT_EQ(all_of<GuardClear>(actions).size(), 1u);
  lock(b, {kAnna});
  EXPECT_EQ(all_of<GuardWrite>(actions).size(), 1u);
}

TEST_F(GuardedLocks, AReleasedLockLeavesTheTable) {
  begin();
  const auto a = add();
  lock(a, {kAnna});
  const auto token = all_of<GuardWrite>(actions).front().tokens.front().token;
  guard_says();
  unlock(a, {kAnna});
  EXPECT_EQ(all_of<GuardClear>(actions).front().tokens.front().token, token);
}

TEST_F(GuardedLocks, LocksThatAreHeldWhenATypeIsGuardedAreHandedOver) {
  start();
  const auto a = add();
  lock(a, {kAnna, {"letter", "1"}});
  const auto held = engine->set_guarded({"patient"});
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held.front().key, kAnna);
  EXPECT_TRUE(engine->set_guarded({"patient"}).empty());
}

TEST_F(GuardedLocks, AClaimIsMetWhenTheTableHasNoHigherToken) {
  begin();
  auto anna = stored();
  const auto id = anna.id;
  begin({anna}, 2);
  const auto old = FencingToken::of({{1}, 1}, 7);
  const std::vector<protocol::Reclaim> claims{{kAnna, old}, {kBert, old}};
  auto resumed = engine->resume(id, {1}, false, claims, now());
  ASSERT_TRUE(resumed);
  EXPECT_TRUE(resumed->pending);
  EXPECT_TRUE(resumed->held.empty());
  actions = engine->take_actions();
  EXPECT_TRUE(all_of<GuardWrite>(actions).front().claims);
  guard_says({{kBert}, ErrorCode::kReclaimRefused});
  EXPECT_EQ(all_of<ClaimsSettled>(actions).size(), 1u);
  const auto held = engine->locks().held_by(id);
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held.front(), (protocol::KeyToken{kAnna, old}));
}

/// Answers when the test says so.
struct HeldBackGuard final : LockGuard {
  void write(std::vector<protocol::KeyToken> tokens, SessionId, GuardPatience, std::function<void(Outcome)> done) override {
    for (const auto& [key, token] : tokens) asked.push_back(key);
    waiting.push_back(std::move(done));
  }
  void clear(std::vector<protocol::KeyToken> tokens) override {
    for (const auto& [key, token] : tokens) cleared.push_back(key);
  }
  void earlier_than(LockEpoch, std::function<void(std::vector<protocol::KeyToken>)> done) override { done(rows); }
  void answer(const Outcome& outcome = {}) {
    for (auto& done : std::exchange(waiting, {})) done(outcome);
  }
  std::vector<RecordKey> asked, cleared;
  std::vector<protocol::KeyToken> rows;
  std::vector<std::function<void(Outcome)>> waiting;
};

struct GuardedServing : Serving {
  void start_guarded(std::uint16_t start_count) {
    std::vector<StoredSession> known;
    for (const auto& [id, session] : office.stored) known.push_back(session);
    service.reset();
    service = std::make_unique<Service>(settings, LockEpoch{{1}, start_count}, std::move(known), SessionId{100u * start_count},
                                        Surroundings{loop, clock, office, office, office, office, silent, silent,
                                                     [] { return std::string("{}"); }, "node", "1", {}, {}, &guard, {"patient"}});
  }
  GuardedServing() { start_guarded(1); }
  HeldBackGuard guard;
};

TEST_F(GuardedServing, NobodyHearsOfAGrantBeforeTheGuardHasWrittenIt) {
  join(anna, "anna");
  join(bert, "bert");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  settle();
  EXPECT_FALSE(anna.says("\"re\":2"));
  EXPECT_FALSE(bert.says("lock.granted"));
  guard.answer();
  settle();
  EXPECT_TRUE(anna.says(R"({"re":2,"ok":true,"token")")) << anna.all;
  EXPECT_TRUE(bert.says("lock.granted"));
  say(anna, R"({"op":"unlock","id":3,"keys":["patient/1"]})");
  EXPECT_EQ(guard.cleared.size(), 1u);
}

TEST_F(GuardedServing, AFailedWriteIsARefusalWithItsCode) {
  join(anna, "anna");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  guard.answer({{{"patient", "1"}}, ErrorCode::kUnavailable});
  EXPECT_TRUE(anna.says("unavailable")) << anna.all;
}

TEST_F(GuardedServing, TheWelcomeOfAResumeWaitsForItsClaims) {
  join(anna, "anna");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1","patient/2"]})");
  guard.answer();
  const auto token = anna.value("token");
  guard.rows = {{{"patient", "9"}, FencingToken::of({{1}, 1}, 1)}};
  start_guarded(2);
  resume(carl, "100", anna.value("secret"), R"(,"reclaim":[{"key":"patient/1","token":")" + token +
                                                R"("},{"key":"patient/2","token":")" + token + "\"}]");
  say(carl, R"({"op":"lock","id":5,"keys":["letter/1"]})");
  EXPECT_TRUE(carl.all.empty()) << carl.all;
  guard.answer({{{"patient", "2"}}, ErrorCode::kReclaimRefused});
  EXPECT_TRUE(carl.says(R"("held":[{"key":"patient/1")")) << carl.all;
  EXPECT_TRUE(carl.says(R"("lost":[{"key":"patient/2","reason":"refused")")) << carl.all;
  EXPECT_TRUE(carl.says(R"("re":5)")) << "what was said meanwhile is taken after the welcome";
  EXPECT_EQ(guard.cleared, (std::vector<RecordKey>{{"patient", "9"}})) << "what nobody claims is over";
}

TEST_F(GuardedServing, AConnectionThatGoesWhileItsClaimsAreOpenMayComeAgain) {
  join(anna, "anna");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  guard.answer();
  const auto token = anna.value("token");
  start_guarded(2);
  const auto claim = R"(,"reclaim":[{"key":"patient/1","token":")" + token + "\"}]";
  resume(bert, "100", anna.value("secret"), claim);
  tear(bert);
  resume(carl, "100", anna.value("secret"), claim);
  guard.answer();
  EXPECT_TRUE(carl.says(R"("held":[{"key":"patient/1")")) << carl.all;
  EXPECT_FALSE(bert.says("welcome"));
}

}  // namespace
}  // namespace verbund::cluster
