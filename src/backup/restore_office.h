#pragma once
/// An office from a set (REQUIREMENTS C12): verified first, services stopped, databases beside and swapped, of each application's
/// folders only the second list, what was there kept; all exchanged together, see office_swap.h. Blocking; one thread; the run's lock is held throughout.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backup/database.h"
#include "backup/folder_restore.h"
#include "backup/office.h"
#include "backup/office_swap.h"

namespace verbund::backup {

struct OfficeRestore {
  /// What of the set: names of databases and applications, or absolute paths of files or folders of an application. Empty: everything
  /// but the installation itself ("verbund"), which has to be named.
  std::vector<std::string> only;
  /// Absent: in place. Else everything goes below this directory: databases as archives for pg_restore, folders by their path.
  std::optional<std::filesystem::path> into;
  bool dry_run = false;
  int jobs = 2;                            ///< of pg_restore
  bool keep_old = true;                    ///< databases: the former one stays under another name
  std::string own_slot;                    ///< of the feed, in the source
  const RecipientKey* key = nullptr;
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(const Phrase&)> on_step;
  /// Called once the databases have been exchanged, and before services start: csns and tokens of before must not be given again.
  std::function<Status(const OfficeSwap&)> after_databases;
};

/// What was done, or would be.
struct OfficeRestored {
  std::string set;
  struct Database {
    std::string name, kept_as;             ///< kept_as: the former one; or the archive's path
    std::vector<std::string> warnings;
  };
  std::vector<Database> databases;
  struct Folder {
    std::string application, version;
    std::filesystem::path root;
    FolderCounts counts;
    std::vector<Placed> placed;
    std::vector<std::string> missing, not_set, left_out;
  };
  std::vector<Folder> folders;
  std::vector<std::string> stopped;        ///< applications
  std::vector<std::string> services_down;
  [[nodiscard]] std::string to_json() const;
  [[nodiscard]] std::string to_text(Language language) const;
};

/// Errors before anything is touched: kUsage, kNotFound (nothing of that name in the set), kDamaged (the set), kUnsupported (an
/// application here is of another version than the set's: says both; two lists that bring the same), kDiskFull, kInUse. Later: all is
/// as it was, and `done` is empty; or, once names change, unfinished_restore has what `settle_restore` brings to its end: services stay
/// down until then. `into`: `done` has what is there already.
Status restore_office(const Office& office, const SetReader& set, const Programs& programs, const OfficeRestore& options, OfficeRestored& done,
                      Progress& progress, const Clock& clock, Log& log);

/// Roles and their settings by psql; what is there already stays as it is. Errors: kProgramFailed, kDatabaseDown.
Status restore_globals(const Programs& programs, const postgres::ConnectionSettings& superuser, Source& script, Progress& progress);

}  // namespace verbund::backup
