#include "mirror/loss.h"

#include <gtest/gtest.h>

namespace verbund::mirror {
namespace {

TimePoint at(int second) { return TimePoint{} + seconds{second}; }
Beat beat(std::uint64_t position, std::uint64_t finished, std::uint64_t begun) { return {Lsn{position}, finished, begun}; }

TEST(LossMeter, KnowsNothingBeforeTheFirstBeat) {
  EXPECT_FALSE(LossMeter{}.behind(Lsn{100}, at(1)));
  const LossReport report = LossMeter{}.report(Term{1}, Lsn{100}, {}, at(1));
  EXPECT_EQ(report.kind, LossKind::kUnknown);
  EXPECT_EQ(report.bytes, 0U);
  EXPECT_FALSE(report.commits);
}

TEST(LossMeter, MeasuresTheDifferenceOfPositionsAndTheAgeOfTheLastBeat) {
  LossMeter meter;
  meter.heard(beat(1000, 10, 12), at(1));
  meter.heard(beat(2000, 20, 23), at(2));
  meter.heard(beat(3000, 30, 31), at(3));
  const auto behind = meter.behind(Lsn{2500}, at(9));
  ASSERT_TRUE(behind);
  EXPECT_EQ(behind->bytes, 500U);
  EXPECT_EQ(behind->age, seconds{6});
  EXPECT_EQ(behind->span, seconds{7});  // all of second 2 is here
  EXPECT_EQ(behind->commits, 11U);      // begun until 3 without those that had ended by 2
}

TEST(LossMeter, IsNotBehindButOldWhenTheLinkIsDead) {
  LossMeter meter;
  meter.heard(beat(1000, 10, 12), at(1));
  const auto behind = meter.behind(Lsn{1000}, at(600));
  ASSERT_TRUE(behind);
  EXPECT_EQ(behind->bytes, 0U);
  EXPECT_EQ(behind->span, nanoseconds{0});
  EXPECT_EQ(behind->age, seconds{599});
  EXPECT_EQ(meter.report(Term{1}, Lsn{1000}, {}, at(600)).kind, LossKind::kUnknown);
}

TEST(LossMeter, IsCertainOnlyOfProductionThatHasStopped) {
  LossMeter meter;
  meter.heard(beat(1000, 10, 10), at(1));
  EXPECT_EQ(meter.report(Term{1}, Lsn{1500}, beat(1500, 14, 14), at(3)).kind, LossKind::kNone);
  const LossReport bounded = meter.report(Term{1}, Lsn{1200}, beat(1500, 14, 14), at(3));
  EXPECT_EQ(bounded.kind, LossKind::kBounded);
  EXPECT_EQ(bounded.bytes, 300U);
  EXPECT_EQ(bounded.commits, 4U);
  EXPECT_EQ(bounded.span, seconds{2});
}

TEST(LossMeter, DoesNotGuessCommitsWithoutABeatOldEnough) {
  LossMeter meter;
  meter.heard(beat(1000, 10, 10), at(1));
  EXPECT_FALSE(meter.report(Term{1}, Lsn{900}, {}, at(3)).commits);
}

TEST(LossMeter, StaysAnUpperBoundWhenItThinsOut) {
  LossMeter meter;
  for (std::uint64_t i = 1; i <= 100'000; ++i) meter.heard(beat(i * 10, i, i + 1), at(static_cast<int>(i)));
  const auto behind = meter.behind(Lsn{500'005}, at(100'000));
  ASSERT_TRUE(behind);
  EXPECT_EQ(behind->bytes, 499'995U);
  ASSERT_TRUE(behind->commits);
  EXPECT_GE(*behind->commits, 50'000U);
}

TEST(LossMeter, SaysUntilWhenEverythingWasWaitedForAndNeverNoneBecauseOfIt) {
  LossMeter meter;
  meter.heard(beat(1000, 10, 12), at(1));
  EXPECT_FALSE(meter.report(Term{1}, Lsn{1000}, {}, at(2)).waited);
  meter.promised(at(4));
  meter.promised(at(3));  // an answer that was late
  const LossReport within = meter.report(Term{1}, Lsn{1000}, {}, at(2));
  EXPECT_EQ(within.kind, LossKind::kUnknown);  // cut off, it would go on later
  EXPECT_EQ(within.waited, nanoseconds{0});
  const LossReport after = meter.report(Term{1}, Lsn{1000}, {}, at(9));
  EXPECT_EQ(after.kind, LossKind::kUnknown);
  EXPECT_EQ(after.waited, seconds{5});
  EXPECT_EQ(token_of(within), token_of(after));
  EXPECT_EQ(meter.report(Term{1}, Lsn{1000}, beat(1000, 12, 12), at(9)).kind, LossKind::kNone);
}

TEST(LossToken, IsThatOfExactlyOneReport) {
  LossReport report;
  report.term = Term{1};
  report.received = Lsn{1000};
  report.bytes = 5;
  LossReport later = report;
  later.span = seconds{9};
  EXPECT_EQ(token_of(report), token_of(later));
  later.bytes = 6;
  EXPECT_NE(token_of(report), token_of(later));
  EXPECT_EQ(token_of(report).size(), 12U);
}

}  // namespace
}  // namespace verbund::mirror
