#include <gmock/gmock.h>

#include "mirror/engine.h"

namespace verbund::mirror {
namespace {

using ::testing::ElementsAre;

class EngineTest : public ::testing::Test {
 protected:
  /// Actions as words, for example "write start begin".
  std::vector<std::string> send(const Event& event) {
    std::vector<std::string> words;
    for (const Action& action : engine_.handle(event, now_)) {
      if (const auto* write = std::get_if<action::Write>(&action)) {
        words.push_back(fmt::format("write {} {}", to_string(write->step), to_string(write->phase)));
      } else if (const auto* change = std::get_if<action::Announce>(&action)) {
        words.push_back(fmt::format("{}{}", to_string(change->state), change->gave_up ? " gave up" : ""));
      } else if (const auto* stop = std::get_if<action::Stop>(&action)) {
        words.emplace_back(stop->how == StopHow::kFast ? "do stop" : "do stop immediately");
      } else {
        words.emplace_back(std::holds_alternative<action::Start>(action)        ? "do start"
                           : std::holds_alternative<action::Initialise>(action) ? "do initialise"
                                                                                : "do await");
      }
    }
    return words;
  }
  void run() {
    send(event::Booted{true, false, {}});
    send(event::StartRequested{});
    send(event::StepDone{Step::kStart});
    ASSERT_EQ(engine_.state(), ServerState::kRunning);
  }
  Engine engine_{Tuning{}};
  TimePoint now_{};
};

TEST_F(EngineTest, FirstStartInitialises) {
  EXPECT_THAT(send(event::Booted{}), ElementsAre());
  EXPECT_THAT(send(event::StartRequested{}), ElementsAre("initialising", "write initialise begin", "do initialise"));
  EXPECT_THAT(send(event::StepDone{Step::kInitialise}),
              ElementsAre("write initialise done", "starting", "write start begin", "do start"));
  EXPECT_THAT(send(event::StepDone{Step::kStart}), ElementsAre("write start done", "running"));
}

TEST_F(EngineTest, StopsWhatAKilledAgentLeftRunningBeforeItStarts) {
  EXPECT_THAT(send(event::Booted{true, true, {}}), ElementsAre("stopping", "write stop begin", "do stop"));
  EXPECT_THAT(send(event::StartRequested{}), ElementsAre());
  EXPECT_THAT(send(event::StepDone{Step::kStop}),
              ElementsAre("write stop done", "stopped", "starting", "write start begin", "do start"));
}

TEST_F(EngineTest, ClosesTheStepThatAKilledAgentLeftOpen) {
  EXPECT_THAT(send(event::Booted{true, true, Step::kStart}),
              ElementsAre("write start failed", "stopping", "write stop begin", "do stop"));
}

TEST_F(EngineTest, BelievesTheDirectoryRatherThanTheIntention) {
  EXPECT_THAT(send(event::Booted{true, false, Step::kInitialise}), ElementsAre("write initialise done"));
}

TEST_F(EngineTest, RestartsACrashedServerWithGrowingDelay) {
  run();
  nanoseconds previous{0};
  for (int i = 0; i < 12; ++i) {
    EXPECT_THAT(send(event::ServerDied{}), ElementsAre("write run failed", "crashed"));
    ASSERT_TRUE(engine_.wakeup());
    const nanoseconds delay = *engine_.wakeup() - now_;
    EXPECT_GE(delay, previous);
    EXPECT_LE(delay, seconds{30});
    previous = delay;
    EXPECT_THAT(send(event::Tick{}), ElementsAre());
    now_ += delay;
    EXPECT_THAT(send(event::Tick{}), ElementsAre("starting", "write start begin", "do start"));
    EXPECT_THAT(send(event::StepDone{Step::kStart}), ElementsAre("write start done", "running"));
  }
  EXPECT_EQ(previous, seconds{30});
}

TEST_F(EngineTest, ForgetsTheDelayAfterACalmTime) {
  run();
  for (int i = 0; i < 5; ++i) {
    send(event::ServerDied{});
    now_ = *engine_.wakeup();
    send(event::Tick{});
    send(event::StepDone{Step::kStart});
  }
  now_ += seconds{61};
  send(event::ServerDied{});
  EXPECT_EQ(*engine_.wakeup() - now_, milliseconds{200});
}

TEST_F(EngineTest, FailedRestartIsTriedAgainButAFailedFirstStartIsNot) {
  run();
  send(event::ServerDied{});
  now_ = *engine_.wakeup();
  send(event::Tick{});
  EXPECT_THAT(send(event::StepFailed{Step::kStart, "disk full"}), ElementsAre("write start failed", "crashed"));
  EXPECT_TRUE(engine_.wakeup());

  Engine fresh{Tuning{}};
  engine_ = fresh;
  send(event::Booted{true, false, {}});
  send(event::StartRequested{});
  EXPECT_THAT(send(event::StepFailed{Step::kStart, "port"}), ElementsAre("write start failed", "stopped gave up"));
  EXPECT_FALSE(engine_.wakeup());
}

TEST_F(EngineTest, StopDuringALongStartIsHeard) {
  send(event::Booted{true, false, {}});
  send(event::StartRequested{});
  EXPECT_THAT(send(event::StartPending{}), ElementsAre("do await"));
  EXPECT_THAT(send(event::StopRequested{}), ElementsAre());
  EXPECT_THAT(send(event::StartPending{}), ElementsAre("write start failed", "stopping", "write stop begin", "do stop"));
}

TEST_F(EngineTest, StopGrowsHarder) {
  run();
  EXPECT_THAT(send(event::StopRequested{}), ElementsAre("stopping", "write stop begin", "do stop"));
  EXPECT_THAT(send(event::StepFailed{Step::kStop, "slow"}),
              ElementsAre("write stop failed", "write stop begin", "do stop immediately"));
  EXPECT_THAT(send(event::StepFailed{Step::kStop, "slow"}), ElementsAre("write stop failed"));
  now_ = *engine_.wakeup();
  EXPECT_THAT(send(event::Tick{}), ElementsAre("write stop begin", "do stop immediately"));
  EXPECT_THAT(send(event::StepDone{Step::kStop}), ElementsAre("write stop done", "stopped"));
}

}  // namespace
}  // namespace verbund::mirror
