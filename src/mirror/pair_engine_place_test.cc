// A machine whose data or place in the pair changed while its agent was not there.
#include "mirror/pair_fixture.h"

namespace verbund::mirror {
namespace {

/// A production that has lost its office and got it back from a set: the restore has begun a term of the calendar.
PairRecord restored() {
  PairRecord record;
  record.member = 1;
  record.term = record.seen = Term{1};
  return record;
}
constexpr Term kOfRestore{325};

TEST_F(Pair, ARestoredProductionOpensInTheTermOfItsRestoreOnceItsMirrorHasAnswered) {
  boot(restored(), seconds{1}, kOfRestore);
  EXPECT_EQ(said_.term, Term{1}) << "it asks with its own term: what nobody has let it begin must fence nobody";
  hear(mirror(Term{1}));
  EXPECT_TRUE(engine_->open());
  EXPECT_EQ(disk_.term, kOfRestore);
  EXPECT_EQ(said_.term, kOfRestore);
}

// It used to say 325 before it had been answered: the mirror that a person had made production in term 2 was fenced by stale data.
TEST_F(Pair, ARestoredProductionThatWasOvertakenIsFencedAndFencesNobody) {
  boot(restored(), seconds{1}, kOfRestore);
  auto promoted = production(Term{2});
  promoted.member = 2;
  hear(promoted);
  EXPECT_FALSE(engine_->open());
  EXPECT_EQ(disk_.stage, Stage::kFenced);
  EXPECT_EQ(disk_.seen, Term{2});
  EXPECT_LT(said_.seen, kOfRestore);
}

TEST_F(Pair, ATermThatIsBegunLaterLiesAboveThatOfARestore) {
  boot(restored(), seconds{1}, kOfRestore);
  pass(seconds{20});
  hand_in(pair::OpenRequested{pair::Claim::kPeerIsOff});
  ASSERT_TRUE(reply_.accepted);
  EXPECT_GT(disk_.term, kOfRestore);
}

TEST_F(Pair, AReplacedMirrorIsNotPromotedByItsTokenAlone) {
  boot(Stage::kFollowing, Term{1});
  hear(production(Term{1}));
  ASSERT_TRUE(disk_.peer_asks);
  hand_in(pair::Disowned{});
  EXPECT_FALSE(disk_.peer_asks);
  pass(seconds{20});
  hand_in(pair::PromoteRequested{token_of(engine_->report(now_)), pair::Claim::kNothing});
  EXPECT_FALSE(reply_.accepted);
  hand_in(pair::PromoteRequested{token_of(engine_->report(now_)), pair::Claim::kPeerIsOff});
  EXPECT_TRUE(reply_.accepted);
}

TEST_F(Pair, ProductionWhoseNewMirrorHasNotFollowedYetOpensAlone) {
  boot(Stage::kServing, Term{1});
  hear(mirror(Term{1}));
  ASSERT_TRUE(engine_->open());
  ASSERT_FALSE(disk_.alone);
  hand_in(pair::Replaced{});
  EXPECT_TRUE(disk_.alone);
  EXPECT_FALSE(engine_->peer_alive(now_)) << "what the old one said is not the new one's";
  pass(seconds{2});
  auto other = mirror(Term{1});
  other.member = 3;
  hear(other);
  EXPECT_FALSE(disk_.alone);
}

TEST_F(Pair, AMirrorWhoseServerTakesWritesIsStoppedFirst) {
  boot(Stage::kFollowing, Term{1});
  tasks_.clear();
  server_.running = true;
  server_.standby = false;
  hand_in(pair::Observed{server_});
  ASSERT_FALSE(tasks_.empty());
  EXPECT_EQ(tasks_.front(), Task::kStop);
}

TEST_F(Pair, AMirrorThatCantFollowIsCopiedAnewWhenAPersonAsksAndHasNothingToPromoteMeanwhile) {
  boot(Stage::kFollowing, Term{1});
  hear(production(Term{1}));
  hand_in(pair::RejoinRequested{});
  EXPECT_FALSE(reply_.accepted) << "only a fenced machine, unless it is said";
  refuse_ = Task::kRejoin;
  hand_in(pair::RejoinRequested{.anew = true});
  ASSERT_TRUE(reply_.accepted);
  EXPECT_EQ(disk_.stage, Stage::kRejoining);
  EXPECT_TRUE(did(Task::kStop)) << "not under a running server";
  hand_in(pair::PromoteRequested{token_of(engine_->report(now_)), pair::Claim::kPeerIsOff});
  EXPECT_FALSE(reply_.accepted);
  refuse_.reset();
  pass(seconds{2});
  hear(production(Term{1}));
  EXPECT_EQ(disk_.stage, Stage::kFollowing);
  EXPECT_TRUE(server_.running);
}

TEST_F(Pair, AMirrorIsNotCopiedAnewWithoutProductionNorWhileItIsAskedToTakeOver) {
  boot(Stage::kFollowing, Term{1});
  hand_in(pair::RejoinRequested{.anew = true});
  EXPECT_FALSE(reply_.accepted) << "nobody is there to copy from";
  auto handing_over = production(Term{1});
  handing_over.wish = Wish::kHandOver;
  hear(handing_over);
  hand_in(pair::RejoinRequested{.anew = true});
  EXPECT_FALSE(reply_.accepted);
  hear(production(Term{1}));
  hand_in(pair::FenceRequested{});
  hear(production(Term{1}));
  hand_in(pair::RejoinRequested{.anew = true});
  EXPECT_FALSE(reply_.accepted) << "production is being fenced: this machine is to take over";
}

// The handing over that an earlier life was told of: a person may have let production work again since, while this machine was off.
TEST_F(Pair, AMirrorTakesOverWhatWasHandedToThisLifeAndReportsThatNothingIsLost) {
  boot(Stage::kFollowing, Term{1});
  auto handing = production(Term{1});
  handing.wish = Wish::kHandOver;
  hear(handing);
  const auto offered = disk_.offered;
  ASSERT_GT(offered, Term{1});
  boot(disk_);
  auto handed = production(Term{1}, Stage::kHandedOver);
  handed.offered = offered;
  auto stale = handed;
  stale.boots = ++peer_boots_, stale.sequence = ++peer_sequence_, stale.heard_boots = disk_.boots - 1;
  hand_in(pair::Heard{stale});
  EXPECT_EQ(disk_.stage, Stage::kFollowing) << "said to an earlier life";
  hear(handed);
  EXPECT_FALSE(did(Task::kPromote) && disk_.stage == Stage::kFollowing);
  ASSERT_TRUE(disk_.report);
  EXPECT_EQ(disk_.report->kind, LossKind::kNone);
  EXPECT_EQ(disk_.report->span, nanoseconds{0});
  EXPECT_EQ(disk_.stage, Stage::kServing);
}

TEST_F(Pair, ALogThatWasSalvagedMakesTheReportCertainUntilProductionIsHeard) {
  boot(Stage::kFollowing, Term{1});
  hear(production(Term{1}));
  hand_in(pair::Salvaged{server_.beat, pair::Claim::kPeerIsOff});
  EXPECT_FALSE(reply_.accepted) << "it answers";
  pass(seconds{20});
  EXPECT_EQ(engine_->report(now_).kind, LossKind::kUnknown);
  hand_in(pair::Salvaged{server_.beat});
  EXPECT_FALSE(reply_.accepted) << "without a person's word that it is off";
  server_.beat.position.value += 500;
  hand_in(pair::Observed{server_});
  hand_in(pair::Salvaged{server_.beat, pair::Claim::kPeerIsOff});
  ASSERT_TRUE(reply_.accepted);
  EXPECT_EQ(engine_->report(now_).kind, LossKind::kNone);
  hear(production(Term{1}));
  pass(seconds{20});
  EXPECT_EQ(engine_->report(now_).kind, LossKind::kUnknown) << "it was on again";
}

// Simulation, seed 569192997: salvaged, confirmed as "nothing is lost", the agent killed; production was switched on again meanwhile and wrote on.
TEST_F(Pair, APromotionThatReportedNoLossIsNotGoneOnWithWhenProductionWorksAgain) {
  boot(Stage::kFollowing, Term{1});
  PairRecord confirmed = disk_;
  confirmed.stage = Stage::kPromoting;
  confirmed.offered = confirmed.seen = Term{2};
  confirmed.report.emplace();
  confirmed.report->kind = LossKind::kNone;
  confirmed.report->term = Term{1};
  tasks_.clear();
  boot(confirmed);
  now_ += seconds{1};
  hear(production(Term{1}));
  EXPECT_EQ(disk_.stage, Stage::kFollowing);
  EXPECT_FALSE(did(Task::kPromote));
}

}  // namespace
}  // namespace verbund::mirror
