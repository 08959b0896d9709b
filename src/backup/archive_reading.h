#pragma once
/// L2 of an archive while something else is done with it: read whole on a thread of its own. For this folder's units only. The object
/// belongs to one thread; destroying it ends the reading.
#include <atomic>
#include <optional>
#include <thread>

#include "backup/archive.h"

namespace verbund::backup {

class ArchiveReading {
 public:
  /// `programs`, `archive` and `progress` outlive the object; `progress` is asked for cancellation alone.
  ArchiveReading(const Programs& programs, const std::filesystem::path& archive, const Progress& progress);
  ~ArchiveReading();
  ArchiveReading(const ArchiveReading&) = delete;
  ArchiveReading& operator=(const ArchiveReading&) = delete;

  /// How many bytes the archive comes to as plain SQL, or why it can't be read; nullptr: not at its end yet.
  [[nodiscard]] const Result<std::uint64_t>* outcome() const { return ended_.load() ? &*outcome_ : nullptr; }
  /// Waits for the end.
  [[nodiscard]] const Result<std::uint64_t>& wait();

 private:
  class Quiet;
  std::optional<Result<std::uint64_t>> outcome_;  ///< the thread's until ended_
  std::atomic<bool> ended_ = false;
  std::jthread thread_;
};

}  // namespace verbund::backup
