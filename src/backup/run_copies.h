#pragma once
/// The two copies of a run, each on a thread of its own: databases, and folders. For run.cc; `cancel` from any thread.
#include <atomic>
#include <mutex>

#include "backup/folders.h"
#include "backup/office.h"

namespace verbund::backup {

class RunCopies {
 public:
  RunCopies(const Programs& programs, SetWriter& writer, Progress& progress, const Clock& clock)
      : programs_(programs), writer_(writer), progress_(progress), clock_(clock) {}

  struct Databases {
    std::vector<DatabaseEntry> entries;
    std::vector<Phrase> reasons;  ///< roles that we may not read, on a server of somebody else
  };
  /// Roles, then each snapshot's database, in the order in which they were taken. Errors: those of dump_database.
  Result<Databases> databases(const Barrier& barrier, const postgres::ConnectionSettings& superuser);

  struct Folders {
    std::vector<FolderEntry> entries;
    std::vector<Phrase> reasons;  ///< why they are not complete
  };
  /// Of all applications. What is missing, changes or can't be read is a reason, not an error. Errors: those of the sink.
  Result<Folders> folders(const std::vector<Application>& applications);

  /// Both end soon, with kCancelled.
  void cancel() { progress_.cancel(); }

 private:
  /// Hands on what the caller wants to see, and the wish to end.
  class CopyProgress final : public Progress {
   public:
    explicit CopyProgress(Progress& to) : to_(to) {}
    void moved(std::string_view what, std::uint64_t done, std::uint64_t total) override { to_.moved(what, done, total); }
    [[nodiscard]] bool cancelled() const override { return cancelled_.load() || to_.cancelled(); }
    void cancel() { cancelled_ = true; }

   private:
    Progress& to_;
    std::atomic<bool> cancelled_{false};
  };

  Result<std::unique_ptr<Sink>> add(const std::string& name, Content content);
  Status globals(const postgres::ConnectionSettings& superuser);
  Result<DatabaseEntry> database(const Snapshot& snapshot);
  Status folder(const Application& application, const std::string& version, const FolderRule& rule, std::size_t number, Folders& into);

  const Programs& programs_;
  SetWriter& writer_;
  CopyProgress progress_;
  const Clock& clock_;
  std::mutex mutex_;  // the writer's list of members
};

/// What save_folder is told for a rule.
SaveFolderOptions folder_options(const Application& application, const std::string& version, const FolderRule& rule);

}  // namespace verbund::backup
