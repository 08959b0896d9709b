#pragma once
/// Unpacks the members of a plan into staging folders, from where they are moved in. One thread. For this folder's units only.
///
/// Everything is made in folders that this process has just made and holds open: no name of the archive is ever looked up in
/// the old tree, no link is followed. The members must come in the archive's order, a folder before what it holds.
#include "backup/file_attributes.h"
#include "backup/folder_stack.h"
#include "backup/restore_plan.h"
#include "backup/tar_reader.h"

namespace verbund::backup {

/// ".verbund-restore-ID", beside what is moved in.
std::string staging_name(const RestoreRecord& record);
/// Name of a file in staging that only hard links name.
inline constexpr const char* kLooseFiles = "links";

/// The folder (below the base, empty: the base) opened without following links below the application's root. Errors: kIo, kNotFound.
Result<os::Descriptor> open_folder(const std::string& base, const std::string& folder);

class TreeExtract {
 public:
  /// Everything is borrowed. Staging folders exist already.
  TreeExtract(const RestoreFolderOptions& options, RestorePlan& plan, RestoredFolder& result, Progress& progress);
  /// Errors: kDamaged, kDiskFull, kIo, kCancelled.
  Status run(Source& archive);

 private:
  struct Above {
    TreeMember member;
    bool made = false;
  };
  struct Loose {
    std::string folder;  ///< Placement::folder whose staging has it
    std::uint64_t number = 0;
  };

  [[nodiscard]] Status told() const;
  Status take(const TreeMember& member);
  Status leave_until(std::string_view path);
  Status make_folder(const TreeMember& member, const std::string& name);
  Status finish_folder();
  Status go_to(std::size_t placement);
  Status make(const TreeMember& member, const std::string& name);
  Status make_file(const TreeMember& member, int folder, const std::string& name);
  Status write_content(const TreeMember& member, int file);
  Status make_link(const TreeMember& member, const std::string& name);
  Status copy_link(const TreeMember& member, int from, const std::string& name);
  Status make_node(const TreeMember& member, const std::string& name);
  Status keep_for_links(const TreeMember& member, int folder, const std::string& name);
  Status make_loose(const TreeMember& member);
  void set_all(const TreeMember& member, OpenFile file);
  void count(const TreeMember& member);
  [[nodiscard]] std::string staged_name(std::string_view path, std::size_t placement, std::size_t depth) const;

  const RestoreFolderOptions* options_;
  RestorePlan* plan_;
  RestoredFolder* result_;
  Progress* progress_;
  TarReader* reader_ = nullptr;
  OwnerNames names_;
  std::vector<Above> above_;
  std::optional<FolderStack> stack_;  ///< its root is the staging folder of the current placement
  std::string stack_folder_;          ///< Placement::folder of it
  std::map<std::string, Loose, std::less<>> loose_;
  std::uint64_t next_loose_ = 0;
  std::string previous_;
  bool any_ = false;
};

}  // namespace verbund::backup
