#pragma once
/// Which sets may go, and which number the next one gets.
/// Pure: no I/O, no clock; any thread.
#include <optional>
#include <string>
#include <vector>

#include "backup/level.h"
#include "base/time.h"

namespace verbund::backup {

/// A set of one installation on the target, as far as pruning asks.
struct KeptSet {
  std::string id;
  std::uint64_t sequence = 0;
  WallTime ended;
  bool complete = false;
  Level proven = Level::kNone;  ///< the highest level it has ever reached, and nothing found wrong since
};

struct PruneRequest {
  int keep = 0;                       ///< complete and proven sets that stay
  int floor = 0;                      ///< `keep` may not be less
  std::uint64_t last_pruned_at = 0;   ///< sequence of the newest set when sets were removed last; 0: never
  WallTime now;
};

/// What counts as a set that can be relied upon: read back from its medium.
inline constexpr Level kReliable = Level::kFromMedium;

/// Ids to remove, oldest first: everything older than the `keep` newest complete and proven sets. Sets that are not complete or
/// not proven don't count and are not spared behind that line.
/// Errors: kUsage (below the floor); kIncomplete: nothing may go now, because the newest set is not complete and proven, because
/// there is none that is newer than at the last pruning, or because the sets' times or the clock disagree with the sequence.
Result<std::vector<std::string>> plan_prune(std::vector<KeptSet> sets, const PruneRequest& request);

/// Greater than all that were ever given: on the target, and as the installation remembers. Pure.
std::uint64_t next_sequence(const std::vector<std::uint64_t>& on_target, std::uint64_t remembered);

}  // namespace verbund::backup
