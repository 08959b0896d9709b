#include "backup/media/medium_run.h"

#include <algorithm>

#include "backup/retention.h"
#include "backup/set_journal.h"
#include "base/messages.h"
#include "platform/os/clock.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
using RunOutcome = fact::RunEnded::Outcome;

/// A set grows from night to night, and a file system wants some room of its own.
constexpr std::uint64_t kRoomPercent = 115, kRoomBytes = 64ULL << 20;

std::uint64_t stored_bytes(const Manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const auto& member : manifest.members) bytes += member.stored_bytes;
  return bytes;
}

RunOutcome outcome_of(const Verdict& verdict) {
  if (!verdict.published || verdict.outcome == Outcome::kFailed) return RunOutcome::kFailed;
  return verdict.outcome == Outcome::kComplete ? RunOutcome::kComplete : RunOutcome::kIncomplete;
}

class MediaRunner {
 public:
  MediaRunner(MediaOffice of, RunOptions options, FeedGate& gate, Progress& progress, const Clock& clock, Log& log)
      : of_(std::move(of)), rules_(of_.office.config.plan), options_(std::move(options)), gate_(gate), progress_(progress), clock_(clock), log_(log) {}

  Result<MediaRun> run() {
    const auto now = os::local_time(clock_.wall());
    const bool named = !options_.target.empty();
    drives_ = named ? std::vector{look_at(of_, options_.target)} : look_at_drives(of_);
    auto ledger = ledger_with(of_, drives_, done_.said);
    if (!ledger) return pass(ledger);
    ledger_.emplace(std::move(*ledger));
    if (auto noted = note_clock(now); !noted) return pass(noted);
    done_.night = night_now(rules_, ledger_->book(), now);
    if (auto ready = prepare(named, now); !ready) {
      if (ready.error().code == ErrorCode::kInUse) return pass(ready);
      return refused(ready.error());
    }
    auto report = run_office(of_.office, options_, gate_, progress_, clock_, log_);
    if (!report) return refused(report.error());
    done_.report = std::move(*report);
    settle();
    return std::move(done_);
  }

 private:
  LocalTime local() const { return os::local_time(clock_.wall()); }

  /// Nobody else may be at the medium while sets go; run_office takes the same lock for itself.
  Status prepare(bool named, LocalTime now) {
    auto lock = lock_runs(of_.office.directory, "run", clock_);
    if (!lock) return pass(lock, "backup");
    if (auto ready = named ? take_named() : take_due(now); !ready) return ready;
    return make_room();
  }

  /// Retention and the next night count anew from here.
  Status note_clock(LocalTime now) {
    if (!clock_set_back(ledger_->book(), now)) return {};
    done_.said.push_back(phrase("the clock stands at {}, before the newest entry of the ledger: it was set back", day_text(std::chrono::floor<std::chrono::days>(now))));
    return ledger_->enter(fact::ClockSetBack{}, now, of_.key);
  }

  Status take_named() {
    const auto& drive = drives_.front();
    if (drive.ground) done_.copy = copy_note(*drive.ground);
    // Whoever names a directory knows what he does; what he does to a medium is to be known, too.
    if (drive.label && ledger_->book().media().contains(drive.label->id)) take(drive);
    return {};
  }

  Status take_due(LocalTime now) {
    if (!ledger_->book().uses_media()) {
      if (!drives_.empty() && drives_.front().ground) done_.copy = copy_note(*drives_.front().ground);
      return {};
    }
    done_.due = due_on(rules_, ledger_->book(), now);
    auto chosen = choose(rules_, ledger_->book(), drives_, now);
    if (!chosen) return pass(chosen);
    take(**chosen);
    // A tape gets what has been made and proven on a disk: the configured target.
    if (tape_) return {};
    options_.target = (*chosen)->place;
    done_.copy = copy_note(*(*chosen)->ground);
    return {};
  }
  void take(const Drive& drive) {
    done_.medium = drive.label->id;
    done_.label = drive.label->label;
    place_ = drive.place;
    if (drive.kind == MediumKind::kTape) {
      tape_.emplace(*drive.label);
      return;
    }
    going_ = removable(rules_, ledger_->book(), done_.medium, local());
    free_bytes_ = drive.ground->free_bytes;
  }

  /// Before the run only as much goes as the new set needs; the rest when that one has been proven.
  Status make_room() {
    if (done_.medium.empty() || tape_) return {};
    if (auto removed = remove_leftovers(place_); !removed) return removed;
    if (going_.empty()) return {};
    auto needed = expected_bytes();
    if (!needed) return pass(needed);
    while (free_bytes_ < *needed && !going_.empty()) {
      if (auto removed = remove_oldest(); !removed) return removed;
      auto free = os::free_bytes(place_);
      if (!free) return pass(free);
      free_bytes_ = *free;
    }
    return {};
  }
  /// As much as the newest set on the medium; without one, as the databases and folders are large.
  Result<std::uint64_t> expected_bytes() {
    auto found = find_sets(place_, of_.trusted);
    if (!found) return pass(found);
    std::uint64_t bytes = 0;
    for (const auto& set : found->sets) {
      if (set.manifest.installation == of_.installation) bytes = stored_bytes(set.manifest);
    }
    if (bytes == 0) {
      auto preview = preview_run(of_.office, options_, clock_);
      if (!preview) return pass(preview);
      for (const auto& database : preview->databases) bytes += database.bytes;
      for (const auto& folder : preview->folders) bytes += folder.bytes;
    }
    return bytes * kRoomPercent / 100 + kRoomBytes;
  }

  Status remove_oldest() {
    const auto id = going_.front();
    going_.erase(going_.begin());
    // Entered first: what is gone without a word would look like a theft.
    if (auto entered = ledger_->enter(fact::SetRemoved{id, done_.medium}, local(), of_.key); !entered) return entered;
    SetEvent event;
    event.at = clock_.wall();
    event.what = SetEvent::What::kPruned;
    event.installation = of_.installation;
    event.set = id;
    if (auto noted = SetJournal(of_.office.directory, place_).append(event, true); !noted) return noted;
    if (auto removed = remove_set(place_, id); !removed) return removed;
    done_.removed.push_back(id);
    return {};
  }

  /// What stood on the tape goes with the first byte; then the set is read back and compared with the one on the disk.
  Status write_tape() {
    const auto* medium = ledger_->book().find(done_.medium);
    const auto before = medium->sets;
    for (const auto& set : before) {
      if (auto entered = ledger_->enter(fact::SetRemoved{set.set, done_.medium}, local(), of_.key); !entered) return entered;
      done_.removed.push_back(set.set);
    }
    if (options_.on_step) options_.on_step(phrase("writing to tape {}", done_.label));
    const auto tape = tape_of(of_, place_);
    const auto ledger = of_.office.directory / "backup" / "ledger.jsonl";
    if (auto written = tape.write_set(*tape_, of_.key, ledger, done_.report.set, progress_); !written) return written;
    if (options_.on_step) options_.on_step(phrase("comparing tape {} with the set", done_.label));
    if (auto same = tape.compare(done_.report.set, progress_); !same) return same;
    // Equal to a set whose hashes are good: as if it had been read back from its medium.
    auto& reached = done_.report.verdict.reached;
    if (reached >= Level::kHashes) reached = std::max(reached, Level::kFromMedium);
    return {};
  }

  bool proven() const {
    const auto& verdict = done_.report.verdict;
    return verdict.published && verdict.outcome == Outcome::kComplete && !verdict.failure && verdict.reached >= kReliable;
  }

  /// After the run: the night into the ledger, what has had its time off the medium, the ledger onto it.
  void settle() {
    const auto& verdict = done_.report.verdict;
    Status on_tape;
    if (tape_ && verdict.published) on_tape = write_tape();
    if (!on_tape) fail_run(on_tape.error());
    fact::RunEnded ended;
    ended.outcome = on_tape ? outcome_of(verdict) : RunOutcome::kFailed;
    ended.level = verdict.reached;
    ended.night = done_.night.of;
    if (verdict.published && on_tape) {
      ended.set = done_.report.manifest.id;
      ended.set_sequence = done_.report.manifest.sequence;
      ended.medium = done_.medium;
    }
    // A run that was called off is none: it is still due, and missed when nobody makes up for it.
    const bool called_off = !verdict.published && verdict.failure && verdict.failure->code == ErrorCode::kCancelled;
    if (!called_off) {
      if (auto entered = ledger_->enter(std::move(ended), local(), of_.key); !entered) fail_run(entered.error());
    }
    if (done_.medium.empty() || tape_ || !still_in_drive()) return;
    const auto lock = lock_runs(of_.office.directory, "run", clock_);
    // Who runs now does it in our place.
    while (lock && proven() && !going_.empty()) {
      if (auto removed = remove_oldest(); !removed) return fail_run(removed.error());
    }
    auto exchanged = ledger_->exchange_with(place_, of_.key);
    if (!exchanged) fail_run(exchanged.error());
  }
  /// The set may be good; that nobody will know of it is a failure all the same.
  void fail_run(Error error) {
    log_.error("backup.ledger", {{"error", error.message}});
    auto& verdict = done_.report.verdict;
    if (!verdict.failure) verdict.failure = std::move(error).in(phrase("backup ledger"));
  }
  /// A medium that was pulled out leaves a directory under its mount point, where nothing may land.
  bool still_in_drive() const {
    const auto drive = look_at(of_, place_);
    return drive.label && drive.label->id == done_.medium;
  }

  /// The night has failed: the ledger has that, too, so that somebody is told.
  Result<MediaRun> refused(const Error& error) {
    fact::RunEnded ended;
    ended.outcome = RunOutcome::kFailed;
    ended.night = done_.night.of;
    // Two at once: the other one is the night's. Called off: it is still due.
    if (error.code != ErrorCode::kInUse && error.code != ErrorCode::kCancelled) {
      if (auto entered = ledger_->enter(std::move(ended), local(), of_.key); !entered) log_.error("backup.ledger", {{"error", entered.error().message}});
    }
    return std::unexpected(error);
  }

  MediaOffice of_;
  const PlanRules& rules_;
  RunOptions options_;
  FeedGate& gate_;
  Progress& progress_;
  const Clock& clock_;
  Log& log_;
  std::vector<Drive> drives_;
  std::optional<Ledger> ledger_;
  fs::path place_;                      // of the medium; empty: none
  std::optional<Label> tape_;           // it is a tape
  std::vector<std::string> going_;      // sets that may go, oldest first
  std::uint64_t free_bytes_ = 0;
  MediaRun done_;
};

}  // namespace

Result<MediaRun> run_with_media(const Office& office, const RunOptions& options, FeedGate& gate, Progress& progress, const Clock& clock, Log& log) {
  auto of = media_office(office);
  if (!of) return pass(of);
  return MediaRunner(std::move(*of), options, gate, progress, clock, log).run();
}

}  // namespace verbund::backup
