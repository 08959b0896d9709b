#pragma once
/// A run of the office as a sequence of steps with a verdict at its end.
/// Pure engine: no I/O, no clock; one thread. See README.md for the laws it keeps.
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "backup/level.h"
#include "base/messages.h"

namespace verbund::backup {

/// What there is to do.
struct RunPlan {
  std::vector<std::string> services;  ///< names of applications with a stop command, in the order in which they are stopped
  bool databases = true;              ///< any
  bool folders = true;                ///< any
  Level verify = Level::kRestored;    ///< kNone: not asked for
};

enum class Outcome { kComplete, kIncomplete, kFailed };

/// What a run came to.
struct Verdict {
  Outcome outcome = Outcome::kFailed;
  bool published = false;                ///< there is a new set (also when it is incomplete, or failed verification)
  std::vector<Phrase> reasons;           ///< why it is not complete
  std::optional<Error> failure;          ///< of the run, the publishing or the verification
  std::vector<std::string> services_down;  ///< could not be started again: somebody has to
  Level reached = Level::kNone;
  Phrase not_higher;                     ///< why verification stopped below what was asked for; msgid empty: it did not
  /// DESIGN §5: 0 done, 10 incomplete, 20 failed, 30 medium, 40 verification; the worst one.
  [[nodiscard]] int exit_code() const;
};

namespace event {
struct Begin {};
/// The present step has been done. `reasons`: what is not whole all the same.
struct Done {
  std::vector<Phrase> reasons = {};
};
struct Failed {
  Error error;
};
/// Of LookAtService.
struct Running {
  bool running = true;
};
/// Of the two copies, which run beside each other.
struct FoldersDone {
  std::vector<Phrase> reasons = {};
};
struct FoldersFailed {
  Error error;
};
struct DatabasesDone {
  std::vector<Phrase> reasons = {};
};
struct DatabasesFailed {
  Error error;
};
/// Of Verify; `not_higher` when less was reached than asked for without anything being wrong.
struct Verified {
  Level reached = Level::kNone;
  Phrase not_higher = {};
};
/// Somebody wants it to end (SIGTERM, SIGINT).
struct Interrupted {};
}  // namespace event
using RunEvent = std::variant<event::Begin, event::Done, event::Failed, event::Running, event::FoldersDone, event::FoldersFailed,
                              event::DatabasesDone, event::DatabasesFailed, event::Verified, event::Interrupted>;

namespace action {
struct Lock {};
/// Starts what an earlier, killed run has left stopped; removes its half-written sets. Done's reasons: services that did not start.
struct Recover {};
struct LookAtService {
  std::size_t service;
};
/// On disk before it is stopped: who kills us now finds in the file what has to be started.
struct NoteStop {
  std::size_t service;
};
struct StopService {
  std::size_t service;
};
/// The databases' snapshots, one point for all of them.
struct TakeBarrier {};
struct CopyFolders {};
struct CopyDatabases {};
/// The copies are to end soon, with whatever outcome.
struct CancelCopies {};
/// Done: started, and struck from the file. Failed: it stays there.
struct StartService {
  std::size_t service;
};
struct Publish {
  bool complete = false;
  std::vector<Phrase> reasons;
};
struct Discard {};
struct Verify {
  Level level;
};
struct Finish {
  Verdict verdict;
};
}  // namespace action
using RunAction = std::variant<action::Lock, action::Recover, action::LookAtService, action::NoteStop, action::StopService,
                               action::TakeBarrier, action::CopyFolders, action::CopyDatabases, action::CancelCopies,
                               action::StartService, action::Publish, action::Discard, action::Verify, action::Finish>;

class RunEngine {
 public:
  explicit RunEngine(RunPlan plan) : plan_(std::move(plan)) {}

  /// Actions are carried out in order. Each but CancelCopies and Finish has exactly one outcome: Done or Failed (LookAtService:
  /// Running or Failed; the copies: their own; Verify: Verified or Failed; Discard: Done). At most one step is under way
  /// beside the copies. Interrupted may come at any time.
  [[nodiscard]] std::vector<RunAction> handle(const RunEvent& event);
  [[nodiscard]] bool finished() const { return stage_ == Stage::kFinished; }

 private:
  enum class Stage { kNew, kLocking, kRecovering, kLooking, kNoting, kStopping, kBarrier, kCopying, kPublishing, kDiscarding, kVerifying, kFinished };

  void on(const event::Begin&);
  void on(const event::Done& done);
  void on(const event::Failed& failed);
  void on(const event::Running& looked);
  void on(const event::FoldersDone& done);
  void on(const event::FoldersFailed& failed);
  void on(const event::DatabasesDone& done);
  void on(const event::DatabasesFailed& failed);
  void on(const event::Verified& verified);
  void on(const event::Interrupted&);

  void look_at_next();
  void copy();
  void end_copy();
  void go_on_copying();
  void conclude();
  void fail_with(Error error);
  void finish();
  void add(const std::vector<Phrase>& reasons);

  RunPlan plan_;
  Stage stage_ = Stage::kNew;
  std::size_t service_ = 0;             // the one that is looked at, noted or stopped
  std::vector<std::size_t> to_start_;   // noted as stopped, in that order; started from the end
  bool starting_ = false;
  bool folders_under_way_ = false, databases_under_way_ = false;
  bool cancelled_ = false;              // the copies have been told
  Verdict verdict_;
  std::vector<RunAction> actions_;
};

}  // namespace verbund::backup
