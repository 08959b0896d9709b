#pragma once
/// The agent's decisions: when to initialise, start, stop and restart the owned PostgreSQL.
/// Pure engine: no I/O, no clock; one thread. See README.md for the laws it keeps.
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "mirror/journal.h"

namespace verbund::mirror {

enum class ServerState { kStopped, kInitialising, kStarting, kRunning, kStopping, kCrashed };
std::string_view to_string(ServerState state);

/// Every tunable of the agent.
struct Tuning {
  nanoseconds first_restart_after = milliseconds{200};  ///< after a crash; doubles with each that follows soon
  nanoseconds longest_restart_after = seconds{30};
  nanoseconds calm_after = seconds{60};   ///< a server that ran this long starts again with the first delay
  nanoseconds stop_fast_within = seconds{20};       ///< then immediately (crash recovery at the next start)
  nanoseconds stop_immediate_within = seconds{10};  ///< then it is killed
  nanoseconds start_slice = seconds{2};   ///< so often a start that takes long listens to a stop
  nanoseconds look_every = milliseconds{100};       ///< is the postmaster still there
};

namespace event {
/// First of all, once: what the agent found. `open_step` from the journal.
struct Booted {
  bool initialised = false;
  bool running = false;
  std::optional<Step> open_step;
};
struct StartRequested {};
struct StopRequested {};
struct StepDone {
  Step step;
};
struct StepFailed {
  Step step;
  std::string reason;
};
/// The server has been started and does not take connections yet (crash recovery).
struct StartPending {};
struct ServerDied {};
struct Tick {};
}  // namespace event
using Event = std::variant<event::Booted, event::StartRequested, event::StopRequested, event::StepDone,
                           event::StepFailed, event::StartPending, event::ServerDied, event::Tick>;

enum class StopHow { kFast, kImmediate };

namespace action {
/// On disk before the next action. When the entry can't be written, the begun step fails without being done, except
/// a stop, which goes on: a full disk must not keep a server running.
struct Write {
  Step step;
  Phase phase;
  std::string detail;
};
struct Initialise {};
struct Start {};
struct AwaitReady {};
struct Stop {
  StopHow how;
};
/// The state has changed. `gave_up`: what was asked for failed and is not tried again.
struct Announce {
  ServerState state;
  std::string reason;
  bool gave_up = false;
};
}  // namespace action
using Action = std::variant<action::Write, action::Initialise, action::Start, action::AwaitReady, action::Stop,
                            action::Announce>;

class Engine {
 public:
  explicit Engine(const Tuning& tuning) : tuning_(tuning), restart_after_(tuning.first_restart_after) {}

  /// The actions are carried out in order. Initialise, Start, AwaitReady and Stop are always the last of a list; each
  /// gives exactly one outcome (StepDone, StepFailed, StartPending), handed in before any Tick or ServerDied.
  /// StartRequested and StopRequested may come at any time after Booted.
  [[nodiscard]] std::vector<Action> handle(const Event& event, TimePoint now);
  [[nodiscard]] ServerState state() const { return state_; }
  /// When a Tick is due; nothing when none is.
  [[nodiscard]] std::optional<TimePoint> wakeup() const { return wakeup_; }

 private:
  void on(const event::Booted& booted, TimePoint now);
  void on(const event::StartRequested&, TimePoint now);
  void on(const event::StopRequested&, TimePoint now);
  void on(const event::StepDone& done, TimePoint now);
  void on(const event::StepFailed& failed, TimePoint now);
  void on(const event::StartPending&, TimePoint now);
  void on(const event::ServerDied&, TimePoint now);
  void on(const event::Tick&, TimePoint now);
  void start_failed(const std::string& reason, TimePoint now);

  void write(Step step, Phase phase, std::string detail = {});
  void enter(ServerState state, std::string reason, bool gave_up = false);
  void begin_start();
  void begin_stop(StopHow how, std::string detail);
  void wait_for_restart(TimePoint now);

  Tuning tuning_;
  ServerState state_ = ServerState::kStopped;
  bool wanted_ = false;       // somebody wants the server up
  bool initialised_ = false;
  bool was_running_ = false;  // since it was asked for: then a failed start is tried again
  StopHow stopping_how_ = StopHow::kFast;
  nanoseconds restart_after_;
  TimePoint running_since_{};
  std::optional<TimePoint> wakeup_;
  std::vector<Action> actions_;
};

}  // namespace verbund::mirror
