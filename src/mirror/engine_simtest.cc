#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "mirror/engine.h"

namespace verbund::mirror {
namespace {

/// The machine as it survives the agent: data directory, postmaster, journal.
struct World {
  bool initialised = false;
  bool running = false;
  std::optional<Step> open_step;
  std::uint64_t entries = 0;
};

/// One agent after another in one world, killed at random before and after any action.
class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : random_(seed) { boot(); }

  void step() {
    now_ += milliseconds{chance(10) ? 40'000 : 1 + static_cast<long>(random_() % 300)};
    if (chance(50)) return boot();
    if (chance(20)) return request(!wanted_);
    if (chance(15)) world_.running = false;
    go_on();
  }

  /// Nobody disturbs any more: what is wanted must come about.
  void settle() {
    calm_ = true;
    // A start that was given up is asked for anew, as a person would.
    for (int i = 0; i < 40; ++i) {
      now_ += seconds{31};
      if (i == 5 || i == 20) request(wanted_);
      go_on();
      if (ready()) return;
    }
    FAIL() << "wanted " << wanted_ << " but " << to_string(engine_->state());
  }

  bool wanted() const { return wanted_; }
  std::uint64_t journal_entries() const { return world_.entries; }

 private:
  bool chance(std::uint64_t one_in) { return !calm_ && random_() % one_in == 0; }
  bool ready() const {
    const ServerState expected = wanted_ ? ServerState::kRunning : ServerState::kStopped;
    return engine_->state() == expected && world_.running == wanted_;
  }

  /// A new agent; the old one was killed or there was none.
  void boot() {
    engine_.emplace(Tuning{});
    outcome_.reset();
    wanted_ = false;
    hand_in(event::Booted{world_.initialised, world_.running, world_.open_step});
    if (random_() % 4 != 0) request(true);
  }

  void request(bool up) {
    wanted_ = up;
    if (up) return hand_in(event::StartRequested{});
    hand_in(event::StopRequested{});
  }

  void go_on() {
    if (outcome_) {
      const Event outcome = std::move(*outcome_);
      outcome_.reset();
      return hand_in(outcome);
    }
    if (engine_->state() == ServerState::kRunning && !world_.running) hand_in(event::ServerDied{});
    hand_in(event::Tick{});
    if (const auto wakeup = engine_->wakeup()) {
      EXPECT_LE(*wakeup - now_, Tuning{}.longest_restart_after);
    }
  }

  void hand_in(const Event& event) {
    if (outcome_ && !std::holds_alternative<event::StartRequested>(event) &&
        !std::holds_alternative<event::StopRequested>(event)) {
      return;
    }
    killed_ = false;
    for (const Action& action : engine_->handle(event, now_)) {
      if (killed_ || chance(100)) return boot();
      EXPECT_FALSE(outcome_ && busy_action(action)) << "two steps at once";
      std::visit([&](const auto& which) { carry_out(which); }, action);
    }
    if (killed_) boot();
  }

  static bool busy_action(const Action& action) {
    return !std::holds_alternative<action::Write>(action) && !std::holds_alternative<action::Announce>(action);
  }

  void carry_out(const action::Write& write) {
    ++world_.entries;
    if (write.phase == Phase::kBegin) {
      EXPECT_FALSE(world_.open_step) << "a step begins within another";
      world_.open_step = write.step;
    } else if (write.step != Step::kRun) {
      EXPECT_EQ(world_.open_step, write.step) << "a step ends that was not begun";
      world_.open_step.reset();
    }
  }

  void carry_out(const action::Initialise&) {
    EXPECT_FALSE(world_.initialised) << "initialised twice";
    EXPECT_EQ(world_.open_step, Step::kInitialise);
    if (chance(8)) return fail(Step::kInitialise);
    world_.initialised = true;
    finish(Step::kInitialise);
  }

  void carry_out(const action::Start&) {
    EXPECT_TRUE(world_.initialised);
    EXPECT_FALSE(world_.running) << "started while another runs";
    EXPECT_EQ(world_.open_step, Step::kStart);
    if (chance(8)) return fail(Step::kStart);
    world_.running = true;
    if (chance(4)) {
      outcome_ = event::StartPending{};
    } else {
      finish(Step::kStart);
    }
  }

  void carry_out(const action::AwaitReady&) {
    EXPECT_EQ(world_.open_step, Step::kStart);
    if (!world_.running) return fail(Step::kStart);
    if (chance(2)) {
      outcome_ = event::StartPending{};
    } else {
      finish(Step::kStart);
    }
  }

  void carry_out(const action::Stop&) {
    EXPECT_EQ(world_.open_step, Step::kStop);
    if (chance(6)) return fail(Step::kStop);
    world_.running = false;
    finish(Step::kStop);
  }

  void carry_out(const action::Announce& change) {
    if (change.gave_up) wanted_ = false;
    if (change.state == ServerState::kStarting) {
      EXPECT_TRUE(world_.initialised);
    }
  }

  void finish(Step step) {
    killed_ = chance(20);  // done, but the agent does not live to write it
    outcome_ = event::StepDone{step};
  }
  void fail(Step step) {
    killed_ = chance(20);
    outcome_ = event::StepFailed{step, "bad luck"};
  }

  std::mt19937_64 random_;
  World world_;
  std::optional<Engine> engine_;
  std::optional<Event> outcome_;
  TimePoint now_{};
  bool wanted_ = false;
  bool killed_ = false;
  bool calm_ = false;
};

std::uint64_t first_seed() {
  if (const char* given = std::getenv("VERBUND_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

TEST(AgentEngine, KeepsItsLawsThroughKillsAtEveryEntry) {
  constexpr int kRuns = 10'000;
  constexpr int kStepsPerRun = 200;
  const std::uint64_t seed = first_seed();
  std::uint64_t entries = 0;
  int up = 0;
  for (std::uint64_t run = 0; run < kRuns; ++run) {
    SCOPED_TRACE(fmt::format("VERBUND_SEED={}", seed + run));
    Simulation simulation(seed + run);
    for (int i = 0; i < kStepsPerRun; ++i) simulation.step();
    simulation.settle();
    entries += simulation.journal_entries();
    up += simulation.wanted() ? 1 : 0;
    if (::testing::Test::HasFailure()) return;
  }
  fmt::print("seed {}: {} steps, {} journal entries, {} of {} runs ended with a running server\n", seed,
             kRuns * kStepsPerRun, entries, up, kRuns);
  EXPECT_GT(up, kRuns / 10);
}

}  // namespace
}  // namespace verbund::mirror
