// Presence, loss, restarts: what happens to sessions and so to their locks.
#include "cluster/engine_fixture.h"

namespace verbund::cluster {
namespace {

TEST_F(Cluster, ATornConnectionKeepsItsLocksUntilTheWindowIsOver) {
  start();
  const auto a = add();
  lock(a, {kAnna});
  engine->disconnected(a, {a.value + 1000}, now());
  pass(seconds{34});
  EXPECT_TRUE(all_of<Left>(actions).empty());
  pass(milliseconds{1100});
  EXPECT_EQ(all_of<Left>(actions).front().reason, protocol::LeftReason::kLost);
  EXPECT_EQ(all_of<LocksReleased>(actions).size(), 1u);
}

TEST_F(Cluster, SilenceMakesSuspectAndASignOfLifeActiveAgain) {
  start();
  const auto a = add();
  pass(milliseconds{10'100});
  EXPECT_EQ(all_of<StateChanged>(actions).front().state, protocol::SessionState::kSuspect);
  engine->sign_of_life(a, now());
  EXPECT_EQ(all_of<StateChanged>(engine->take_actions()).front().state, protocol::SessionState::kActive);
}

TEST_F(Cluster, ASilentHolderThatIsStillConnectedHearsOfItsLoss) {
  start();
  const auto a = add();
  lock(a, {kAnna});
  pass(seconds{36});
  EXPECT_EQ(all_of<LocksLost>(actions).front().reason, protocol::LockLostReason::kExpired);
}

TEST_F(Cluster, AStalledLoopExtendsLeasesBeforeItExpiresAny) {
  start();
  add();
  pass(seconds{1});
  time += seconds{600};
  pass(milliseconds{100});
  EXPECT_TRUE(actions.empty());
}

TEST_F(Cluster, AResumingConnectionSupersedesItsHalfOpenPredecessor) {
  start();
  const auto a = add();
  engine->take_actions();
  ASSERT_TRUE(engine->resume(a, {77}, false, {}, now()));
  EXPECT_EQ(all_of<Superseded>(engine->take_actions()).front().connection, (ConnectionId{a.value + 1000}));
  engine->disconnected(a, {a.value + 1000}, now());
  EXPECT_EQ(engine->session(a)->state, protocol::SessionState::kActive);
}

TEST_F(Cluster, ClientServerModeTakesOneWorkstationPerAddress) {
  settings.mode = protocol::Mode::kClientServer;
  start();
  add("192.0.2.1");
  const auto refused = engine->admit(stored("192.0.2.1", "Labor"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("Empfang"), std::string::npos);
  auto tool = stored("192.0.2.1", "cli");
  tool.kind = protocol::SessionKind::kTool;
  EXPECT_TRUE(engine->admit(tool));
  EXPECT_TRUE(engine->admit(stored("192.0.2.2")));
}

TEST_F(Cluster, HoldersReclaimAfterARestartAndTheWindowEndsWithTheLast) {
  start();
  const auto a = add(), b = add();
  const auto token = lock(a, {kAnna}).front().token;
  std::vector<StoredSession> known{engine->session(a)->stored, engine->session(b)->stored};
  start(known, 2);
  const std::vector<protocol::Reclaim> claims{{kAnna, token}};
  const auto resumed = engine->resume(a, {1}, false, claims, now());
  EXPECT_EQ(resumed->held.front().token, token);
  EXPECT_EQ(lock(a, {kBert}).front().refused, ErrorCode::kReclaiming);
  ASSERT_TRUE(engine->resume(b, {2}, false, claims, now()));
  EXPECT_EQ(lock(b, {kAnna}).front().refused, ErrorCode::kHeld);
  EXPECT_GT(lock(b, {kBert}).front().token, token);
}

TEST_F(Cluster, ReclaimAfterTheWindowIsRefused) {
  start();
  const auto a = add(), b = add();
  std::vector<StoredSession> known{engine->session(a)->stored, engine->session(b)->stored};
  start(known, 2);
  engine->leave(b, protocol::LeftReason::kGoodbye, now());
  ASSERT_TRUE(engine->resume(a, {1}, false, {}, now()));
  const std::vector<protocol::Reclaim> late{{kAnna, FencingToken::of({{1}, 1}, 9)}};
  EXPECT_EQ(engine->resume(a, {3}, false, late, now())->lost.front().reason, protocol::LockLostReason::kRefused);
}

// Seed 775612229 of the simulation: the node had ended the window by the clock in the same tick in which it declared the
// last claimant lost, but before: a waiting request got the key while that claimant still stood in the table with a claim.
TEST_F(Cluster, TheReclaimWindowEndsAfterTheLastWhoCouldClaimIsLost) {
  start();
  const auto a = add(), b = add();
  lock(a, {kAnna});
  std::vector<StoredSession> known{engine->session(a)->stored, engine->session(b)->stored};
  start(known, 2);
  ASSERT_TRUE(engine->resume(b, {2}, false, {}, now()));
  EXPECT_TRUE(lock(b, {kAnna}, seconds{60}).empty());
  for (int second = 0; second < 36; ++second) {
    engine->sign_of_life(b, now());
    pass(seconds{1});
    if (!all_of<LockReplied>(actions).empty()) break;
  }
  ASSERT_EQ(all_of<Left>(actions).size(), 1u);
  EXPECT_EQ(all_of<Left>(actions).front().session.id, a);
  const auto position = [&](auto is) { return std::ranges::find_if(actions, is) - actions.begin(); };
  EXPECT_LT(position([](const Action& action) { return std::holds_alternative<Left>(action); }),
            position([](const Action& action) { return std::holds_alternative<LocksGranted>(action); }));
}

// The same seed: a session of before a restart has no connection; the end of "no connection" restarted its window, so
// that it was never lost and the others never got its locks.
TEST_F(Cluster, AConnectionThatWasNoneCanNotCloseAgain) {
  start();
  const auto a = add();
  std::vector<StoredSession> known{engine->session(a)->stored};
  start(known, 2);
  pass(seconds{20});
  engine->disconnected(a, {}, now());
  pass(seconds{16});
  EXPECT_EQ(all_of<Left>(actions).size(), 1u);
}

TEST_F(Cluster, ALostSessionKeepsItsLocksUntilTheStoreHasForgottenIt) {
  start();
  store_answers = false;
  const auto a = add(), b = add();
  lock(a, {kAnna});
  EXPECT_TRUE(lock(b, {kAnna}, seconds{100}).empty());
  for (int second = 0; second < 40; ++second) {
    engine->sign_of_life(b, now());
    pass(seconds{1});
    EXPECT_TRUE(all_of<LocksGranted>(actions).empty());
  }
  EXPECT_FALSE(engine->resume(a, {9}, false, {}, now()));
  engine->forget(a, now());
  actions = engine->take_actions();
  EXPECT_EQ(all_of<LocksReleased>(actions).front().workstation, "Empfang");
  EXPECT_EQ(all_of<LocksGranted>(actions).front().locks.front().session, b);
  EXPECT_EQ(all_of<Left>(actions).size(), 1u);
  engine->forget(a, now());
  EXPECT_TRUE(engine->take_actions().empty());
}

TEST_F(Cluster, ALostSessionWaitsForNothingAnyMore) {
  start();
  store_answers = false;
  const auto a = add(), b = add();
  lock(b, {kAnna});
  lock(a, {kAnna}, seconds{100});
  for (int second = 0; second < 36; ++second) {
    engine->sign_of_life(b, now());
    pass(seconds{1});
    if (!all_of<Lost>(actions).empty()) break;
  }
  ASSERT_EQ(all_of<LockReplied>(actions).size(), 1u);
  EXPECT_EQ(all_of<LockReplied>(actions).front().refused, ErrorCode::kCancelled);
  unlock(b, {kAnna});
  EXPECT_TRUE(all_of<LocksGranted>(actions).empty());
}

TEST_F(Cluster, TheWindowAfterARestartWaitsForTheStoreToForgetTheLost) {
  start();
  const auto a = add(), b = add();
  std::vector<StoredSession> known{engine->session(a)->stored, engine->session(b)->stored};
  start(known, 2);
  store_answers = false;
  ASSERT_TRUE(engine->resume(b, {2}, false, {}, now()));
  for (int second = 0; second < 40; ++second) {
    engine->sign_of_life(b, now());
    pass(seconds{1});
  }
  EXPECT_EQ(lock(b, {kAnna}).front().refused, ErrorCode::kReclaiming);
  engine->forget(a, now());
  EXPECT_FALSE(lock(b, {kAnna}).front().refused);
}

}  // namespace
}  // namespace verbund::cluster
