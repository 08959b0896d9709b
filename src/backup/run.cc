// run_office: what the engine decides, done.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "backup/medium.h"
#include "backup/office.h"
#include "backup/retention.h"
#include "backup/run_copies.h"
#include "backup/services.h"
#include "backup/set_journal.h"
#include "backup/verify.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

/// So often an interrupted caller is noticed.
constexpr milliseconds kLook{50};

class OfficeRun {
 public:
  OfficeRun(const Office& office, const RunOptions& options, FeedGate& gate, Progress& progress, const Clock& clock, Log& log)
      : office_(office), options_(options), gate_(gate), progress_(progress), clock_(clock), log_(log),
        services_(office.directory / "backup" / "stopped.jsonl", clock, log), applications_(applications_of(office)) {}

  Result<RunReport> run() {
    begun_ = report_.begun = clock_.wall();
    report_.wanted = options_.verify.value_or(office_.config.verify);
    const auto started = clock_.now();
    if (auto ready = prepare(); !ready) return pass(ready);
    RunEngine engine(plan());
    std::optional<RunEvent> event = event::Begin{};
    bool told = false;
    while (!report_done_) {
      if (!event && !told && options_.interrupted != nullptr && options_.interrupted->load()) {
        told = true;
        event = event::Interrupted{};
      }
      if (!event) event = next_event();
      if (!event) continue;
      auto actions = engine.handle(*event);
      event.reset();
      for (const auto& action : actions) std::visit([this](const auto& which) { carry_out(which); }, action);
    }
    end_phase();
    report_.took = std::chrono::duration_cast<milliseconds>(clock_.now() - started);
    return std::move(report_);
  }

 private:
  Status prepare() {
    auto programs = Programs::find(office_.config.programs.empty() ? std::nullopt : std::optional(office_.config.programs));
    if (!programs) return pass(programs);
    programs_ = std::move(*programs);
    auto id = installation_id(office_.directory);
    if (!id) return pass(id);
    installation_ = std::move(*id);
    auto key = signing_key(office_.directory);
    if (!key) return pass(key);
    key_.emplace(std::move(*key));
    if (auto secret = drill_secret(office_.directory); !secret) return pass(secret);  // every set has it
    for (std::size_t i = 0; i < applications_.size(); ++i) {
      if (!applications_[i].stop.empty()) stopped_in_order_.push_back(i);
    }
    return {};
  }

  RunPlan plan() const {
    RunPlan plan;
    for (const auto at : stopped_in_order_) plan.services.push_back(applications_[at].name);
    plan.databases = !office_.databases.empty();
    plan.folders = true;  // the installation's own configuration is one
    plan.verify = options_.verify.value_or(office_.config.verify);
    return plan;
  }

  // Events

  void post(RunEvent event) {
    const std::lock_guard guard(mutex_);
    events_.push_back(std::move(event));
    arrived_.notify_one();
  }
  std::optional<RunEvent> next_event() {
    std::unique_lock guard(mutex_);
    arrived_.wait_for(guard, kLook, [this] { return !events_.empty(); });
    if (events_.empty()) return std::nullopt;
    auto event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  void post(const Status& outcome) {
    if (outcome) return post(event::Done{});
    post(event::Failed{outcome.error()});
  }
  void say(Phrase step) {
    end_phase();
    report_.phases.push_back({step, clock_.wall(), {}});
    phase_since_ = clock_.now();
    if (options_.on_step) options_.on_step(step);
  }
  void end_phase() {
    if (!report_.phases.empty()) report_.phases.back().took = std::chrono::duration_cast<milliseconds>(clock_.now() - phase_since_);
  }
  const Application& service(std::size_t index) const { return applications_[stopped_in_order_[index]]; }

  // Actions

  void carry_out(const action::Lock&) { post(lock()); }
  Status lock() {
    auto held = lock_runs(office_.directory, "run", clock_);
    if (!held) return pass(held, "backup");
    lock_ = std::move(*held);
    auto target = check_target(office_, options_.target);
    if (!target) return pass(target);
    target_ = std::move(*target);
    auto medium = Medium::open(target_);
    if (!medium) return pass(medium);
    medium_.emplace(std::move(*medium));
    return {};
  }
  /// The medium's as long as it is there. Through the directory that is held open: a medium that is pulled out between the look and
  /// the writing gets nothing, but nothing lands under its mount point either, where nobody would look for it.
  SetJournal journal() const {
    return {office_.directory, medium_->still_there() ? fs::path(fmt::format("/proc/self/fd/{}", medium_->descriptor())) : fs::path()};
  }

  void carry_out(const action::Recover&) {
    auto left = services_.recover();
    if (!left) return post(event::Failed{left.error()});
    event::Done done;
    for (const auto& each : *left) done.reasons.push_back(phrase("{}", each.application.name));
    if (auto begun = begin_set(); !begun) return post(event::Failed{begun.error()});
    post(std::move(done));
  }

  Status begin_set() {
    auto own = journal().own();
    if (!own) return pass(own);
    auto known = journal().read();
    if (!known) return pass(known);
    std::vector<std::uint64_t> numbers;
    for (const auto& event : *known) {
      if (!event.believed) continue;
      if (event.installation == installation_) numbers.push_back(event.sequence);
      if (event.installation != installation_ || event.what != SetEvent::What::kPublished) continue;
      manifest_.previous_hash = event.sums_hash;
      previous_ = target_ / event.set;
    }
    manifest_.sequence = next_sequence(numbers, remembered_sequence(*own));
    manifest_.id = set_id(begun_, manifest_.sequence);
    report_.id = manifest_.id;
    // In the installation alone: the medium hears of a set when there is one.
    if (auto noted = SetJournal(office_.directory, {}).append(entry(SetEvent::What::kBegun)); !noted) return noted;
    WriteOptions write;
    write.target = target_;
    write.id = manifest_.id;
    write.zstd_level = office_.config.zstd_level;
    write.zstd_threads = office_.config.zstd_threads;
    if (encrypts(office_.config, target_)) write.recipients = office_.config.recipients;
    auto writer = SetWriter::begin(std::move(write), *key_);
    if (!writer) return pass(writer);
    writer_.emplace(std::move(*writer));
    copies_.emplace(programs_, *writer_, progress_, clock_);
    return {};
  }

  void carry_out(const action::LookAtService& look) {
    auto running = services_.running(service(look.service));
    if (!running) return post(event::Failed{running.error()});
    post(event::Running{*running});
  }
  void carry_out(const action::NoteStop& note) { post(services_.note_stop(service(note.service))); }
  void carry_out(const action::StopService& stop) {
    if (!down_since_) down_since_ = clock_.now();
    say(phrase("stopping {}", service(stop.service).name));
    post(services_.stop(service(stop.service)));
  }
  void carry_out(const action::StartService& start) {
    if (options_.on_note) options_.on_note(phrase("starting {}", service(start.service).name));
    post(services_.start(service(start.service)));
    if (down_since_) report_.services_down = std::chrono::duration_cast<milliseconds>(clock_.now() - *down_since_);
  }

  void carry_out(const action::TakeBarrier&) {
    say(phrase("taking one snapshot of all databases"));
    auto barrier = take_barrier(office_.databases, gate_, clock_);
    if (!barrier) return post(event::Failed{barrier.error()});
    barrier_.emplace(std::move(*barrier));
    manifest_.barrier = barrier_->text;
    post(event::Done{});
  }

  void carry_out(const action::CopyDatabases&) {
    databases_ = std::jthread([this] {
      auto copied = copies_->databases(*barrier_, office_.superuser);
      barrier_->snapshots.clear();  // nothing waits for vacuum any longer
      gate_.copied();
      if (!copied) return post(event::DatabasesFailed{copied.error()});
      manifest_.databases = std::move(copied->entries);
      post(event::DatabasesDone{std::move(copied->reasons)});
    });
  }
  void carry_out(const action::CopyFolders&) {
    say(phrase("copying databases and folders"));
    expect_as_before();
    // On a thread too: whoever wants to interrupt is heard meanwhile.
    folders_ = std::jthread([this] {
      auto copied = copies_->folders(applications_);
      if (!copied) return post(event::FoldersFailed{copied.error()});
      manifest_.folders = std::move(copied->entries);
      post(event::FoldersDone{std::move(copied->reasons)});
    });
  }
  /// The set before tells about how much it will be, without a look at every file while services are down.
  void expect_as_before() {
    if (previous_.empty()) return;
    const auto before = SetReader::open(previous_, {key_->public_key()});
    if (!before) return;  // on another medium, or removed: there is no bar
    for (const auto& database : before->manifest().databases) {
      if (const auto* member = before->manifest().member(database.member)) progress_.expected(database.name, member->plain_bytes);
    }
    for (const auto& folder : before->manifest().folders) progress_.expected(folder.application + " " + folder.root, folder.bytes);
  }

  void carry_out(const action::CancelCopies&) { copies_->cancel(); }

  void carry_out(const action::Publish& publish) {
    join();
    say(phrase("publishing the set"));
    manifest_.installation = installation_;
    manifest_.host = office_.host;
    manifest_.program_version = office_.program_version;
    manifest_.role = office_.role;
    manifest_.begun = begun_;
    manifest_.ended = clock_.wall();
    manifest_.complete = publish.complete;
    for (const auto& reason : publish.reasons) manifest_.reasons.push_back(reason.english());
    auto path = writer_->publish(manifest_);
    if (!path) return post(event::Failed{path.error()});
    report_.set = std::move(*path);
    auto published = entry(SetEvent::What::kPublished);
    published.complete = publish.complete;
    if (auto set = SetReader::open(report_.set, {key_->public_key()}); set) published.sums_hash = set->hash();
    // The set counts; a journal that can't be written to is told, no more.
    if (auto noted = journal().append(published); !noted) log_.error("backup.journal", {{"error", noted.error().message}});
    post(event::Done{});
  }

  void carry_out(const action::Discard&) {
    join();
    copies_.reset();
    writer_.reset();
    barrier_.reset();
    gate_.copied();
    post(event::Done{});
  }

  void carry_out(const action::Verify& verify) {
    say(phrase("verifying up to {}", level_name(verify.level)));
    const auto begun = clock_.now();
    auto outcome = verified(verify.level);
    report_.verified_in = std::chrono::duration_cast<milliseconds>(clock_.now() - begun);
    if (!outcome) {
      if (outcome.error().code == ErrorCode::kDamaged) note(SetEvent::What::kDamaged, Level::kNone, outcome.error().message);
      return post(event::Failed{outcome.error()});
    }
    note(SetEvent::What::kVerified, outcome->reached, outcome->not_higher.english());
    post(event::Verified{outcome->reached, outcome->not_higher});
  }
  Result<VerifyOutcome> verified(Level level) {
    auto set = SetReader::open(report_.set, {key_->public_key()});
    if (!set) return pass(set);
    report_.manifest = set->manifest();
    VerifyOptions options;
    options.level = level;
    options.scratch = office_.directory / "scratch";  // PostgreSQL's user may not enter `backup`
    options.interrupted = options_.interrupted;
    return verify_set(*set, programs_, options, progress_, clock_, log_);
  }

  void carry_out(const action::Finish& finish) {
    join();
    report_.verdict = finish.verdict;
    if (report_.set.empty()) {
      if (finish.verdict.failure && !target_.empty()) note(SetEvent::What::kFailed, Level::kNone, finish.verdict.failure->message);
    } else if (report_.manifest.id.empty()) {
      if (auto set = SetReader::open(report_.set, {key_->public_key()}); set) report_.manifest = set->manifest();
    }
    for (const auto& member : report_.manifest.members) report_.stored_bytes += member.stored_bytes;
    log_.info("backup.run", {{"set", report_.id}, {"exit_code", finish.verdict.exit_code()}, {"published", finish.verdict.published},
                             {"level", level_name(finish.verdict.reached)}});
    report_done_ = true;
  }

  void join() {
    if (databases_.joinable()) databases_.join();
    if (folders_.joinable()) folders_.join();
  }

  SetEvent entry(SetEvent::What what) const {
    SetEvent event;
    event.at = clock_.wall();
    event.what = what;
    event.installation = installation_;
    event.set = manifest_.id;
    event.sequence = manifest_.sequence;
    return event;
  }
  void note(SetEvent::What what, Level level, std::string detail) {
    auto event = entry(what);
    event.level = level;
    event.detail = std::move(detail);
    // A medium hears of sets that it has; when it was pulled out, nothing may land under its mount point.
    const bool on_medium = what != SetEvent::What::kFailed;
    if (auto noted = (on_medium ? journal() : SetJournal(office_.directory, {})).append(event); !noted) {
      log_.error("backup.journal", {{"error", noted.error().message}});
    }
  }

  const Office& office_;
  const RunOptions& options_;
  FeedGate& gate_;
  Progress& progress_;
  const Clock& clock_;
  Log& log_;
  Services services_;
  std::vector<Application> applications_;
  std::vector<std::size_t> stopped_in_order_;  // of applications_, those that can be stopped
  Programs programs_;
  std::string installation_;
  std::optional<SigningKey> key_;
  std::optional<os::FileLock> lock_;
  fs::path target_;
  std::optional<Medium> medium_;  ///< target_, as it was when the run began
  std::optional<SetWriter> writer_;
  std::optional<Barrier> barrier_;
  std::optional<RunCopies> copies_;
  WallTime begun_{};
  std::optional<TimePoint> down_since_;
  TimePoint phase_since_{};
  Manifest manifest_;
  fs::path previous_;  ///< the set before, if it lies on this medium
  RunReport report_;
  bool report_done_ = false;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<RunEvent> events_;
  std::jthread databases_, folders_;  // last: they end before what they use
};

}  // namespace

Result<RunReport> run_office(const Office& office, const RunOptions& options, FeedGate& gate, Progress& progress, const Clock& clock, Log& log) {
  return OfficeRun(office, options, gate, progress, clock, log).run();
}

}  // namespace verbund::backup
