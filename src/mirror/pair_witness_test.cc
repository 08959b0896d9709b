// One engine of a pair that has a witness; how the three work together: pair_engine_simtest.
#include "mirror/pair_fixture.h"

namespace verbund::mirror {
namespace {

class WithWitness : public Pair {
 protected:
  WithWitness() {
    tuning_.lease = seconds{10};
    tuning_.automatic = true;
    tuning_.max_loss = seconds{60};
  }
  void answer(WitnessAnswer answer) {
    answer.boots = called_.boots;
    answer.sequence = called_.sequence;
    hand_in(pair::WitnessAnswered{answer});
  }
  void renew() { answer({.held = true, .term = called_.term, .holder = called_.member}); }
  /// Production that is answered by both.
  void open() {
    boot(Stage::kServing, Term{1});
    server_.running = false;
    hear(mirror(Term{1}));
    pass(seconds{1});
    renew();
    hear(mirror(Term{1}));
    pass(seconds{1});
    renew();
    ASSERT_TRUE(engine_->open());
    ASSERT_EQ(disk_.candidate, 2U);
  }
  /// A mirror that has heard production once, and then nothing for a minute.
  void lose_production(PairStatus last) {
    boot(Stage::kFollowing, Term{1});
    server_.running = true;
    last.beat = server_.beat;
    last.lease = seconds{10};
    hear(last);
    hear(last);
    pass(seconds{60});
  }
  void grant() { answer({.term = Term{1}, .holder = 1, .granted = 2, .ask = called_.ask, .lease = seconds{10}, .over = seconds{20}}); }
};

TEST_F(WithWitness, ProductionClosesWhenNobodyHasAnsweredAndOpensWhenOneDoes) {
  open();
  pass(seconds{9});
  EXPECT_TRUE(engine_->open());
  pass(seconds{2});
  EXPECT_FALSE(engine_->open());
  EXPECT_TRUE(did(Task::kStop));
  renew();
  EXPECT_TRUE(engine_->open());
  EXPECT_EQ(disk_.term, Term{1}) << "in its own term";
}

TEST_F(WithWitness, CountsItsLeaseFromWhenItAsked) {
  open();
  const auto asked = called_;
  const auto until = engine_->leased_until();
  for (int i = 0; i < 4; ++i) pass(seconds{1});
  called_ = asked;
  renew();
  EXPECT_LE(*engine_->leased_until() - *until, seconds{1});
}

TEST_F(WithWitness, GoesOnWithoutTheWitnessAsLongAsTheMirrorAnswers) {
  open();
  for (int i = 0; i < 60; ++i) {
    pass(seconds{1});
    hear(mirror(Term{1}));
  }
  EXPECT_TRUE(engine_->open());
  EXPECT_FALSE(engine_->witness_alive(now_));
}

TEST_F(WithWitness, GoesOnWithoutAMirrorAsLongAsTheWitnessAnswers) {
  open();
  for (int i = 0; i < 60; ++i) {
    pass(seconds{1});
    renew();
  }
  EXPECT_TRUE(engine_->open());
}

TEST_F(WithWitness, AnotherMirrorsAnswerIsNoneUntilTheWitnessKnowsIt) {
  open();
  hand_in(pair::Replaced{});
  PairStatus other = mirror(Term{1});
  other.member = 3;
  for (int i = 0; i < 20 && engine_->open(); ++i) {
    pass(seconds{1});
    ++peer_boots_;
    hear(other);
  }
  EXPECT_FALSE(engine_->open());
  renew();
  EXPECT_TRUE(engine_->open());
}

TEST_F(WithWitness, TheMirrorTakesOverWhenItIsGivenProduction) {
  lose_production(production(Term{1}));
  EXPECT_EQ(engine_->not_automatic(now_), "");
  ASSERT_EQ(called_.kind, CallKind::kAsk);
  grant();
  EXPECT_TRUE(engine_->open());
  EXPECT_EQ(disk_.term, Term{2});
  ASSERT_TRUE(disk_.report.has_value());
  EXPECT_EQ(disk_.report->kind, LossKind::kWithin);
  EXPECT_LE(disk_.report->span, seconds{45});
}

TEST_F(WithWitness, NeverWithoutBeingGivenIt) {
  lose_production(production(Term{1}));
  for (int i = 0; i < 100; ++i) {
    pass(seconds{1});
    answer({.term = Term{1}, .holder = 1, .lease = seconds{10}, .over = seconds{-5}});
  }
  EXPECT_EQ(disk_.stage, Stage::kFollowing);
}

TEST_F(WithWitness, NeverWhenMoreMightBeLostThanIsAllowed) {
  tuning_.max_loss = seconds{3};
  lose_production(production(Term{1}));
  EXPECT_EQ(called_.kind, CallKind::kIdle);
  EXPECT_EQ(engine_->not_automatic(now_), "more might be lost than max_loss allows");
}

TEST_F(WithWitness, WithoutAnyLossWhenCommitsHaveWaitedUntilProductionClosed) {
  tuning_.max_loss = {};
  boot(Stage::kFollowing, Term{1});
  server_.running = true;
  PairStatus last = production(Term{1});
  last.lease = seconds{10};
  hear(last);
  hear(last);
  hand_in(pair::Promised{Term{1}, now_ + seconds{60}});
  pass(seconds{60});
  ASSERT_EQ(called_.kind, CallKind::kAsk);
  answer({.term = Term{1}, .holder = 1, .granted = 2, .ask = called_.ask, .lease = seconds{10}, .over = seconds{20}});
  ASSERT_TRUE(disk_.report.has_value());
  EXPECT_EQ(disk_.report->waited, nanoseconds{0});
}

TEST_F(WithWitness, NeverWhenItIsSwitchedOff) {
  tuning_.automatic = false;
  lose_production(production(Term{1}));
  EXPECT_EQ(called_.kind, CallKind::kIdle);
}

TEST_F(WithWitness, NeverAfterProductionHasStoppedByItself) {
  lose_production(production(Term{1}, Stage::kHandedOver));
  EXPECT_EQ(called_.kind, CallKind::kIdle);
}

TEST_F(WithWitness, GivesBackWhatItWasGivenWhenProductionAnswersAgain) {
  lose_production(production(Term{1}));
  ASSERT_EQ(called_.kind, CallKind::kAsk);
  const auto asked = called_;
  PairStatus back = production(Term{1});
  back.lease = seconds{10};
  hear(back);
  EXPECT_EQ(called_.kind, CallKind::kIdle);
  called_ = asked;
  grant();  // it was under way
  EXPECT_EQ(disk_.stage, Stage::kFollowing);
}

TEST_F(WithWitness, GoesOnAfterAKillWithWhatItWasGiven) {
  PairRecord record;
  record.member = 2;
  record.stage = Stage::kPromoting;
  record.term = Term{1};
  record.offered = record.seen = Term{2};
  record.given = true;
  record.report.emplace();
  record.report->kind = LossKind::kWithin;
  boot(record);
  pass(seconds{11});
  EXPECT_TRUE(engine_->open());
  EXPECT_TRUE(disk_.given) << "so that people are told";
}

TEST_F(WithWitness, OnlyAPersonFreesProductionFromAWitnessThatTheSettingsNoLongerName) {
  open();
  hand_in(pair::ForgetWitnessRequested{});
  EXPECT_FALSE(reply_.accepted);
  PairRecord bound = disk_;
  tuning_.lease = {};
  boot(bound);
  hear(mirror(Term{1}));
  ASSERT_TRUE(engine_->open());
  EXPECT_TRUE(engine_->leased_until().has_value());
  pass(seconds{6});
  hand_in(pair::ForgetWitnessRequested{});
  EXPECT_FALSE(reply_.accepted) << "the mirror might still ask for it";
  hear(mirror(Term{1}));
  hand_in(pair::ForgetWitnessRequested{});
  EXPECT_TRUE(reply_.accepted);
  pass(seconds{100});
  EXPECT_TRUE(engine_->open());
}

}  // namespace
}  // namespace verbund::mirror
