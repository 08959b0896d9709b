#pragma once
/// The pair's record on disk, file agent/pair: each state of it a line, the last one counts. Each line is on disk before `append` returns.
/// It lies outside the data directory, so that it outlives it. Format: README.md. One thread.
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "mirror/pair.h"
#include "platform/os/file.h"

namespace verbund::mirror {

struct PairEntry {
  std::uint64_t sequence = 0;  ///< grows by 1
  std::string time;            ///< UTC, ISO 8601
  PairRecord record;
  std::string why;             ///< the step, for people
};
std::string to_line(const PairEntry& entry);
/// Errors: kBadJournal.
Result<PairEntry> parse_pair_line(std::string_view line);

class PairJournal {
 public:
  /// A torn last line (without its end) is cut off. Errors: kBadJournal (any other damage: it is never guessed, since who forgets that
  /// it was fenced writes again), kIo.
  static Result<PairJournal> open(const std::filesystem::path& path, const Clock& clock);
  /// Errors: kIo, kDiskFull; then the record on disk is the one before.
  Status append(const PairRecord& record, std::string_view why);
  /// Nothing: this machine is in no pair.
  [[nodiscard]] const std::optional<PairEntry>& last() const { return last_; }
  /// Of the last entry, by the wall clock; negative when that says that it lies in the future.
  [[nodiscard]] nanoseconds age() const;

 private:
  PairJournal(os::AppendFile file, std::optional<PairEntry> last, const Clock& clock)
      : file_(std::move(file)), last_(std::move(last)), clock_(&clock) {}
  os::AppendFile file_;
  std::optional<PairEntry> last_;
  const Clock* clock_;
};

}  // namespace verbund::mirror
