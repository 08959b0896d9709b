#pragma once
/// A copy of a folder that lies elsewhere, brought up to its listing file by file: each is whole or not there (part, fsync, rename).
///   tree/     the copy          part/     what is on its way, by a name of its own until it is whole
///   before/YYYY-MM-DD/          what was deleted there, for a while
/// One thread; blocks.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "files/tree.h"

namespace verbund::files {

class Copy {
 public:
  explicit Copy(const std::filesystem::path& folder) : tree_(folder / "tree"), folder_(folder) {}
  /// The copy is this folder itself, which others use, too: part/ and before/ are in its kOwnFolder, folders in it have the rights that they have there.
  static Copy in_place(std::filesystem::path tree);

  /// Directories (made), and what is gone there (put into before/). Nothing is deleted for a listing without any entry: a medium that is not mounted
  /// looks so. Returns what has to be fetched, in order. Errors: kIo, kDiskFull, kUnavailable (an empty listing, and here are files).
  Result<std::vector<Entry>> prepare(const Listing& listing, const Clock& clock);
  /// Bytes of the file that have come already.
  [[nodiscard]] std::uint64_t begun(const Entry& entry) const;
  Status append(const Entry& entry, std::string_view bytes);
  /// The part, which is as long as the entry says, takes the file's place, with its times and rights. Errors: kDamaged (another length), kIo.
  Status finish(const Entry& entry);
  /// Days in before/ older than `days`; parts of what nobody wants any more.
  Status forget_old(const std::vector<Entry>& wanted, std::chrono::days days, const Clock& clock);
  [[nodiscard]] const std::filesystem::path& tree() const { return tree_; }

 private:
  Copy(std::filesystem::path tree, std::filesystem::path folder) : tree_(std::move(tree)), folder_(std::move(folder)) {}
  [[nodiscard]] std::string part_name(const Entry& entry) const;
  [[nodiscard]] bool same(const Entry& there, const Entry& here) const;
  Result<std::set<std::string>> set_aside_gone(const Listing& listing, const Listing& here, const Clock& clock);
  Status set_aside(const std::string& path, const Clock& clock);
  Status make_directory(const Entry& entry);

  const std::filesystem::path tree_, folder_;
  bool in_place_ = false;
  std::map<std::string, std::int64_t> changed_ns_;  // of what was fetched in this life, as it was there
};

}  // namespace verbund::files
