#pragma once
/// What happened to sets: made, proven, found damaged, removed, restored. Two files that only grow, signed and chained line by line
/// (signed_journal.h): `verbund-sets.jsonl` beside the sets, and the installation's own `backup/journal.jsonl`.
/// Format: docs/formats/backup-ledger.md. One thread per object; several processes may append.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backup/keys.h"
#include "backup/level.h"
#include "base/time.h"

namespace verbund::backup {

struct SetEvent {
  enum class What { kBegun, kPublished, kVerified, kDamaged, kPruned, kRestored, kFailed, kMended };
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
  bool believed = true;          ///< signed by a key that is trusted here; not part of the line
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
/// By set id; entries that are not believed don't count. Pure.
std::map<std::string, Proof> proofs_of(const std::vector<SetEvent>& events, const std::string& installation);

class SetJournal {
 public:
  /// `target` empty: the installation's alone.
  SetJournal(std::filesystem::path installation, std::filesystem::path target)
      : installation_(std::move(installation)), target_(std::move(target)) {}
  /// To both; the installation's first. A target that can't be written to is an error unless `medium_may_be_away`. A file that is
  /// damaged is set aside first (NAME.damaged-N); what is whole of it goes on, and an entry kMended tells it.
  Status append(const SetEvent& event, bool medium_may_be_away = false);
  /// Of both, by time of entry; what stands in both counts once. Of a damaged file what stands before the damage.
  Result<std::vector<SetEvent>> read() const;
  /// The installation's alone.
  Result<std::vector<SetEvent>> own() const;

 private:
  [[nodiscard]] std::filesystem::path own_file() const { return installation_ / "backup" / "journal.jsonl"; }
  [[nodiscard]] Result<std::vector<SetEvent>> read_file(const std::filesystem::path& path) const;
  [[nodiscard]] Status append_to(const std::filesystem::path& path, const SetEvent& event, const SigningKey& key) const;
  std::filesystem::path installation_, target_;
};

inline constexpr const char* kTargetJournal = "verbund-sets.jsonl";

/// Highest sequence that the installation has ever given (also to runs that failed).
std::uint64_t remembered_sequence(const std::vector<SetEvent>& own);

}  // namespace verbund::backup
