#pragma once
/// Folder trees of applications: into an archive that GNU tar restores exactly, and back (REQUIREMENTS C11, C12).
/// Format and laws: docs/formats/backup-set.md, "Folders". Blocking; one thread per call; calls don't share anything.
#include <filesystem>
#include <functional>
#include <optional>

#include "backup/name_list.h"
#include "backup/path_lists.h"
#include "backup/stream.h"

namespace verbund::backup {

/// Why what was saved is not the whole of it, by name.
struct FolderFindings {
  NameList missing;     ///< of the lists, not optional, not there; a mount point that is not mounted
  NameList changed;     ///< changed, replaced or vanished while they were read
  NameList unreadable;  ///< no right, or the disk has an error there; attributes that can't be read
  NameList left_out;    ///< sockets: nothing that could be saved, nothing is incomplete by them
  /// False: the set is incomplete.
  [[nodiscard]] bool complete() const { return missing.empty() && changed.empty() && unreadable.empty(); }
};

struct SaveFolderOptions {
  std::string label;                      ///< what Progress calls it
  std::filesystem::path root;             ///< the application's; a link there is followed, none below it is
  bool optional = false;                  ///< a missing root is no finding
  PathLists lists;
  std::string version;                    ///< of the program; the lists depend on it
  std::vector<std::string> mount_points;  ///< below the root, '/' between the parts ("" is the root): must be mounted
  std::uint64_t expected_bytes = 0;       ///< from measure_folder, for Progress; 0: not known
};

struct FolderCounts {
  std::uint64_t members = 0;  ///< everything
  std::uint64_t files = 0, folders = 0, links = 0;
  std::uint64_t bytes = 0;    ///< content of files as programs see it; hard links once
  std::uint64_t stored = 0;   ///< the same without holes
};

struct SavedFolder {
  FolderCounts counts;
  FolderFindings findings;
  bool root_missing = false;
};

/// Walks the saved list's files in sorted order into `archive` (POSIX tar, pax): equal trees give equal bytes. `index`, when
/// given, gets a line of JSON per member with its SHA-256. The sinks are finished by the caller.
///
/// Never follows a link, stays on no file system in particular. What is missing, changes meanwhile or can't be read is a
/// finding, not an error. Errors: kBadConfig (a list), kCancelled, those of the sinks, kIo (out of descriptors, …).
Result<SavedFolder> save_folder(const SaveFolderOptions& options, Sink& archive, Sink* index, Progress& progress);

/// The same walk without reading contents: for --dry-run, for the time left, for the space needed.
Result<SavedFolder> measure_folder(const SaveFolderOptions& options, Progress& progress);

/// Verification of L2: the archive is whole and in order, and is what its index says, hash by hash. Errors: kDamaged
/// (names the member), those of the sources.
Result<FolderCounts> check_folder(Source& archive, Source* index, const std::string& label, Progress& progress);

}  // namespace verbund::backup
