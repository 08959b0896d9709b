#include "mirror/sync_engine.h"

#include <gtest/gtest.h>

namespace verbund::mirror {
namespace {

TimePoint at(double second) { return TimePoint{} + std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(second)); }

class SyncEngineTest : public ::testing::Test {
 protected:
  SyncAction look(double second, std::uint64_t position, std::uint64_t flushed, bool says = true) {
    if (says) ++word_;
    return on(sync::Looked{{.position = Lsn{position}, .flushed = Lsn{flushed}, .word = word_, .follows = true}}, second);
  }
  SyncAction on(const sync::Event& event, double second) { return engine_.handle(event, at(second)); }
  /// Commits wait from second 3 on.
  void engage() {
    on(sync::Booted{.wanted = true}, 0);
    EXPECT_EQ(look(0.5, 100, 100), SyncAction::kNone);
    EXPECT_EQ(look(1.5, 110, 105), SyncAction::kNone);
    EXPECT_EQ(look(2.5, 120, 120), SyncAction::kEngage);
    on(sync::Engaged{Lsn{130}}, 2.6);
    EXPECT_EQ(engine_.state(), SyncState::kCatchingUp);
    EXPECT_FALSE(engine_.promise(at(2.7)));
    look(3, 135, 130);
    EXPECT_EQ(engine_.state(), SyncState::kSynchronous);
  }
  SyncEngine engine_{SyncTuning{}};
  std::uint64_t word_ = 0;
};

TEST_F(SyncEngineTest, MakesCommitsWaitWhenTheMirrorIsSteadilyThereAndPromisesOnlyWhenItHasAll) {
  engage();
  EXPECT_STREQ(engine_.reason(), "");
  EXPECT_EQ(engine_.promise(at(3.5)), milliseconds{2500});
}

TEST_F(SyncEngineTest, LetsCommitsGoWhenTheMirrorIsNotHeard) {
  engage();
  EXPECT_EQ(look(5.9, 140, 135, false), SyncAction::kNone);  // 135 had been written at 3: it says something by flushing
  EXPECT_EQ(look(8.8, 140, 135, false), SyncAction::kNone);
  EXPECT_EQ(look(8.95, 140, 135, false), SyncAction::kRelease);
  EXPECT_STREQ(engine_.reason(), "commits do not wait for the mirror: it is not heard");
}

TEST_F(SyncEngineTest, LetsCommitsGoWhenTheMirrorTalksButDoesNotFlush) {
  engage();
  for (double second = 3.5; second < 6; second += 0.5) EXPECT_EQ(look(second, 200, 131), SyncAction::kNone) << second;
  EXPECT_EQ(look(6.1, 200, 131), SyncAction::kRelease);
  EXPECT_STREQ(engine_.reason(), "commits do not wait for the mirror: it does not keep up");
}

TEST_F(SyncEngineTest, LooksThatFailCountAsSilence) {
  engage();
  EXPECT_EQ(on(sync::Missed{}, 5.9), SyncAction::kNone);
  EXPECT_EQ(on(sync::Missed{}, 6), SyncAction::kRelease);
}

TEST_F(SyncEngineTest, KeepsItsPromiseWhenItIsSwitchedOff) {
  engage();
  ASSERT_TRUE(engine_.promise(at(3.5)));
  EXPECT_EQ(on(sync::Wanted{false}, 3.6), SyncAction::kNone);
  EXPECT_FALSE(engine_.promise(at(3.7)));
  EXPECT_EQ(look(5.9, 135, 135), SyncAction::kNone);
  EXPECT_EQ(look(6, 135, 135), SyncAction::kRelease);
  on(sync::Released{}, 6);
  EXPECT_EQ(engine_.state(), SyncState::kAsynchronous);
  EXPECT_STREQ(engine_.reason(), "");
}

TEST_F(SyncEngineTest, ALifeThatFindsCommitsWaitingKeepsThePromisesOfTheLast) {
  on(sync::Booted{.engaged = true, .wanted = false, .promises_of = seconds{10}}, 0);
  EXPECT_EQ(on(sync::Missed{}, 9.9), SyncAction::kNone);
  EXPECT_EQ(on(sync::Missed{}, 10), SyncAction::kRelease);
}

TEST_F(SyncEngineTest, ALifeThatFindsCommitsWaitingGoesOnWithAMirrorThatIsThere) {
  on(sync::Booted{.engaged = true, .wanted = true, .promises_of = seconds{3}}, 0);
  look(0.5, 100, 90);
  EXPECT_FALSE(engine_.promise(at(0.6)));
  look(1, 110, 105);
  EXPECT_TRUE(engine_.promise(at(1.1)));
}

TEST_F(SyncEngineTest, WaitsLongerForAMirrorThatComesAndGoes) {
  engage();
  EXPECT_EQ(look(9, 135, 135, false), SyncAction::kNone);  // flushing is a word
  EXPECT_EQ(look(12, 135, 135, false), SyncAction::kRelease);
  on(sync::Released{}, 12);
  look(13, 135, 135);
  look(15, 135, 135);
  EXPECT_EQ(look(16.9, 135, 135), SyncAction::kNone);
  EXPECT_EQ(look(17, 135, 135), SyncAction::kEngage);
}

TEST_F(SyncEngineTest, AChangeThatFailedIsTakenBackAndPromisesNothing) {
  on(sync::Booted{.wanted = true}, 0);
  look(0.5, 100, 100);
  EXPECT_EQ(look(2.5, 100, 100), SyncAction::kEngage);
  EXPECT_EQ(on(sync::Failed{}, 2.6), SyncAction::kNone);
  EXPECT_FALSE(engine_.promise(at(2.7)));
  EXPECT_EQ(look(3.6, 100, 100), SyncAction::kRelease);
  EXPECT_EQ(on(sync::Failed{}, 3.7), SyncAction::kNone);
  EXPECT_EQ(look(4.7, 100, 100), SyncAction::kRelease);
}

TEST_F(SyncEngineTest, AnotherMachineDoesNotInheritTheWaiting) {
  engage();
  EXPECT_EQ(on(sync::Replaced{}, 3.5), SyncAction::kRelease);  // nothing was promised yet
  on(sync::Released{}, 3.5);
  // A copy under way connects by the same name: no mirror's node speaks.
  for (double second = 4; second < 9; second += 0.5) {
    EXPECT_EQ(on(sync::Looked{{.position = Lsn{140}, .flushed = Lsn{140}, .word = ++word_, .follows = false}}, second), SyncAction::kNone);
  }
}

}  // namespace
}  // namespace verbund::mirror
