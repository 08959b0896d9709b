#pragma once
/// Walks a tree in the order of archives (compare_paths) and asks the two lists what counts. One thread. For this folder's units only.
///
/// Memory: the names of the folders on the current way down, so the largest folder counts, not the tree.
#include <string>
#include <vector>

#include <sys/stat.h>

#include "backup/folder_stack.h"
#include "backup/folders.h"

namespace verbund::backup {

struct Found {
  std::string_view path;      ///< below the root; empty: the root
  const char* name = "";      ///< in `parent`
  int parent = -1;            ///< folder that holds it
  int folder = -1;            ///< a folder: itself, opened; -1: it can't be read
  struct stat status{};       ///< not through a link
};

/// What to do with what was found. An error ends the walk.
class TreeVisitor {
 public:
  virtual ~TreeVisitor() = default;
  virtual Status folder(const Found& found) = 0;
  virtual Status entry(const Found& found) = 0;
};

/// As FolderStack, but times that lie within the kernel's coarse tick are let pass first (at most 20 ms), so that a later change
/// can be told by them. 0, or errno.
int settled_status(int descriptor, struct stat& status);
/// Neither size, times nor identity differ.
bool unchanged(const struct stat& before, const struct stat& after);

class TreeWalk {
 public:
  /// Everything is borrowed for the walk. Findings: missing, changed, unreadable names.
  TreeWalk(const SaveFolderOptions& options, TreeVisitor& visitor, FolderFindings& findings);
  /// Errors: kBadConfig (the lists), those of the visitor, kIo (too many open files …).
  Status run();

 private:
  struct Level {
    std::string names;                    ///< one behind the other, each with its NUL
    std::vector<std::uint32_t> order;     ///< where each begins, sorted
    std::size_t next = 0;
    std::size_t path_bytes = 0;           ///< of the folder's own path
    struct stat before{};
  };

  Status compile();
  Result<bool> open_root();
  Status visit(const char* name);
  Status visit_folder(const char* name, const Found& found);
  Status read_names(Level& level);
  Status leave();
  bool wanted(bool is_folder);
  void check_mount_point(int folder);
  void tell_missing();

  const SaveFolderOptions* options_;
  TreeVisitor* visitor_;
  FolderFindings* findings_;
  PathSet saved_, excluded_, restored_;
  std::vector<bool> saved_hits_, restored_hits_, mounted_;
  bool all_hit_ = false;
  std::optional<FolderStack> stack_;
  std::vector<Level> levels_;
  std::string path_;
};

}  // namespace verbund::backup
