#include "sync/model/conflict.h"

#include <algorithm>
#include <functional>

namespace verbund::sync {
namespace {

using What = Verdict::What;

bool has_right(const Situation& s) {
  switch (s.op) {
    case UpRow::Op::kInsert:
      return s.rights.insert;
    case UpRow::Op::kUpdate:
      return s.rights.update;
    case UpRow::Op::kDelete:
      return s.rights.remove;
  }
  return false;
}

bool overlap(const std::vector<bool>& mine, const std::vector<bool>& theirs) {
  for (std::size_t at = 0; at < mine.size() && at < theirs.size(); ++at) {
    if (mine[at] && theirs[at]) return true;
  }
  return false;
}

Verdict settle_conflict(const Situation& s) {
  if (s.op != UpRow::Op::kUpdate) return {What::kReject, "version"};
  if (s.policy == ConflictPolicy::Kind::kFunction) return {What::kFunction, {}};
  if (s.policy == ConflictPolicy::Kind::kMerge && !overlap(s.mine, s.theirs)) return {What::kMerge, {}};
  return {What::kReject, "version"};
}

}  // namespace

Verdict judge(const Situation& s) {
  const bool asks = s.op == UpRow::Op::kUpdate && s.mine.end() == std::find(s.mine.begin(), s.mine.end(), true);
  if (!asks && !has_right(s)) return {What::kReject, "right"};
  if (s.earlier_undecided) return {What::kLater, {}};
  if (asks) return {What::kDone, {}};
  if (s.op == UpRow::Op::kInsert) {
    if (!s.after_in_filter) return {What::kReject, "filter"};
    if (!s.exists) return {What::kApply, {}};
    return s.same ? Verdict{What::kDone, {}} : Verdict{What::kReject, "exists"};
  }
  if (!s.exists) return s.op == UpRow::Op::kDelete ? Verdict{What::kDone, {}} : Verdict{What::kReject, "gone"};
  if (!s.before_in_filter) return {What::kReject, "filter"};
  const bool as_it_was = s.base.value == 0 && std::ranges::none_of(s.theirs, std::identity{});
  if (s.version <= s.base || s.version_is_own || as_it_was) return {What::kApply, {}};
  if (s.same) return {What::kDone, {}};
  return settle_conflict(s);
}

}  // namespace verbund::sync
