#include "mirror/witness.h"

#include <gtest/gtest.h>

namespace verbund::mirror {
namespace {

constexpr nanoseconds kLease = seconds{10};

class WitnessTest : public ::testing::Test {
 protected:
  Witness::Outcome say(WitnessCall call) {
    call.boots = 1;
    call.sequence = ++sequence_;
    call.pair = call.pair.empty() ? "a" : call.pair;
    auto outcome = witness_.handle(call, now_);
    if (outcome.write) disk_ = *outcome.write;
    return outcome;
  }
  Witness::Outcome hold(Member member, Term term, Member candidate) {
    return say({.member = member, .kind = CallKind::kHold, .term = term, .candidate = candidate, .lease = kLease});
  }
  Witness::Outcome ask(Member member, Term term, nanoseconds cool_down = {}) {
    return say({.member = member, .kind = CallKind::kAsk, .term = term, .ask = 7, .cool_down = cool_down});
  }
  void restart() { witness_ = Witness(disk_, now_); }

  TimePoint now_{seconds{1000}};
  WitnessRecord disk_;
  Witness witness_{disk_, now_};
  std::uint64_t sequence_ = 0;
};

TEST_F(WitnessTest, GivesProductionOnlyToWhomItNamedAndOnlyWhenItsLeaseIsOver) {
  EXPECT_TRUE(hold(1, Term{1}, 0).answer.held);
  now_ += seconds{100};
  EXPECT_EQ(ask(2, Term{1}).answer.ask, 0U) << "nobody was named";
  EXPECT_TRUE(hold(1, Term{1}, 2).answer.held);
  now_ += kLease;
  EXPECT_EQ(ask(2, Term{1}).answer.ask, 0U) << "it may still be stopping";
  now_ += lease_margin(kLease);
  EXPECT_EQ(ask(3, Term{1}).answer.ask, 0U);
  EXPECT_EQ(ask(2, Term{5}).answer.ask, 0U);
  const auto given = ask(2, Term{1});
  EXPECT_EQ(given.answer.ask, 7U);
  EXPECT_EQ(given.answer.over, lease_margin(kLease));
  ASSERT_TRUE(given.write.has_value()) << "on disk before it is said";
  EXPECT_EQ(given.write->granted, 2U);
}

TEST_F(WitnessTest, RenewsNothingAfterItHasGivenProductionAwayUntilThatIsGivenBack) {
  (void)hold(1, Term{1}, 2);
  now_ += seconds{60};
  ASSERT_EQ(ask(2, Term{1}).answer.ask, 7U);
  EXPECT_FALSE(hold(1, Term{1}, 2).answer.held);
  restart();
  EXPECT_FALSE(hold(1, Term{1}, 2).answer.held) << "it is remembered";
  (void)say({.member = 2, .kind = CallKind::kIdle, .term = Term{1}});
  EXPECT_TRUE(hold(1, Term{1}, 2).answer.held);
  now_ += seconds{60};
  ASSERT_EQ(ask(2, Term{1}).answer.ask, 7U);
  EXPECT_TRUE(hold(2, Term{2}, 0).answer.held) << "it has been taken";
  const auto old = hold(1, Term{1}, 2);
  EXPECT_FALSE(old.answer.held);
  EXPECT_EQ(old.answer.term, Term{2});
}

TEST_F(WitnessTest, CountsEveryLeaseAsRenewedWhenItStarts) {
  (void)hold(1, Term{1}, 2);
  now_ += seconds{3600};
  restart();
  EXPECT_EQ(ask(2, Term{1}).answer.ask, 0U);
  now_ += kLease + lease_margin(kLease);
  EXPECT_EQ(ask(2, Term{1}).answer.ask, 7U);
}

TEST_F(WitnessTest, DoesNotGiveProductionAwayTwiceInAShortTime) {
  (void)hold(1, Term{1}, 2);
  now_ += seconds{60};
  ASSERT_EQ(ask(2, Term{1}, seconds{600}).answer.ask, 7U) << "it was never given away";
  ASSERT_TRUE(hold(2, Term{2}, 1).answer.held);
  now_ += seconds{60};
  EXPECT_EQ(ask(1, Term{2}, seconds{600}).answer.ask, 0U);
  now_ += seconds{600};
  EXPECT_EQ(ask(1, Term{2}, seconds{600}).answer.ask, 7U);
}

TEST_F(WitnessTest, HearsNoOlderCallAndNoEarlierPair) {
  (void)hold(1, Term{1}, 2);
  now_ += seconds{60};
  WitnessCall idle{.member = 2, .boots = 1, .sequence = ++sequence_, .pair = "a", .kind = CallKind::kIdle, .term = Term{1}};
  ASSERT_EQ(ask(2, Term{1}).answer.ask, 7U);
  EXPECT_EQ(witness_.handle(idle, now_).answer.granted, 2U) << "it was said before it asked";
  (void)say({.member = 2, .kind = CallKind::kIdle, .term = Term{1}});
  EXPECT_TRUE(say({.member = 1, .pair = "b", .kind = CallKind::kHold, .term = Term{1}, .candidate = 2, .lease = kLease}).answer.held);
  now_ += seconds{60};
  EXPECT_EQ(ask(2, Term{1}).answer.ask, 0U) << "a mirror that was replaced, with the number of the new one";
}

}  // namespace
}  // namespace verbund::mirror
