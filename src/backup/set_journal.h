#pragma once
/// What happened to sets: made, proven, found damaged, removed, restored. Two files that only grow, a JSON object per line,
/// fsynced: `verbund-sets.jsonl` beside the sets, and the installation's own `backup/journal.jsonl`.
/// Format: docs/formats/backup-set.md. One thread.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backup/level.h"
#include "base/time.h"

namespace verbund::backup {

struct SetEvent {
  enum class What { kBegun, kPublished, kVerified, kDamaged, kPruned, kRestored, kFailed };
  WallTime at;
  What what = What::kPublished;
  std::string installation;
  std::string set;               ///< its id; empty: none came into being
  std::uint64_t sequence = 0;
  Level level = Level::kNone;    ///< kVerified: reached
  bool complete = false;         ///< kPublished
  std::string sums_hash;         ///< kPublished: SHA-256 of its SHA256SUMS, what the next set's chain names
  std::uint64_t term = 0;        ///< kRestored: the term given then
  std::string detail;            ///< for people: why
};

std::string line_of(const SetEvent& event);
/// nullopt: no such line (a later version's, damaged).
std::optional<SetEvent> event_of(std::string_view line);

/// How far a set has got by what a journal says.
struct Proof {
  Level level = Level::kNone;    ///< highest ever reached, since it was last found damaged
  WallTime at{};                 ///< when
  bool damaged = false;          ///< found so, and not proven since
  WallTime published{};
};
/// By set id. Pure.
std::map<std::string, Proof> proofs_of(const std::vector<SetEvent>& events, const std::string& installation);

class SetJournal {
 public:
  /// `target` empty: the installation's alone.
  SetJournal(std::filesystem::path installation, std::filesystem::path target)
      : installation_(std::move(installation)), target_(std::move(target)) {}
  /// To both; the installation's first. A target that can't be written to is an error unless `medium_may_be_away`.
  Status append(const SetEvent& event, bool medium_may_be_away = false);
  /// Of both, by time of entry; what stands in both counts once.
  Result<std::vector<SetEvent>> read() const;
  /// The installation's alone.
  Result<std::vector<SetEvent>> own() const;

 private:
  [[nodiscard]] std::filesystem::path own_file() const { return installation_ / "backup" / "journal.jsonl"; }
  std::filesystem::path installation_, target_;
};

inline constexpr const char* kTargetJournal = "verbund-sets.jsonl";

/// Highest sequence that the installation has ever given (also to runs that failed).
std::uint64_t remembered_sequence(const std::vector<SetEvent>& own);

}  // namespace verbund::backup
