#include "backup/run_engine.h"

#include <gmock/gmock.h>

namespace verbund::backup {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A short name per action, in order.
std::vector<std::string> names(const std::vector<RunAction>& actions) {
  static constexpr const char* kNames[] = {"lock", "recover", "look", "note", "stop", "barrier", "folders", "databases", "cancel",
                                           "start", "publish", "discard", "verify", "finish"};
  std::vector<std::string> out;
  for (const auto& action : actions) out.emplace_back(kNames[action.index()]);
  return out;
}

Error broken(ErrorCode code = ErrorCode::kIo) { return make_error(code, phrase("broken")); }

class Walk {
 public:
  explicit Walk(RunPlan plan) : engine(std::move(plan)) { hand(event::Begin{}); }
  std::vector<std::string> hand(const RunEvent& event) {
    last = engine.handle(event);
    return names(last);
  }
  const Verdict& verdict() const { return std::get<action::Finish>(last.back()).verdict; }
  /// Up to the copies, all well.
  void to_copies(std::size_t services) {
    hand(event::Done{});
    hand(event::Done{});
    for (std::size_t i = 0; i < services; ++i) {
      hand(event::Running{true});
      hand(event::Done{});
      hand(event::Done{});
    }
    hand(event::Done{});
  }
  RunEngine engine;
  std::vector<RunAction> last;
};

TEST(RunEngine, StartsServicesWhileDatabasesAreStillBeingDumped) {
  Walk run({{"a", "b"}, true, true, Level::kFromMedium});
  run.to_copies(2);
  EXPECT_THAT(run.hand(event::FoldersDone{}), ElementsAre("start"));
  EXPECT_EQ(std::get<action::StartService>(run.last[0]).service, 1U) << "the reverse of stopping";
  EXPECT_THAT(run.hand(event::Done{}), ElementsAre("start"));
  EXPECT_THAT(run.hand(event::Done{}), IsEmpty());
  EXPECT_THAT(run.hand(event::DatabasesDone{}), ElementsAre("publish"));
  EXPECT_THAT(run.hand(event::Done{}), ElementsAre("verify"));
  EXPECT_THAT(run.hand(event::Verified{Level::kFromMedium, {}}), ElementsAre("finish"));
  EXPECT_EQ(run.verdict().exit_code(), 0);
}

TEST(RunEngine, SavesWhatItCanWhenAServiceDoesNotStopAndSaysSo) {
  Walk run({{"a"}, true, true, Level::kNone});
  run.hand(event::Done{});
  run.hand(event::Done{});
  run.hand(event::Running{true});
  run.hand(event::Done{});
  EXPECT_THAT(run.hand(event::Failed{broken()}), ElementsAre("barrier"));
  run.hand(event::Done{});
  EXPECT_THAT(run.hand(event::FoldersDone{}), ElementsAre("start")) << "half of it may be down";
  run.hand(event::Done{});
  run.hand(event::DatabasesDone{});
  EXPECT_FALSE(std::get<action::Publish>(run.last[0]).complete);
  run.hand(event::Done{});
  EXPECT_EQ(run.verdict().outcome, Outcome::kIncomplete);
  EXPECT_EQ(run.verdict().exit_code(), 10);
}

TEST(RunEngine, LeavesARestingServiceAtRest) {
  Walk run({{"a"}, false, true, Level::kNone});
  run.hand(event::Done{});
  run.hand(event::Done{});
  EXPECT_THAT(run.hand(event::Running{false}), ElementsAre("folders"));
  EXPECT_THAT(run.hand(event::FoldersDone{}), ElementsAre("publish"));
}

TEST(RunEngine, StartsServicesAndDiscardsAfterAFailedDump) {
  Walk run({{"a"}, true, true, Level::kRestored});
  run.to_copies(1);
  EXPECT_THAT(run.hand(event::DatabasesFailed{broken()}), ElementsAre("cancel"));
  EXPECT_THAT(run.hand(event::FoldersFailed{broken(ErrorCode::kCancelled)}), ElementsAre("start"));
  EXPECT_THAT(run.hand(event::Done{}), ElementsAre("discard"));
  EXPECT_THAT(run.hand(event::Done{}), ElementsAre("finish"));
  EXPECT_EQ(run.verdict().exit_code(), 20);
  EXPECT_FALSE(run.verdict().published);
}

TEST(RunEngine, AServiceThatDoesNotComeBackMakesTheRunFailButKeepsTheSet) {
  Walk run({{"a"}, false, true, Level::kNone});
  run.hand(event::Done{});
  run.hand(event::Done{});
  run.hand(event::Running{true});
  run.hand(event::Done{});
  run.hand(event::Done{});
  run.hand(event::FoldersDone{});
  EXPECT_THAT(run.hand(event::Failed{broken()}), ElementsAre("publish"));
  run.hand(event::Done{});
  EXPECT_TRUE(run.verdict().published);
  EXPECT_EQ(run.verdict().exit_code(), 20);
}

TEST(RunEngine, ExitCodesNameMediumAndVerification) {
  Walk run({{}, true, false, Level::kRestored});
  run.to_copies(0);
  run.hand(event::DatabasesFailed{broken(ErrorCode::kMediumGone)});
  run.hand(event::Done{});
  EXPECT_EQ(run.verdict().exit_code(), 30);
  Walk other({{}, true, false, Level::kRestored});
  other.to_copies(0);
  other.hand(event::DatabasesDone{});
  other.hand(event::Done{});
  other.hand(event::Failed{broken(ErrorCode::kDamaged)});
  EXPECT_EQ(other.verdict().exit_code(), 40);
  EXPECT_TRUE(other.verdict().published);
}

TEST(RunEngine, IsRefusedWithoutTouchingAnythingWhenSomebodyElseRuns) {
  Walk run({{"a"}, true, true, Level::kNone});
  EXPECT_THAT(run.hand(event::Failed{broken(ErrorCode::kInUse)}), ElementsAre("finish"));
  EXPECT_EQ(run.verdict().exit_code(), 4);
}

TEST(RunEngine, InterruptedWhileStoppingOnlyStarts) {
  Walk run({{"a", "b"}, true, true, Level::kNone});
  run.hand(event::Done{});
  run.hand(event::Done{});
  run.hand(event::Running{true});
  run.hand(event::Done{});
  EXPECT_THAT(run.hand(event::Interrupted{}), IsEmpty());
  EXPECT_THAT(run.hand(event::Done{}), ElementsAre("start"));
  EXPECT_THAT(run.hand(event::Done{}), ElementsAre("discard"));
  EXPECT_THAT(run.hand(event::Done{}), ElementsAre("finish"));
}

}  // namespace
}  // namespace verbund::backup
