// What a medium may be used for: retention, the floor, and whether a run may write.
#include <algorithm>

#include "backup/rotation/plan.h"

namespace verbund::backup {
namespace {

using std::chrono::days;

/// A run is not at the same minute each night: half a day of grace, within which no other night lies.
constexpr std::chrono::hours kGrace{12};

/// How long a set on a medium still has to stay; not positive: its time has come.
seconds still_kept(const PlanRules& rules, const Book& book, const MediumState& medium, const SetOnMedium& set, LocalTime now) {
  return rule_of(rules, medium.medium_class).keep - kGrace - (book.witnessed(now) - set.witnessed);
}

/// Whether a medium is one of the `floor` that hold the newest good sets.
bool floor_needs(const PlanRules& rules, const Book& book, const MediumState& medium) {
  const auto* own = medium.in_use() ? medium.newest_good() : nullptr;
  if (!own) return false;
  const auto newer = std::ranges::count_if(book.media(), [&](const auto& row) {
    const auto* other = row.second.in_use() ? row.second.newest_good() : nullptr;
    return other && other->entered > own->entered;
  });
  return newer < rules.floor;
}

/// A newer good set of the same night on the same medium.
bool replaced(const MediumState& medium, const SetOnMedium& set) {
  return std::ranges::any_of(medium.sets, [&](const SetOnMedium& other) { return other.good() && other.night == set.night && other.entered > set.entered; });
}

Phrase right_one(const PlanRules& rules, const Book& book, LocalTime now) {
  const auto due = due_on(rules, book, now);
  if (due.medium) return phrase("Tonight {} is due.", book.find(*due.medium)->label);
  return phrase("Tonight no medium is due: {}.", due.problem);
}

/// Why a known medium may not be used at all.
std::optional<Phrase> out_of_use(const MediumState& medium) {
  if (medium.lost) return phrase("was entered as lost");
  if (medium.retired) return phrase("has been retired");
  return std::nullopt;
}

std::optional<Phrase> why_not(const PlanRules& rules, const Book& book, const Presented& presented, LocalTime now) {
  if (presented.another_installation) return phrase("belongs to another installation");
  if (presented.id.empty()) return phrase("has no label");
  const auto* medium = book.find(presented.id);
  if (!medium) return phrase("is not known here");
  if (auto why = out_of_use(*medium)) return why;
  const auto due = due_on(rules, book, now);
  if (due.medium == medium->id) return std::nullopt;
  const auto wanted = due.medium ? book.find(*due.medium)->medium_class : due.night.medium_class;
  if (medium->medium_class != wanted) return phrase("is a {}, and a {} is wanted", class_phrase(medium->medium_class), class_phrase(wanted));
  if (const auto until = kept_until(rules, book, medium->id, now)) return phrase("must not be written over before {}", day_text(*until));
  return std::nullopt;
}

}  // namespace

std::optional<Day> kept_until(const PlanRules& rules, const Book& book, const std::string& id, LocalTime now) {
  const auto* medium = book.find(id);
  if (!medium || std::ranges::none_of(medium->sets, &SetOnMedium::counts)) return std::nullopt;
  std::optional<Day> until;
  if (floor_needs(rules, book, *medium) || clock_set_back(book, now)) until = office_day(now) + days{1};
  for (const SetOnMedium& set : medium->sets) {
    const auto left = set.counts() ? still_kept(rules, book, *medium, set, now) : seconds{0};
    if (left > seconds{0}) until = std::max(until.value_or(Day{}), office_day(now) + std::chrono::ceil<days>(left));
  }
  return until;
}

std::vector<std::string> removable(const PlanRules& rules, const Book& book, const std::string& id, LocalTime now) {
  std::vector<std::string> gone;
  const auto* medium = book.find(id);
  if (!medium || !medium->in_use() || clock_set_back(book, now)) return gone;
  const auto* needed = floor_needs(rules, book, *medium) ? medium->newest_good() : nullptr;
  for (const SetOnMedium& set : medium->sets) {
    if (&set == needed) continue;
    const bool expired = still_kept(rules, book, *medium, set, now) <= seconds{0};
    if (!set.counts() || expired || replaced(*medium, set)) gone.push_back(set.set);
  }
  return gone;
}

Status may_write(const PlanRules& rules, const Book& book, const Presented& presented, LocalTime now) {
  if (!presented.mounted) return fail(ErrorCode::kMediumGone, phrase("no medium is in the drive"), right_one(rules, book, now));
  const auto why = why_not(rules, book, presented, now);
  if (!why) return {};
  if (presented.label.empty()) return fail(ErrorCode::kWrongMedium, phrase("the medium in the drive {}", *why), right_one(rules, book, now));
  return fail(ErrorCode::kWrongMedium, phrase("medium {}: {}", presented.label, *why), right_one(rules, book, now));
}

}  // namespace verbund::backup
