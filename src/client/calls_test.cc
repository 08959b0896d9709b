// Calls over torn connections, and the locks they lead to.
#include "client/engine_fixture.h"

namespace verbund::client {
namespace {

using CallsTest = EngineTest;

Lock lock_of(std::vector<RecordKey> keys) { return {std::move(keys), {}, {}, {}}; }

TEST_F(CallsTest, RepeatsALockUnderTheSameRequestAfterATornConnection) {
  join();
  const auto id = call(lock_of({kPatient}));
  const auto first = last_as<Lock>().request;
  EXPECT_FALSE(first.empty());
  close();
  come_back();
  EXPECT_FALSE(finished(id));
  answer(welcome(true));
  EXPECT_EQ(last_as<Lock>().request, first);
  answer(Refused{{ErrorCode::kHeld, "held", ""}, {}, {}});
  EXPECT_EQ(refusal(id), ErrorCode::kHeld);
}

TEST_F(CallsTest, ARepeatedGrantIsConfirmedBeforeItIsBelieved) {
  join();
  const auto id = call(lock_of({kPatient}));
  const auto first = last_as<Lock>().request;
  close();
  come_back();
  answer(welcome(true));
  answer(granted({{kPatient, {7}}}));  // remembered by the node; an administrator may have broken it since
  EXPECT_FALSE(finished(id));
  EXPECT_NE(last_as<Lock>().request, first);
  answer(Refused{{ErrorCode::kHeld, "held", ""}, {}, {}});
  EXPECT_EQ(refusal(id), ErrorCode::kHeld);
}

TEST_F(CallsTest, CallsMadeWithoutConnectionWaitForIt) {
  join();
  close();
  const auto id = call(lock_of({kPatient}));
  take();
  EXPECT_TRUE(sent.empty());
  come_back();
  answer(welcome(true));
  answer(granted({{kPatient, {7}}}));
  EXPECT_TRUE(finished(id));
  EXPECT_EQ(refusal(id), ErrorCode::kInternal) << "granted";
}

TEST_F(CallsTest, EndAtTheirDeadline) {
  join();
  close();
  const auto id = call(Who{}, seconds{2});
  pass(seconds{3});
  EXPECT_EQ(refusal(id), ErrorCode::kTimedOut);
  EXPECT_EQ(refusal(call(Who{}, seconds{0})), ErrorCode::kTimedOut);
}

TEST_F(CallsTest, ALockNobodyWaitsForAnyMoreIsCancelledAndGivenBack) {
  join();
  const auto id = call(lock_of({kPatient}), seconds{1});
  const auto request = last_as<Lock>().request;
  pass(seconds{2});
  EXPECT_EQ(refusal(id), ErrorCode::kTimedOut);
  ASSERT_EQ(all_as<Cancel>().size(), 1U);
  EXPECT_EQ(all_as<Cancel>()[0].request, request);
  ASSERT_EQ(all_as<Unlock>().size(), 1U);
  EXPECT_EQ(all_as<Unlock>()[0].keys, std::vector{kPatient});
  close();
  sent.clear();
  come_back();
  EXPECT_TRUE(last_as<Resume>().reclaim.empty());
  answer(welcome(true));
  EXPECT_EQ(all_as<Cancel>().size(), 1U) << "until the node has answered";
  EXPECT_EQ(all_as<Unlock>().size(), 1U);
}

// Found by client_simtest, seed 20261158.
TEST_F(CallsTest, AnUnlockWhoseCallerGaveUpEndsAnOlderGrantThatIsToldLate) {
  join();
  const auto lock = call(lock_of({kPatient}), seconds{30});
  const auto lock_id = last().id;
  const auto unlock = call(Unlock{{kPatient}, {}, {}, false, {}}, seconds{1});
  const auto unlock_id = last().id;
  pass(seconds{2});
  EXPECT_EQ(refusal(unlock), ErrorCode::kTimedOut);
  answer(lock_id, granted({{kPatient, {7}}}));
  EXPECT_TRUE(finished(lock));
  answer(unlock_id, Done{});
  take();
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_EQ(gone[0].keys, std::vector{kPatient});
}

TEST_F(CallsTest, DoesNotGiveBackWhatItHeldBefore) {
  join();
  call(lock_of({kPatient}));
  answer(granted({{kPatient, {7}}}));
  call(lock_of({kPatient, kOther}), seconds{1});
  pass(seconds{2});
  ASSERT_EQ(all_as<Unlock>().size(), 1U);
  EXPECT_EQ(all_as<Unlock>()[0].keys, std::vector{kOther});
}

TEST_F(CallsTest, GivesBackAfterAResumeWhatNobodyAskedFor) {
  join();
  close();
  come_back();
  auto hello = welcome(true);
  hello.held = {{kOther, {9}}};
  answer(hello);
  ASSERT_EQ(all_as<Unlock>().size(), 1U);
  EXPECT_EQ(all_as<Unlock>()[0].keys, std::vector{kOther});
}

TEST_F(CallsTest, TellsWhichLocksAResumeHasLost) {
  join();
  call(lock_of({kPatient, kOther}));
  answer(granted({{kPatient, {7}}, {kOther, {7}}}));
  close();
  come_back();
  auto hello = welcome(true);
  hello.held = {{kPatient, {7}}};
  hello.lost = {{kOther, LockLostReason::kBroken}};
  answer(hello);
  take();
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_EQ(gone[0].keys, std::vector{kOther});
  EXPECT_EQ(gone[0].reason, LockLostReason::kBroken);
}

TEST_F(CallsTest, DoesNotCryLossOverALockThatItIsGivingBack) {
  join();
  call(lock_of({kPatient}));
  answer(granted({{kPatient, {7}}}));
  const auto id = call(Unlock{{kPatient}, {}, {}, false, {}});
  close();
  come_back();
  auto hello = welcome(true);
  hello.lost = {{kPatient, LockLostReason::kRefused}};
  answer(hello);
  take();
  EXPECT_TRUE(gone.empty());
  answer(Done{});
  EXPECT_TRUE(finished(id));
}

TEST_F(CallsTest, TellsABrokenLock) {
  join();
  call(lock_of({kPatient}));
  answer(granted({{kPatient, {7}}}));
  event(LockLost{{kPatient, kOther}, LockLostReason::kBroken, "admin", "Urlaub"});
  take();
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_EQ(gone[0].keys, std::vector{kPatient});
  close();
  come_back();
  EXPECT_TRUE(last_as<Resume>().reclaim.empty());
}

TEST_F(CallsTest, NeverBreaksALockTwice) {
  join();
  const auto id = call(Break{{kPatient}, "Urlaub"});
  close();
  EXPECT_EQ(refusal(id), ErrorCode::kNotReachable);
  sent.clear();
  come_back();
  answer(welcome(true));
  EXPECT_TRUE(all_as<Break>().empty());
}

TEST_F(CallsTest, AsksAgainWhileTheFirstSendingIsStillBeingDone) {
  join();
  const auto id = call(Changed{{{kPatient, ChangeOp::kUpdate}}, {}});
  close();
  come_back();
  answer(welcome(true));
  Refused busy{{ErrorCode::kUnavailable, "still being done", ""}, {}, milliseconds{200}};
  answer(busy);
  EXPECT_FALSE(finished(id));
  sent.clear();
  pass(milliseconds{300});
  ASSERT_EQ(all_as<Changed>().size(), 1U);
  answer(Done{});
  EXPECT_TRUE(finished(id));
}

TEST_F(CallsTest, GoodbyeEndsWithoutComingBack) {
  join();
  call(lock_of({kPatient}));
  answer(granted({{kPatient, {7}}}));
  const auto id = call(Goodbye{}, seconds{1});
  answer(Done{});
  EXPECT_TRUE(finished(id));
  EXPECT_EQ(state(), State::kEnded);
  EXPECT_TRUE(gone.empty()) << "it has given them back itself";
  close();
  pass(seconds{30});
  take();
  EXPECT_TRUE(connects.empty());
}

TEST_F(CallsTest, GoodbyeOverATornConnectionEndsToo) {
  join();
  const auto id = call(Goodbye{}, seconds{1});
  close();
  EXPECT_EQ(refusal(id), ErrorCode::kNotReachable);
  EXPECT_EQ(state(), State::kEnded);
}

}  // namespace
}  // namespace verbund::client
