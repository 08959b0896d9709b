#pragma once
/// A tree's archive back to its place (REQUIREMENTS C12): only what the second list names, beside first, then moved in by renames.
/// What was there becomes NAME_Original (NAME_Original_2, …); nothing is ever mixed or overwritten. Blocking; one thread per call.
///
/// Every rename is in a journal on disk before it happens. Whenever the machine stops, `resume_restore` or `roll_back_restore`
/// end in exactly the new or exactly the old state. The archive is taken for an attack: its names can't leave the new place,
/// links are never followed, no devices are made, and set-user-ID rights are not given unless asked for.
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "backup/folders.h"

namespace verbund::backup {

/// Opens the stream from its beginning.
using OpenSource = std::function<Result<std::unique_ptr<Source>>()>;

struct RestoreFolderOptions {
  std::string label;              ///< what Progress calls it
  std::filesystem::path into;     ///< the application's root here; created when missing, its parent must be there
  PathSet wanted;                 ///< the second list, or a selection (PathSet::literal)
  bool allow_missing = false;     ///< go on although an entry that is not optional is not in the set
  bool allow_set_id = false;      ///< set-user-ID and set-group-ID of files, and file capabilities
  std::filesystem::path journal;  ///< a file outside `into`; beside it a lock
  std::function<void()> on_step;  ///< called before each step that changes something; tests die in it
};

/// Something that is moved in as one.
struct Placed {
  std::string path;      ///< below `into`; empty: `into` itself
  std::string original;  ///< what the former one is called now (same folder); empty: there was none
  bool operator==(const Placed&) const = default;
};

struct RestoredFolder {
  FolderCounts counts;
  std::vector<Placed> placed;
  NameList missing;   ///< entries of the list that the set does not have; only with allow_missing, or optional ones
  NameList not_set;   ///< owner, rights, ACL or attribute that could not be set; everything else of it is there
  NameList left_out;  ///< devices
};

/// What restore_folder would do; reads the index, or the whole archive when there is none (nullptr). Changes nothing.
/// Errors: as restore_folder before it begins.
Result<RestoredFolder> plan_restore_folder(const RestoreFolderOptions& options, const OpenSource& archive, const OpenSource& index);

/// Errors before anything is touched: kNotFound (entries of the list are not in the set; no parent folder), kDiskFull, kInUse
/// (an unfinished restore, or one that runs), kForbidden (a link on the way), kUnsupported (a mount point would have to be renamed),
/// kBadConfig. Later: kDamaged, kDiskFull, kIo, kCancelled; then everything is as before, unless the message says otherwise.
Result<RestoredFolder> restore_folder(const RestoreFolderOptions& options, const OpenSource& archive, const OpenSource& index,
                                      Progress& progress);

/// Its first half: everything is unpacked beside, no name of the old state has changed (kMoving; kNone: there is nothing to move).
/// `resume_restore` is the second half, `roll_back_restore` takes it back. Errors: as restore_folder.
Result<RestoredFolder> unpack_folder(const RestoreFolderOptions& options, const OpenSource& archive, const OpenSource& index,
                                     Progress& progress);

enum class RestoreState {
  kNone,        ///< no journal, or its last restore has ended
  kUnpacking,   ///< stopped before anything of the old state was touched: roll back
  kMoving,      ///< everything is unpacked: resume, or roll back
  kGoingBack,   ///< a roll back was stopped: roll back
  kCleaningUp,  ///< the new state is there: resume
};
Result<RestoreState> restore_state(const std::filesystem::path& journal);
/// Ends in the new state. kNone: nothing to do. Errors: kUnsupported (it can only be rolled back), kInUse, kIo,
/// kAlreadyExists (somebody has put something in the place meanwhile).
Status resume_restore(const std::filesystem::path& journal, const std::function<void()>& on_step = {});
/// Ends in the old state. Errors: kUnsupported (the new state is there, complete: only resume), kInUse, kIo, kAlreadyExists.
Status roll_back_restore(const std::filesystem::path& journal, const std::function<void()>& on_step = {});

}  // namespace verbund::backup
