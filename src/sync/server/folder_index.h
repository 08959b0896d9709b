#pragma once
/// The folders of [sync.folders] as tables: every file with its hash and the version at which it came, changed or went. Looked at when devices ask, not watched:
/// so nothing is missed, and nothing costs while nobody asks.
/// Threads: any, one connection each; a folder is looked at by one at a time, the others wait or come again. Blocks.
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "files/tree.h"
#include "platform/postgres/connection.h"

namespace verbund::sync::server {

using Folders = std::map<std::string, std::filesystem::path>;

class FolderIndex {
 public:
  FolderIndex(Folders folders, const Clock& clock, Log& log) : folders_(std::move(folders)), clock_(clock), log_(log) {}

  /// Brings the tables up to the folder as it is. Contents that are new are read, for about `patience` and at least one; returns how many are left, of which the tables
  /// don't say anything new yet. A folder that was looked at just now is not looked at again: looking rests ten times as long as it takes.
  /// Errors: kNotFound (no such folder), kUnavailable (it is empty, and was not: a disk that is not mounted looks so), kTooLarge, kIo, those of the database.
  Result<std::uint64_t> look(postgres::Connection& mid_tier, const std::string& folder, milliseconds patience);
  /// A file was found to be another one than the tables say: the next look is one.
  void look_again(const std::string& folder);
  /// Errors: kNotFound.
  [[nodiscard]] Result<std::filesystem::path> path_of(const std::string& folder) const;
  [[nodiscard]] const Folders& folders() const { return folders_; }

 private:
  struct Known {
    std::timed_mutex looking;              // what follows
    std::vector<files::Entry> entries;     // as of the last look, when nothing was left
    TimePoint again;                       // not before
  };
  Known& known(const std::string& folder);

  const Folders folders_;
  const Clock& clock_;
  Log& log_;
  std::mutex mutex_;  // known_
  std::map<std::string, std::unique_ptr<Known>> known_;
};

/// Of files that went longer than `days` ago nothing is known any more. Returns how many.
Result<std::uint64_t> forget_gone_files(postgres::Connection& mid_tier, std::chrono::days days);

}  // namespace verbund::sync::server
