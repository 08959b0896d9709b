#pragma once
/// The mirror's copies of production's [mirror] folders, in DIR/folders/ID (files/copy.h), and of its [sync.folders], where this machine's own are.
/// Threads: one of its own does all I/O; `state` from any.
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "files/copy.h"
#include "node/mirror/pair_line.h"

namespace verbund::node {

struct FolderState {
  std::string id, path;               ///< path: on production
  std::uint64_t entries = 0;
  std::uint64_t behind_files = 0, behind_bytes = 0;  ///< of the last listing, not here yet
  std::optional<nanoseconds> age;     ///< of the listing that is all here; absent: none is yet
  std::uint64_t skipped = 0;          ///< links, special files
  std::vector<std::string> skipped_names;
  std::string error;
};

class FolderFetcher {
 public:
  /// `synced`: this machine's [sync.folders]: production's of the same names are brought up right there, so that devices find them after a promotion.
  FolderFetcher(PairLine line, std::filesystem::path directory, std::map<std::string, std::filesystem::path> synced, const Clock& clock, Log& log);
  ~FolderFetcher();  ///< stops
  void start();
  void stop();
  [[nodiscard]] std::vector<FolderState> state() const;
  [[nodiscard]] std::string error() const;

 private:
  void run();
  Status round();
  struct Wanted {
    std::string path, sync, mark;  ///< on production; sync: its name in [sync.folders]
  };
  Status bring_up(const std::string& id, const Wanted& wanted);
  files::Copy& copy_of(const std::string& id, const Wanted& wanted);
  [[nodiscard]] const std::filesystem::path* own_place(const Wanted& wanted) const;
  Result<files::Listing> list(const std::string& id);
  Status fetch(const std::string& id, files::Copy& copy, const files::Entry& entry);
  [[nodiscard]] bool stopping() const;
  template <typename Change>
  void note(const std::string& id, Change change);

  std::stop_source stop_;
  const PairLine line_;
  const std::filesystem::path directory_;
  const std::map<std::string, std::filesystem::path> synced_;
  const Clock& clock_;
  Log& log_;
  std::map<std::string, files::Copy> copies_;  // the thread's
  mutable std::mutex mutex_;                   // what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  struct Known {
    FolderState state;
    std::optional<TimePoint> complete;
  };
  std::map<std::string, Known> known_;
  std::string error_;
  std::jthread thread_;
};

}  // namespace verbund::node
