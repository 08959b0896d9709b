// Carries out what the engine decides, on a thread of its own.
#include <deque>
#include <thread>

#include "base/messages.h"
#include "mirror/agent_base.h"
#include "mirror/journal.h"

namespace verbund::mirror {
namespace {

using postgres::OwnedServer;
using postgres::StopMode;

class OwningAgent final : public AgentBase {
 public:
  OwningAgent(const std::filesystem::path& directory, os::FileLock lock, Journal journal,
              postgres::OwnedServerSettings server, Log& log, const Clock& clock, const Tuning& tuning)
      : AgentBase(directory, std::move(lock), log, clock),
        tuning_(tuning),
        journal_(std::move(journal)),
        server_(std::move(server), log, clock),
        engine_(tuning),
        thread_([this] { run(); }) {}

  ~OwningAgent() override {
    {
      const std::lock_guard guard(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  Status start(Deadline deadline) override {
    std::unique_lock guard(mutex_);
    requests_.emplace_back(event::StartRequested{});
    const std::uint64_t request = ++requests_made_;
    changed_.notify_all();
    const auto withdrawn = [&] { return stop_begun_ > request; };
    const auto over = [&] { return withdrawn() || (requests_taken_ >= request && (state_ == ServerState::kRunning || failure_)); };
    if (!wait_until(guard, deadline, over)) {
      return fail(ErrorCode::kTimedOut, phrase("start PostgreSQL: still {}", to_string(state_)));
    }
    if (withdrawn()) return fail(ErrorCode::kUnavailable, phrase("start PostgreSQL: it is stopped again"));
    return failure_ ? Status(std::unexpected(*failure_)) : Status{};
  }

  Status stop(Deadline deadline) override {
    std::unique_lock guard(mutex_);
    requests_.emplace_back(event::StopRequested{});
    const std::uint64_t request = ++requests_made_;
    stop_deadline_ = deadline;
    changed_.notify_all();
    const auto over = [&] { return requests_taken_ >= request && state_ == ServerState::kStopped; };
    if (wait_until(guard, deadline, over)) return {};
    return fail(ErrorCode::kTimedOut, phrase("stop PostgreSQL: still {}", to_string(state_)));
  }

  void begin_stop() override {
    {
      const std::lock_guard guard(mutex_);
      requests_.emplace_back(event::StopRequested{});
      stop_begun_ = ++requests_made_;
    }
    changed_.notify_all();
  }

  Status with_server(const std::function<Status(postgres::OwnedServer&)>& work) override {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return work_ == nullptr; });
    std::optional<Status> outcome;
    work_ = &work;
    outcome_ = &outcome;
    changed_.notify_all();
    changed_.wait(guard, [&] { return outcome.has_value(); });
    return *outcome;
  }

 private:
  /// Work that somebody waits for; the mutex is not held meanwhile.
  void do_work() {
    std::unique_lock guard(mutex_);
    if (work_ == nullptr) return;
    const auto* work = work_;
    guard.unlock();
    Status done = (*work)(server_);
    guard.lock();
    *outcome_ = std::move(done);
    work_ = nullptr;
    guard.unlock();
    changed_.notify_all();
  }

  void run() {
    feed(event::Booted{server_.initialised(), server_.running_pid() != 0, journal_.open_step()});
    while (take_requests()) {
      if (!outcomes_.empty()) {
        const Event outcome = std::move(outcomes_.front());
        outcomes_.pop_front();
        feed(outcome);
        continue;
      }
      if (engine_.state() == ServerState::kRunning && server_.running_pid() != postmaster_) feed(event::ServerDied{});
      feed(event::Tick{});
    }
  }

  /// Waits a moment when nothing is under way. False when the agent ends; a step that is under way is ended first.
  bool take_requests() {
    std::deque<Event> requests;
    {
      std::unique_lock guard(mutex_);
      const auto until = Deadline::in(clock_, tuning_.look_every);
      if (outcomes_.empty()) (void)wait_until(guard, until, [&] { return ending_ || work_ != nullptr || !requests_.empty(); });
      if (ending_) return false;
      requests.swap(requests_);
    }
    do_work();
    for (const Event& request : requests) {
      {
        const std::lock_guard guard(mutex_);
        failure_.reset();  // an older attempt's
      }
      feed(request);
      const std::lock_guard guard(mutex_);
      ++requests_taken_;
    }
    changed_.notify_all();
    return true;
  }

  void feed(const Event& event) {
    for (const Action& action : engine_.handle(event, clock_.now())) {
      if (!std::visit([&](const auto& which) { return carry_out(which); }, action)) return;
    }
  }

  /// False: what follows in the list is not carried out.
  bool carry_out(const action::Write& write) {
    auto written = journal_.append(write.step, write.phase, write.detail);
    if (written) return true;
    log_.error("agent.journal_failed", {{"step", to_string(write.step)}, {"cause", written.error().message}});
    if (write.phase != Phase::kBegin || write.step == Step::kStop) return true;
    report(write.step, std::move(written));
    return false;
  }

  bool carry_out(const action::Initialise&) {
    Status done;
    if (!server_.initialised()) done = server_.initialise();
    if (done && !server_.initialised()) done = fail(ErrorCode::kInternal, phrase("initialise PostgreSQL: it left nothing behind"));
    report(Step::kInitialise, std::move(done));
    return true;
  }

  bool carry_out(const action::Start&) {
    report_start(server_.start(Deadline::in(clock_, tuning_.start_slice)));
    return true;
  }

  bool carry_out(const action::AwaitReady&) {
    report_start(server_.await_ready(Deadline::in(clock_, tuning_.start_slice)));
    return true;
  }

  void report_start(Status done) {
    if (!done && done.error().code == ErrorCode::kTimedOut && server_.running_pid() != 0) {
      outcomes_.emplace_back(event::StartPending{});
      return;
    }
    postmaster_ = server_.running_pid();
    if (done && postmaster_ == 0) done = fail(ErrorCode::kDatabaseDown, phrase("start PostgreSQL: it has ended again"));
    report(Step::kStart, std::move(done));
  }

  bool carry_out(const action::Stop& stop) {
    const bool fast = stop.how == StopHow::kFast;
    Status done = server_.stop(fast ? StopMode::kFast : StopMode::kImmediate, stop_deadline(stop.how));
    // Nothing of this directory may live on, or the next start would not get its shared memory.
    if (done || !fast) done = server_.clear_up(Deadline::in(clock_, tuning_.stop_immediate_within));
    if (done && server_.running_pid() != 0) done = fail(ErrorCode::kInternal, phrase("stop PostgreSQL: it runs again"));
    report(Step::kStop, std::move(done));
    return true;
  }

  /// Fast takes at most two thirds of the caller's time, so that the rest is enough for force.
  Deadline stop_deadline(StopHow how) {
    const std::lock_guard guard(mutex_);
    nanoseconds span = how == StopHow::kFast ? tuning_.stop_fast_within : tuning_.stop_immediate_within;
    if (how == StopHow::kFast && stop_deadline_) span = std::min(span, stop_deadline_->left(clock_) * 2 / 3);
    return Deadline::in(clock_, span);
  }

  bool carry_out(const action::Announce& change) {
    {
      const std::lock_guard guard(mutex_);
      if (change.gave_up) failure_ = last_error_;
      if (change.state == ServerState::kStopped) stop_deadline_.reset();
    }
    announce(change.state, change.reason);
    return true;
  }

  void report(Step step, Status done) {
    if (done) {
      outcomes_.emplace_back(event::StepDone{step});
      return;
    }
    log_.error("agent.step_failed", {{"step", to_string(step)}, {"cause", done.error().message}});
    last_error_ = std::move(done.error());
    outcomes_.emplace_back(event::StepFailed{step, last_error_.message});
  }

  const Tuning tuning_;
  Journal journal_;
  OwnedServer server_;
  Engine engine_;
  std::deque<Event> outcomes_;
  Error last_error_;
  int postmaster_ = 0;
  std::deque<Event> requests_;               // guarded by mutex_, as are the next seven
  const std::function<Status(postgres::OwnedServer&)>* work_ = nullptr;  // of who waits in with_server
  std::optional<Status>* outcome_ = nullptr;                             // where its outcome goes
  std::uint64_t requests_made_ = 0;
  std::uint64_t requests_taken_ = 0;
  std::uint64_t stop_begun_ = 0;             // the last request that was begin_stop's
  std::optional<Error> failure_;             // of the last start that was given up
  std::optional<Deadline> stop_deadline_;
  std::thread thread_;                       // last: it uses all the others
};

}  // namespace

Result<std::unique_ptr<Agent>> Agent::own(const std::filesystem::path& directory, postgres::OwnedServerSettings server,
                                          Log& log, const Clock& clock, const Tuning& tuning) {
  auto lock = AgentBase::lock(directory);
  if (!lock) return pass(lock);
  auto journal = Journal::open(directory / "agent" / "journal", clock);
  if (!journal) return pass(journal);
  return std::make_unique<OwningAgent>(directory, std::move(*lock), std::move(*journal), std::move(server), log, clock,
                                       tuning);
}

}  // namespace verbund::mirror
