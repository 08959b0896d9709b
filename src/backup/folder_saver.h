#pragma once
/// Puts what a walk finds into an archive. One thread. For this folder's units only.
#include <map>
#include <vector>

#include "backup/digest.h"
#include "backup/file_attributes.h"
#include "backup/folder_index.h"
#include "backup/tar_writer.h"
#include "backup/tree_walk.h"

namespace verbund::backup {

/// The member that a status describes; names of owners by `names`.
TreeMember member_of(const Found& found, OwnerNames& names);

class FolderSaver : public TreeVisitor {
 public:
  FolderSaver(const SaveFolderOptions& options, Sink& archive, Sink* index, Progress& progress, SavedFolder& result);
  Status folder(const Found& found) override;
  Status entry(const Found& found) override;
  Status finish();

 private:
  /// A file with several names, until the last of them was seen.
  struct SeenFile {
    std::string path;
    struct stat status{};
    nlink_t names_left = 0;
  };

  Status file(const Found& found);
  Status open_file(const Found& found, int descriptor, const struct stat& before);
  Status other(const Found& found, MemberType type);
  Status write(const TreeMember& member);
  Result<bool> another_name(const Found& found, const struct stat& status);
  void remember_name(std::string_view path, const struct stat& status);
  Result<bool> copy(int descriptor, const TreeMember& member, Sha256& hash);
  Result<bool> copy_extent(int descriptor, const Extent& extent, const TreeMember& member, Sha256& hash);
  void read_attributes(OpenFile file, std::string_view path, TreeMember& member);
  Status told();
  [[nodiscard]] Status wanted() const;

  const SaveFolderOptions* options_;
  Progress* progress_;
  SavedFolder* result_;
  TarWriter tar_;
  IndexWriter index_;
  OwnerNames names_;
  AttributeReader attributes_;
  std::map<std::pair<dev_t, ino_t>, SeenFile> seen_;
  std::uint64_t done_ = 0, told_ = 0;
};

}  // namespace verbund::backup
