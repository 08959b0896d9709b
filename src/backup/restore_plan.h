#pragma once
/// What of an archive goes where: read from its index, or from itself. One thread. For this folder's units only.
#include <map>
#include <set>

#include "backup/folder_index.h"
#include "backup/restore_journal.h"

namespace verbund::backup {

/// A list that names more than this one by one is a mistake.
inline constexpr std::size_t kMaxPlacements = 10'000;

struct RestorePlan {
  RestoreRecord record;                               ///< id and base too
  std::map<std::string, std::size_t, std::less<>> by_path;  ///< member's path that becomes a placement's name
  std::set<std::string, std::less<>> linked;          ///< files that hard links of the selection name
  NameList missing;                                   ///< of the list, also optional ones
  bool mandatory_missing = false;
  FolderCounts counts;
};

/// The placement that holds the member's path, and at how many parts of it that begins; nothing: none.
std::optional<std::pair<std::size_t, std::size_t>> placement_of(const RestorePlan& plan, std::string_view path);

/// Looks at the destination, changes nothing. Errors: as restore_folder before it begins.
Result<RestorePlan> plan_restore(const RestoreFolderOptions& options, const OpenSource& archive, const OpenSource& index);

/// Number of parts; the first `parts` of a path.
std::size_t depth_of(std::string_view path);
std::string_view first_parts(std::string_view path, std::size_t parts);
/// "a/b" of "a/b/c", empty of "a".
std::string_view parent_of(std::string_view path);
std::string_view name_of_path(std::string_view path);

}  // namespace verbund::backup
