#pragma once
/// The agent's journal: which step it has begun, done, or failed; one line per entry, each on disk before `append`
/// returns. It lies outside the data directory, so that it outlives it. Format: README.md. One thread.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "platform/os/file.h"

namespace verbund::mirror {

enum class Step { kInitialise, kStart, kRun, kStop };
enum class Phase { kBegin, kDone, kFailed };
std::string_view to_string(Step step);
std::string_view to_string(Phase phase);

struct JournalEntry {
  std::uint64_t sequence = 0;  ///< grows by 1
  std::string time;            ///< UTC, ISO 8601; for people, nothing is decided by it
  Step step = Step::kInitialise;
  Phase phase = Phase::kBegin;
  std::string detail;          ///< one line, may be empty
};

/// Without newline. Control characters in `detail` become blanks.
std::string to_line(const JournalEntry& entry);
/// Errors: kBadJournal (unknown word, wrong CRC).
Result<JournalEntry> parse_line(std::string_view line);

struct JournalText {
  std::vector<JournalEntry> entries;
  std::size_t good_bytes = 0;  ///< whole lines; less than the text's size when the last line is torn
};
/// A last line that is torn or damaged is left out; damage before it is kBadJournal (names the line).
Result<JournalText> parse_journal(std::string_view text);

class Journal {
 public:
  /// Creates what is missing, cuts off a torn last line, and keeps only the newest lines of a long journal.
  static Result<Journal> open(const std::filesystem::path& path, const Clock& clock);
  Status append(Step step, Phase phase, std::string_view detail = {});
  [[nodiscard]] const std::optional<JournalEntry>& last() const { return last_; }
  /// The step that was begun and neither done nor failed.
  [[nodiscard]] std::optional<Step> open_step() const;

 private:
  Journal(os::AppendFile file, std::optional<JournalEntry> last, const Clock& clock)
      : file_(std::move(file)), last_(std::move(last)), clock_(&clock) {}
  os::AppendFile file_;
  std::optional<JournalEntry> last_;
  const Clock* clock_;
};

}  // namespace verbund::mirror
