// Work locks: who gets a key, who waits, who is told.
#include "cluster/engine_fixture.h"

namespace verbund::cluster {
namespace {

TEST_F(Cluster, TellsWhoHoldsALockedKey) {
  start();
  const auto a = add(), b = add();
  ASSERT_FALSE(lock(a, {kAnna}).front().refused);
  const auto refused = lock(b, {kAnna});
  EXPECT_EQ(refused.front().refused, ErrorCode::kHeld);
  EXPECT_EQ(refused.front().holder->session, a);
}

TEST_F(Cluster, GrantsSeveralKeysAllOrNone) {
  start();
  const auto a = add(), b = add();
  lock(a, {kBert});
  EXPECT_TRUE(lock(b, {kAnna, kBert}).front().refused);
  EXPECT_FALSE(lock(a, {kAnna}).front().refused);
}

TEST_F(Cluster, TokensGrowWithEveryGrant) {
  start();
  const auto a = add();
  const auto first = lock(a, {kAnna}).front().token;
  unlock(a, {kAnna});
  EXPECT_GT(lock(a, {kAnna}).front().token, first);
}

TEST_F(Cluster, WakesWaitersOneByOneInOrderOfArrival) {
  start();
  const auto a = add(), b = add(), c = add();
  lock(a, {kAnna});
  EXPECT_TRUE(lock(b, {kAnna}, seconds{60}).empty());
  EXPECT_TRUE(lock(c, {kAnna}, seconds{60}).empty());
  const auto replies = unlock(a, {kAnna});
  ASSERT_EQ(replies.size(), 2u);  // a's own, and b's grant
  EXPECT_EQ(replies.back().session, b);
}

TEST_F(Cluster, AWaiterForSeveralKeysIsNotStarved) {
  start();
  const auto a = add(), b = add(), c = add();
  lock(a, {kAnna});
  lock(b, {kAnna, kBert}, seconds{60});
  EXPECT_EQ(lock(c, {kBert}).front().refused, ErrorCode::kHeld);  // free, but reserved
  const auto replies = unlock(a, {kAnna});
  EXPECT_EQ(replies.back().session, b);
  EXPECT_EQ(replies.back().tokens.size(), 2u);
}

TEST_F(Cluster, AWaitEndsWithItsTimeLimit) {
  start();
  const auto a = add(), b = add();
  lock(a, {kAnna});
  lock(b, {kAnna}, seconds{2});
  pass(seconds{1});
  EXPECT_TRUE(all_of<LockReplied>(actions).empty());
  pass(milliseconds{1100});
  EXPECT_EQ(all_of<LockReplied>(actions).front().refused, ErrorCode::kTimedOut);
}

TEST_F(Cluster, ARequestRepeatedAfterALostReplyGetsTheFirstGrantAgain) {
  start();
  const auto a = add();
  const auto first = lock(a, {kAnna}, {}, "r1");
  const auto again = lock(a, {kAnna}, {}, "r1");
  EXPECT_EQ(first.front().token, again.front().token);
  EXPECT_TRUE(all_of<LocksGranted>(actions).empty());
}

TEST_F(Cluster, ARepeatedWaitingRequestIsAnsweredForEachTime) {
  start();
  const auto a = add(), b = add();
  lock(a, {kAnna});
  lock(b, {kAnna}, seconds{60}, "r1");
  lock(b, {kAnna}, seconds{60}, "r1");
  EXPECT_EQ(unlock(a, {kAnna}).size(), 3u);
}

TEST_F(Cluster, CancelEndsAWaitingRequest) {
  start();
  const auto a = add(), b = add();
  lock(a, {kAnna});
  lock(b, {kAnna}, seconds{60}, "r1");
  engine->cancel(b, {++tickets}, "r1", now());
  const auto replies = all_of<LockReplied>(engine->take_actions());
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies.front().refused, ErrorCode::kCancelled);
  EXPECT_FALSE(replies.back().refused);
}

TEST_F(Cluster, ReleaseIsAnnouncedOnlyAfterItsChangesHavePassed) {
  start();
  const auto a = add(), b = add();
  lock(a, {kAnna});
  lock(b, {kAnna}, seconds{60});
  unlock(a, {kAnna}, Lsn{500});
  EXPECT_TRUE(all_of<LocksReleased>(actions).empty());
  engine->feed_passed({500}, now());
  actions = engine->take_actions();
  EXPECT_FALSE(all_of<LocksReleased>(actions).front().changes_pending);
  EXPECT_EQ(all_of<LockReplied>(actions).front().session, b);
}

TEST_F(Cluster, ReleaseIsMarkedWhenItsChangesDoNotCome) {
  start();
  const auto a = add();
  lock(a, {kAnna});
  unlock(a, {kAnna}, kLsnUnknown);
  pass(milliseconds{1900});
  EXPECT_TRUE(all_of<LocksReleased>(actions).empty());
  pass(milliseconds{200});
  EXPECT_TRUE(all_of<LocksReleased>(actions).front().changes_pending);
}

TEST_F(Cluster, AClaimOfAKeyThatIsBeingReleasedIsToldAsLost) {
  start();
  const auto a = add(), b = add();
  const auto token = lock(a, {kAnna, kBert}).front().token;
  unlock(a, {kAnna}, Lsn{500});
  engine->disconnected(a, {a.value + 1000}, now());
  const std::vector<protocol::Reclaim> claims{{kAnna, token}, {kBert, token}};
  const auto resumed = engine->resume(a, {7}, false, claims, now());
  ASSERT_EQ(resumed->held, (std::vector<protocol::KeyToken>{{kBert, token}}));
  ASSERT_EQ(resumed->lost.size(), 1u);
  EXPECT_EQ(resumed->lost.front().key, kAnna);
  EXPECT_EQ(resumed->lost.front().reason, protocol::LockLostReason::kRefused);
  EXPECT_EQ(lock(b, {kAnna}).front().refused, ErrorCode::kHeld) << "until its changes have passed";
}

// What a client that gave up needs to find out (client/calls_test.cc, ARepeatedLockWhoseGrantIsOverIsAskedForAnew).
TEST_F(Cluster, ARepeatedRequestIsToldThatItsGrantIsOverAndTheOtherKeysStayHeld) {
  start();
  const auto a = add();
  const auto token = lock(a, {kAnna, kBert}, {}, "r1").front().token;
  const std::vector<RecordKey> broken{kAnna};
  engine->force(broken, "admin", "", now());
  const auto resumed = engine->resume(a, {7}, false, {}, now());
  EXPECT_EQ(resumed->held, (std::vector<protocol::KeyToken>{{kBert, token}}));
  EXPECT_EQ(lock(a, {kAnna, kBert}, {}, "r1").front().refused, ErrorCode::kNotHeld);
  EXPECT_EQ(lock(a, {kAnna, kBert}, {}, "r2").front().tokens.size(), 2u);
}

// The case of client/calls_test.cc, ALockGrantedAnewToACallThatGaveUpIsGivenBack: the same request asks for a key that the
// session holds and, broken a moment before, is granted it again.
TEST_F(Cluster, AKeyThatWasBrokenIsGrantedAgainToItsHoldersOwnRequest) {
  start();
  const auto a = add(), b = add();
  const auto token = lock(a, {kAnna}).front().token;
  const std::vector<RecordKey> keys{kAnna};
  engine->force(keys, "admin", "", now());
  EXPECT_GT(lock(a, {kAnna, kBert}, {}, "r1").front().token, token);
  engine->cancel(a, {++tickets}, "r1", now());
  EXPECT_EQ(all_of<LockReplied>(engine->take_actions()).back().refused, ErrorCode::kNotFound);
  EXPECT_FALSE(unlock(a, {kAnna, kBert}).front().refused);
  EXPECT_FALSE(lock(b, {kAnna, kBert}).front().refused);
}

// A grant that comes when its client has given up and is not connected: it is held, and told at the resume.
TEST_F(Cluster, ALateGrantToATornClientIsToldAtItsResume) {
  start();
  const auto a = add(), b = add();
  lock(b, {kAnna});
  EXPECT_TRUE(lock(a, {kAnna}, seconds{60}, "r1").empty());
  engine->disconnected(a, {a.value + 1000}, now());
  unlock(b, {kAnna});
  const auto resumed = engine->resume(a, {7}, false, {}, now());
  ASSERT_EQ(resumed->held.size(), 1u);
  EXPECT_EQ(resumed->held.front().key, kAnna);
  EXPECT_FALSE(unlock(a, {kAnna}).front().refused);
  EXPECT_EQ(engine->locks().held_count(), 0u);
}

TEST_F(Cluster, BreakingALockTellsItsHolder) {
  start();
  const auto a = add();
  lock(a, {kAnna});
  const std::vector<RecordKey> keys{kAnna};
  EXPECT_EQ(engine->force(keys, "admin", "gone home", now()).front().session, a);
  actions = engine->take_actions();
  EXPECT_EQ(all_of<LocksLost>(actions).front().by, "admin");
  EXPECT_EQ(unlock(a, {kAnna}).front().refused, ErrorCode::kNotHeld);
}

}  // namespace
}  // namespace verbund::cluster
