#include "backup/retention.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::backup {
namespace {

bool reliable(const KeptSet& set) { return set.complete && set.proven >= kReliable; }

Status check_clock(const std::vector<KeptSet>& sets, WallTime now) {
  for (std::size_t i = 1; i < sets.size(); ++i) {
    if (sets[i].ended >= sets[i - 1].ended) continue;
    return fail(ErrorCode::kIncomplete, phrase("prune: set {} has the higher number but the earlier time than {}", sets[i].id, sets[i - 1].id),
                phrase("The clock was wrong once, or somebody forged a set. Nothing is removed; look at both, remove the wrong one by hand."));
  }
  if (!sets.empty() && now < sets.back().ended) {
    return fail(ErrorCode::kIncomplete, phrase("prune: the clock says {}, but set {} is of {}", to_iso8601(now), sets.back().id, to_iso8601(sets.back().ended)),
                phrase("Set the clock first; nothing is removed."));
  }
  return {};
}

Status check_newest(const std::vector<KeptSet>& sets, std::uint64_t last_pruned_at) {
  if (sets.empty()) return fail(ErrorCode::kIncomplete, phrase("prune: there are no sets"));
  const KeptSet& newest = sets.back();
  if (!reliable(newest)) {
    return fail(ErrorCode::kIncomplete, phrase("prune: the newest set {} is not complete and verified", newest.id),
                phrase("Old sets go only after a new one has been proven: verbund backup run"));
  }
  if (newest.sequence <= last_pruned_at) {
    return fail(ErrorCode::kIncomplete, phrase("prune: there has been no new set since the last time"),
                phrase("Old sets go only after a new one has been proven: verbund backup run"));
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> plan_prune(std::vector<KeptSet> sets, const PruneRequest& request) {
  if (request.keep < request.floor) {
    return fail(ErrorCode::kUsage, phrase("prune: --keep {} is below the floor of {}", request.keep, request.floor),
                phrase("config/backup.toml, [backup] keep"));
  }
  std::ranges::sort(sets, {}, &KeptSet::sequence);
  if (auto checked = check_newest(sets, request.last_pruned_at); !checked) return pass(checked);
  if (auto checked = check_clock(sets, request.now); !checked) return pass(checked);
  int kept = 0;
  std::vector<std::string> gone;
  for (auto set = sets.rbegin(); set != sets.rend(); ++set) {
    if (kept >= request.keep) gone.push_back(set->id);
    if (reliable(*set)) ++kept;
  }
  std::ranges::reverse(gone);
  return gone;
}

std::uint64_t next_sequence(const std::vector<std::uint64_t>& on_target, std::uint64_t remembered) {
  const auto highest = std::ranges::max_element(on_target);
  return std::max(remembered, highest == on_target.end() ? 0 : *highest) + 1;
}

}  // namespace verbund::backup
