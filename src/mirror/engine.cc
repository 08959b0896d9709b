#include "mirror/engine.h"

#include <cassert>

namespace verbund::mirror {

std::string_view to_string(ServerState state) {
  switch (state) {
    case ServerState::kStopped: return "stopped";
    case ServerState::kInitialising: return "initialising";
    case ServerState::kStarting: return "starting";
    case ServerState::kRunning: return "running";
    case ServerState::kStopping: return "stopping";
    case ServerState::kCrashed: return "crashed";
  }
  return "?";
}

std::vector<Action> Engine::handle(const Event& event, TimePoint now) {
  actions_.clear();
  std::visit([&](const auto& which) { on(which, now); }, event);
  return std::move(actions_);
}

void Engine::write(Step step, Phase phase, std::string detail) {
  actions_.emplace_back(action::Write{step, phase, std::move(detail)});
}

void Engine::enter(ServerState state, std::string reason, bool gave_up) {
  if (state == state_ && !gave_up) return;
  state_ = state;
  actions_.emplace_back(action::Announce{state, std::move(reason), gave_up});
}

void Engine::begin_start() {
  wakeup_.reset();
  if (!initialised_) {
    enter(ServerState::kInitialising, "first start");
    write(Step::kInitialise, Phase::kBegin);
    actions_.emplace_back(action::Initialise{});
    return;
  }
  enter(ServerState::kStarting, {});
  write(Step::kStart, Phase::kBegin);
  actions_.emplace_back(action::Start{});
}

void Engine::begin_stop(StopHow how, std::string detail) {
  wakeup_.reset();
  stopping_how_ = how;
  enter(ServerState::kStopping, detail);
  write(Step::kStop, Phase::kBegin, std::move(detail));
  actions_.emplace_back(action::Stop{how});
}

void Engine::wait_for_restart(TimePoint now) {
  wakeup_ = now + restart_after_;
  restart_after_ = std::min(restart_after_ * 2, tuning_.longest_restart_after);
}

void Engine::on(const event::Booted& booted, TimePoint) {
  initialised_ = booted.initialised;
  // An agent that was killed is judged by what it left behind, not by what it meant to do.
  if (booted.open_step == Step::kInitialise) {
    write(Step::kInitialise, booted.initialised ? Phase::kDone : Phase::kFailed, "the agent was ended meanwhile");
  } else if (booted.open_step == Step::kStop && !booted.running) {
    write(Step::kStop, Phase::kDone, "the agent was ended meanwhile");
  } else if (booted.open_step) {
    write(*booted.open_step, Phase::kFailed, "the agent was ended meanwhile");
  }
  if (booted.running) begin_stop(StopHow::kFast, "left running by an agent that was ended");
}

void Engine::on(const event::StartRequested&, TimePoint now) {
  if (!wanted_) was_running_ = false;
  wanted_ = true;
  if (state_ == ServerState::kStopped) begin_start();
  if (state_ == ServerState::kCrashed) wakeup_ = now;
}

void Engine::on(const event::StopRequested&, TimePoint) {
  wanted_ = false;
  switch (state_) {
    case ServerState::kRunning:
    case ServerState::kCrashed:
      begin_stop(StopHow::kFast, "asked for");
      break;
    case ServerState::kStopped:
    case ServerState::kInitialising:
    case ServerState::kStarting:
    case ServerState::kStopping:
      break;  // the outcome of the step finds `wanted_` false
  }
}

void Engine::on(const event::StepDone& done, TimePoint now) {
  write(done.step, Phase::kDone);
  switch (done.step) {
    case Step::kInitialise:
      initialised_ = true;
      wanted_ ? begin_start() : enter(ServerState::kStopped, {});
      break;
    case Step::kStart:
      running_since_ = now;
      was_running_ = true;
      enter(ServerState::kRunning, {});
      if (!wanted_) begin_stop(StopHow::kFast, "asked for");
      break;
    case Step::kStop:
      enter(ServerState::kStopped, {});
      if (wanted_) begin_start();
      break;
    case Step::kRun:
      assert(false && "running is no step that ends well");
  }
}

void Engine::on(const event::StepFailed& failed, TimePoint now) {
  write(failed.step, Phase::kFailed, failed.reason);
  switch (failed.step) {
    case Step::kInitialise:
      wanted_ = false;
      enter(ServerState::kStopped, failed.reason, true);
      break;
    case Step::kStart:
      start_failed(failed.reason, now);
      break;
    case Step::kStop:
      if (stopping_how_ == StopHow::kFast) {
        begin_stop(StopHow::kImmediate, "it did not stop in time");
      } else {
        wait_for_restart(now);  // nothing is left to try but the same again
      }
      break;
    case Step::kRun:
      assert(false && "the end of a running server is ServerDied");
  }
}

void Engine::start_failed(const std::string& reason, TimePoint now) {
  if (wanted_ && was_running_) {
    enter(ServerState::kCrashed, reason);
    wait_for_restart(now);
    return;
  }
  const bool gave_up = wanted_;
  wanted_ = false;
  enter(ServerState::kStopped, reason, gave_up);
}

void Engine::on(const event::StartPending&, TimePoint) {
  assert(state_ == ServerState::kStarting);
  if (wanted_) {
    actions_.emplace_back(action::AwaitReady{});
    return;
  }
  write(Step::kStart, Phase::kFailed, "a stop was asked for");
  begin_stop(StopHow::kFast, "asked for");
}

void Engine::on(const event::ServerDied&, TimePoint now) {
  if (state_ != ServerState::kRunning) return;  // a step is under way and will find out itself
  write(Step::kRun, Phase::kFailed, "the postmaster has ended without being asked to");
  if (now - running_since_ >= tuning_.calm_after) restart_after_ = tuning_.first_restart_after;
  enter(ServerState::kCrashed, "the postmaster has ended");
  wait_for_restart(now);
}

void Engine::on(const event::Tick&, TimePoint now) {
  if (!wakeup_ || now < *wakeup_) return;
  wakeup_.reset();
  if (state_ == ServerState::kCrashed) begin_start();
  if (state_ == ServerState::kStopping) begin_stop(StopHow::kImmediate, "once more");
}

}  // namespace verbund::mirror
