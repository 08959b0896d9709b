#pragma once
/// An office from a set (REQUIREMENTS C12): verified first, services stopped, databases beside and swapped, of each application's
/// folders only the second list, what was there kept. Blocking; one thread; the run's lock is held throughout.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backup/database.h"
#include "backup/folder_restore.h"
#include "backup/office.h"

namespace verbund::backup {

struct OfficeRestore {
  /// What of the set: names of databases and applications, or absolute paths of files or folders of an application. Empty: everything
  /// but the installation itself ("verbund"), which has to be named.
  std::vector<std::string> only;
  /// Absent: in place. Else everything goes below this directory: databases as archives for pg_restore, folders by their path.
  std::optional<std::filesystem::path> into;
  bool dry_run = false;
  bool keep_old = true;                    ///< databases: the former one stays under another name
  std::string own_slot;                    ///< of the feed, in the source
  const RecipientKey* key = nullptr;
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(const Phrase&)> on_step;
  /// Called once the first database has been replaced, and before services start: csns and tokens of before must not be given again.
  std::function<Status(const std::vector<std::string>& databases)> after_databases;
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
/// application here is of another version than the set's: says both), kDiskFull, kInUse. Later: what was done until then stands in `done`.
Status restore_office(const Office& office, const SetReader& set, const Programs& programs, const OfficeRestore& options, OfficeRestored& done,
                      Progress& progress, const Clock& clock, Log& log);

/// Roles and their settings by psql; what is there already stays as it is. Errors: kProgramFailed, kDatabaseDown.
Status restore_globals(const Programs& programs, const postgres::ConnectionSettings& superuser, Source& script, Progress& progress);

/// What an interrupted restore of folders has left: ended in the new state where all was unpacked, else in the old one. Returns what was done.
Result<std::vector<Phrase>> settle_folders(const std::filesystem::path& installation);

}  // namespace verbund::backup
