#pragma once
/// A set under way: `.ID.partial` on its medium, with what has been written into it. Any thread. For this folder's units only.
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "backup/manifest.h"
#include "backup/medium.h"
#include "backup/stream.h"
#include "backup/sums.h"

namespace verbund::backup {

class PartialSet {
 public:
  /// Makes the directory. Errors: kInUse (the id exists), those of the medium.
  static Result<std::unique_ptr<PartialSet>> make(Medium medium, const std::string& id);
  PartialSet(Medium medium, std::string id) : medium_(std::move(medium)), id_(std::move(id)) {}
  PartialSet(const PartialSet&) = delete;
  PartialSet& operator=(const PartialSet&) = delete;
  /// Removes it unless it was published.
  ~PartialSet();

  [[nodiscard]] const Medium& medium() const { return medium_; }
  [[nodiscard]] std::unexpected<Error> failed(Phrase operation, int error_number) const {
    return medium_.failed(std::move(operation), error_number, stored_bytes_);
  }

  /// A new file of mode 0600; makes the directories above it.
  Result<os::Descriptor> create(const std::string& name);
  /// All of it. Starts the disk early, so that the sync at the end is short.
  Status write(const os::Descriptor& file, std::string_view bytes, const std::string& name);
  Status sync(const os::Descriptor& file, const std::string& name);
  Status rename(const std::string& from, const std::string& to);
  void remove(const std::string& name);
  /// create, write, sync, and its sum among the others.
  Status put(const std::string& name, std::string_view text);

  /// No member twice, not even where case does not count.
  Status claim(const std::string& member);
  void release(const std::string& member);
  void finished(Member member, const std::vector<Sum>& sums);
  [[nodiscard]] std::vector<Member> members() const;
  [[nodiscard]] std::vector<Sum> sums() const;
  [[nodiscard]] bool all_finished() const;
  [[nodiscard]] std::uint64_t stored_bytes() const { return stored_bytes_; }

  Status sync_directories();
  /// The rename that lets the set be found. Its directory on the medium.
  Result<std::filesystem::path> publish();

 private:
  [[nodiscard]] std::string directory_name() const { return '.' + id_ + ".partial"; }
  Status make_directories(const std::string& name);

  Medium medium_;
  const std::string id_;
  os::Descriptor directory_;
  bool published_ = false;
  std::atomic<std::uint64_t> stored_bytes_ = 0;
  mutable std::mutex mutex_;  // guards what follows
  std::set<std::string> claimed_;
  std::size_t open_ = 0;
  std::set<std::string> directories_;
  std::vector<Member> members_;
  std::vector<Sum> sums_;
};

/// Removes every `.….partial` of a target that nobody writes to (the caller holds its lock).
Status remove_partials(const Medium& medium);

}  // namespace verbund::backup
