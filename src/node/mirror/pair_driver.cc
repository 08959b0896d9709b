#include "node/mirror/pair_driver.h"

#include "base/messages.h"

namespace verbund::node {
namespace {

using mirror::PairStatus;
using mirror::Stage;
using mirror::Task;
namespace pair = mirror::pair;

constexpr milliseconds kTickEvery{100};
constexpr milliseconds kLookCalm{500}, kLookClose{25};
constexpr seconds kRebootAfter{1};

}  // namespace

PairDriver::PairDriver(mirror::PairJournal journal, PairHands& hands, const mirror::PairTuning& tuning, bool open, const Clock& clock, Log& log)
    : journal_(std::move(journal)), hands_(hands), open_at_start_(open), clock_(clock), log_(log), tuning_(tuning), witness_at_(clock.now()) {}

Result<mirror::WitnessAnswer> PairHands::call(const mirror::WitnessCall&) { return fail(ErrorCode::kUnsupported, phrase("ask the witness: there is none")); }

Status PairHands::guard(std::optional<TimePoint>) { return {}; }

PairDriver::~PairDriver() { stop(); }

void PairDriver::start() {
  engine_thread_ = std::jthread([this] { run_engine(); });
  task_thread_ = std::jthread([this] { run_tasks(); });
  look_thread_ = std::jthread([this] { run_looks(); });
  send_thread_ = std::jthread([this] { run_sends(); });
  call_thread_ = std::jthread([this] { run_calls(); });
}

void PairDriver::begin_stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

void PairDriver::stop() {
  begin_stop();
  for (auto* thread : {&engine_thread_, &task_thread_, &look_thread_, &send_thread_, &call_thread_}) {
    if (thread->joinable()) thread->join();
  }
}

void PairDriver::push(Item item) {
  {
    const std::lock_guard guard(mutex_);
    if (stopping_) return answer_rest(item);
    items_.push_back(std::move(item));
  }
  changed_.notify_all();
}

Result<PairStatus> PairDriver::hear(const PairStatus& status) {
  std::promise<Result<PairStatus>> promise;
  auto answer = promise.get_future();
  push({.event = pair::Heard{status, true}, .answer = &promise});
  return answer.get();
}

void PairDriver::note_answer(const PairStatus& status) { push({.event = pair::Heard{status}}); }

Result<pair::Reply> PairDriver::ask(pair::Event request) {
  std::promise<pair::Reply> promise;
  auto reply = promise.get_future();
  push({.event = std::move(request), .reply = &promise});
  return reply.get();
}

void PairDriver::see(Term term) { push({.event = pair::TermSeen{term}}); }

void PairDriver::promised(Term term, TimePoint until) { push({.event = pair::Promised{term, until}}); }

void PairDriver::replaced() {
  {
    const std::lock_guard guard(mutex_);
    peer_.reset();
  }
  push({.event = pair::Replaced{}});
}

PairView PairDriver::view() const {
  const std::lock_guard guard(mutex_);
  PairView view;
  if (!engine_) return view;
  const auto now = clock_.now();
  view.record = engine_->record();
  view.server = server_;
  view.open = engine_->open();
  view.waits_for_person = engine_->waits_for_person(now);
  view.peer_alive = engine_->peer_alive(now);
  view.doing = doing_;
  view.behind = engine_->behind(now);
  view.loss = engine_->report(now);
  view.peer = peer_;
  view.told = told_;
  view.told_reason = told_reason_;
  view.trouble = trouble_;
  view.has_witness = tuning_.lease > nanoseconds{0};
  view.automatic = tuning_.automatic;
  view.witness_alive = engine_->witness_alive(now);
  view.witness = engine_->witness();
  view.witness_silent = now - witness_at_;
  view.witness_error = witness_error_;
  if (const auto until = engine_->leased_until()) view.lease_left = std::max<nanoseconds>(*until - now, -seconds{86'400});
  view.not_automatic = engine_->not_automatic(now);
  return view;
}

void PairDriver::retune(const mirror::PairTuning& tuning) {
  const std::lock_guard guard(mutex_);
  tuning_ = tuning;
  witness_at_ = clock_.now();
  reboot_at_ = clock_.now();
}

/// A new life of the engine begins from the record on disk.
void PairDriver::boot(bool open) {
  const auto facts = hands_.facts();
  const auto begun = hands_.begun();
  const auto& last = *journal_.last();
  TimePoint leased{};
  {
    const std::lock_guard guard(mutex_);
    if (engine_) leased = engine_->leased_until().value_or(TimePoint{});
    engine_.emplace(tuning_);
    ++life_;
    reboot_at_.reset();
    trouble_.clear();
    server_ = facts;
  }
  log_.info("pair.agent_begins", {{"stage", to_string(last.record.stage)}, {"term", last.record.term.value}, {"member", last.record.member}});
  handle({.event = pair::Booted{last.record, journal_.age(), facts, open, begun, leased}});
}

void PairDriver::run_engine() {
  boot(open_at_start_);
  while (true) {
    std::optional<Item> item;
    bool again = false;
    {
      std::unique_lock guard(mutex_);
      changed_.wait_for(guard, kTickEvery, [this] { return stopping_ || !items_.empty(); });
      if (stopping_) break;
      again = reboot_at_ && clock_.now() >= *reboot_at_ && !doing_;
      if (!items_.empty()) {
        item = std::move(items_.front());
        items_.pop_front();
      }
    }
    if (again) boot(engine_->open());
    if (item && item->life != 0 && item->life != life_) continue;  // what an earlier life had begun
    handle(item ? std::move(*item) : Item{.event = pair::Tick{}});
  }
  const std::lock_guard guard(mutex_);
  for (Item& item : items_) answer_rest(item);
  items_.clear();
}

void PairDriver::answer_rest(Item& item) {
  if (item.answer != nullptr) item.answer->set_value(fail(ErrorCode::kUnavailable, phrase("hear the other machine: this node is busy or stopping")));
  if (item.reply != nullptr) item.reply->set_value({false, msgid("the node is busy or stopping")});
}

void PairDriver::handle(Item item) {
  std::vector<pair::Action> actions;
  bool lifeless = false;
  {
    const std::lock_guard guard(mutex_);
    if (const auto* heard = std::get_if<pair::Heard>(&item.event)) peer_ = heard->status;
    if (const auto* seen = std::get_if<pair::Observed>(&item.event)) server_ = seen->server;
    if (const auto* done = std::get_if<pair::Done>(&item.event)) {
      server_ = done->server;
      if (told_ == to_string(done->task)) told_.clear(), told_reason_.clear();  // that it failed before
    }
    if (const auto* failed = std::get_if<pair::Failed>(&item.event)) server_ = failed->server;
    lifeless = reboot_at_.has_value();
    if (!lifeless) actions = engine_->handle(item.event, clock_.now());
  }
  bool failed = false;
  for (const auto& action : actions) failed = !carry_out(action, item, failed) || failed;
  answer_rest(item);
  if (lifeless) return;
  hands_.changed(engine_->record(), engine_->open());
}

/// False: the record could not be written. What follows in that list is left undone, but for what stops the server.
bool PairDriver::carry_out(const pair::Action& action, Item& item, bool failed) {
  if (const auto* record = std::get_if<pair::Record>(&action)) {
    if (failed) return false;
    const auto written = journal_.append(record->record, record->why);
    if (written) {
      log_.info("pair.step", {{"stage", to_string(record->record.stage)}, {"term", record->record.term.value}, {"why", record->why}});
      return true;
    }
    log_.error("pair.not_written", {{"why", record->why}, {"error", written.error().message}});
    const std::lock_guard guard(mutex_);
    trouble_ = written.error().message;
    reboot_at_ = clock_.now() + kRebootAfter;
    return false;
  }
  if (const auto* guarded = std::get_if<pair::Guard>(&action)) return guard(*guarded), true;
  if (std::holds_alternative<pair::Close>(action)) {
    hands_.close();
  } else if (const auto* task = std::get_if<pair::Do>(&action)) {
    if (failed && task->task != Task::kStop) return true;
    {
      const std::lock_guard guard(mutex_);
      work_ = Work{task->task, task->term, engine_->record(), life_};
      doing_ = task->task;
      ++looks_void_;
    }
    changed_.notify_all();
  } else if (failed) {
    return true;
  } else if (const auto* send = std::get_if<pair::Send>(&action)) {
    if (item.answer != nullptr) {
      item.answer->set_value(send->status);
      item.answer = nullptr;
      return true;
    }
    const std::lock_guard guard(mutex_);
    to_send_ = send->status;
    changed_.notify_all();
  } else if (const auto* call = std::get_if<pair::Call>(&action)) {
    const std::lock_guard guard(mutex_);
    to_call_ = call->call;
    // Whom nothing holds back if this process ends must not be given away.
    if (!guarded_) to_call_->candidate = 0;
    changed_.notify_all();
  } else if (const auto* reply = std::get_if<pair::Reply>(&action)) {
    {
      // What became of an earlier procedure is no answer to this one.
      const std::lock_guard guard(mutex_);
      if (reply->accepted) told_.clear(), told_reason_.clear();
    }
    if (item.reply != nullptr) item.reply->set_value(*reply);
    item.reply = nullptr;
  } else if (const auto* tell = std::get_if<pair::Tell>(&action)) {
    log_.info("pair.told", {{"what", tell->what}, {"reason", tell->reason}});
    const std::lock_guard guard(mutex_);
    told_ = tell->what;
    told_reason_ = tell->reason;
  }
  return true;
}

bool PairDriver::guard(const pair::Guard& guard) {
  const auto done = hands_.guard(guard.until);
  if (!done) log_.error("pair.not_guarded", {{"error", done.error().message}});
  const std::lock_guard lock(mutex_);
  guarded_ = done.has_value();
  return guarded_;
}

void PairDriver::run_tasks() {
  while (true) {
    std::optional<Work> work;
    {
      std::unique_lock guard(mutex_);
      changed_.wait(guard, [this] { return stopping_ || work_; });
      if (stopping_) return;
      work = std::move(work_);
      work_.reset();
    }
    log_.info("pair.task", {{"task", to_string(work->task)}, {"term", work->term.value}});
    const auto outcome = hands_.carry_out(work->task, work->term, work->record);
    const auto facts = hands_.facts();
    if (!outcome) log_.error("pair.task_failed", {{"task", to_string(work->task)}, {"error", outcome.error().message}});
    {
      const std::lock_guard guard(mutex_);
      doing_.reset();
      ++looks_void_;
    }
    pair::Event event = pair::Done{work->task, facts};
    if (!outcome) event = pair::Failed{work->task, outcome.error().message, facts};
    push({.event = std::move(event), .life = work->life});
  }
}

nanoseconds PairDriver::look_every() const {
  if (!peer_) return kLookCalm;
  const bool moving = peer_->wish != mirror::Wish::kNone || peer_->stage == Stage::kHandedOver || peer_->stage == Stage::kPromoting;
  return moving ? nanoseconds{kLookClose} : nanoseconds{kLookCalm};
}

void PairDriver::run_looks() {
  while (true) {
    std::uint64_t before = 0;
    {
      std::unique_lock guard(mutex_);
      const auto every = look_every();
      const bool moved = changed_.wait_for(guard, every, [this, every] { return stopping_ || look_every() < every; });
      if (stopping_) return;
      (void)moved;  // either way it is time to look
      if (doing_) continue;
      before = looks_void_;
    }
    const auto facts = hands_.facts();
    std::unique_lock guard(mutex_);
    if (looks_void_ != before || doing_) continue;
    items_.push_back({.event = pair::Observed{facts}, .life = life_});
    guard.unlock();
    changed_.notify_all();
  }
}

/// The newest message alone: each has everything.
void PairDriver::run_sends() {
  bool reached = true;
  while (true) {
    PairStatus status;
    {
      std::unique_lock guard(mutex_);
      changed_.wait(guard, [this] { return stopping_ || to_send_; });
      if (stopping_) return;
      status = *to_send_;
      to_send_.reset();
    }
    const auto answer = hands_.send(status);
    if (answer) note_answer(*answer);
    if (!answer && answer.error().code == ErrorCode::kUnauthenticated) push({.event = pair::Disowned{}});
    if (answer.has_value() != reached) log_.warning("pair.peer", {{"answers", answer.has_value()}, {"reason", answer ? "" : answer.error().message}});
    reached = answer.has_value();
  }
}

/// The newest call alone: each has everything.
void PairDriver::run_calls() {
  while (true) {
    mirror::WitnessCall call;
    {
      std::unique_lock guard(mutex_);
      changed_.wait(guard, [this] { return stopping_ || to_call_; });
      if (stopping_) return;
      call = std::move(*to_call_);
      to_call_.reset();
    }
    const auto answer = hands_.call(call);
    bool told = false;
    {
      const std::lock_guard guard(mutex_);
      told = witness_error_.empty() != answer.has_value();
      witness_error_ = answer ? "" : answer.error().message;
      if (answer) witness_at_ = clock_.now();
    }
    if (told) log_.warning("pair.witness", {{"answers", answer.has_value()}, {"reason", answer ? "" : answer.error().message}});
    if (answer) push({.event = pair::WitnessAnswered{*answer}});
  }
}

}  // namespace verbund::node
