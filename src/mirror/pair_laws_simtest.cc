// What must hold when nobody disturbs any more: the laws on what was lost, and that a pair is one again.
#include <algorithm>

#include "mirror/pair_world_model.h"

namespace verbund::mirror {

void PairWorld::check_promotions() {
  for (const Promotion& promotion : promotions_) {
    const auto term = terms_.find(promotion.report.term.value);
    if (term == terms_.end() || promotion.believed_lies || lied_) continue;
    std::vector<std::uint64_t> all_missing;
    for (const Entry& entry : term->second.entries) {
      // Switched on again against the word that was given (seed 2748513768: salvaged, promoted, and the new production died before it was heard of): nothing could be announced of that.
      if (promotion.on_word && entry.written >= promotion.written) continue;
      if (entry.commit != 0 && !promotion.kept.contains(entry.commit)) all_missing.push_back(entry.commit);
    }
    const std::size_t missing = all_missing.size();
    check_within(promotion, all_missing);
    const LossReport& report = promotion.report;
    const std::uint64_t end = (term->second.entries.size() + 1) * 8;
    counts_.lost += missing;
    if (report.kind == LossKind::kNone && missing != 0) fail(fmt::format("NONE was announced, {} are lost", missing));
    if (report.kind == LossKind::kBounded && missing > report.commits.value_or(~0ULL)) {
      fail(fmt::format("at most {} were announced, {} are lost", *report.commits, missing));
    }
    if (report.kind == LossKind::kBounded && end > report.end.value && missing != 0) fail("it went on after its announced end");
    // The mirror may have received of a later term that it has not heard of: then it has all of this one.
    const bool at_least = report.kind == LossKind::kUnknown || report.kind == LossKind::kWithin;
    const bool as_announced = report.bytes != 0 && promotion.forked_at == report.received.value;
    if (at_least && as_announced && report.received.value + report.bytes > end) {
      fail("less is lost than at least");
    }
  }
}

std::size_t PairWorld::write_off(const Server& server) {
  std::set<std::uint64_t> kept;
  for (const Entry& entry : server.wal) kept.insert(entry.commit);
  std::size_t missing = 0;
  for (std::uint64_t commit = 1; commit < next_commit_; ++commit) {
    if (!kept.contains(commit) && gone_.insert(commit).second) ++missing;
  }
  return missing;
}

/// Whatever was acknowledged by anybody in any term is in the data that live on, or was announced as lost.
void PairWorld::check_end(const Server& production) {
  std::set<std::uint64_t> kept;
  for (const Entry& entry : production.wal) kept.insert(entry.commit);
  const std::uint64_t lost = next_commit_ - (kept.contains(0) ? kept.size() : kept.size() + 1);
  std::uint64_t announced = 0;
  for (const Promotion& promotion : promotions_) {
    if (promotion.report.kind == LossKind::kUnknown || promotion.report.kind == LossKind::kWithin) return;
    // Production that was promised to stay off and is switched on again, and nobody can tell it: two work, whoever prevails (seeds 2748513768, 1412041782).
    if (promotion.on_word) return;
    announced += promotion.report.kind == LossKind::kBounded ? promotion.report.commits.value_or(lost) : 0;
  }
  if (!opened_by_hand_ && !lied_ && lost > announced) fail(fmt::format("{} are lost, {} were announced", lost, announced));
}

/// A person who sees both machines and ends what waits for a person.
void PairWorld::help() {
  for (std::size_t i = 0; i < 2; ++i) {
    Machine& machine = machines_[i];
    const bool other_open = machines_[1 - i].engine->open();
    if (machine.record.stage == Stage::kFenced && other_open) hand_in(i, pair::RejoinRequested{});
    if (machine.record.stage == Stage::kFollowing && !other_open && machines_[1 - i].record.stage == Stage::kFenced) {
      hand_in(i, pair::PromoteRequested{token_of(machine.engine->report(local(i))), pair::Claim::kNothing});
    }
    if (machine.record.stage == Stage::kFenced && machines_[1 - i].record.stage == Stage::kFenced && machine.record.term > machines_[1 - i].record.term) {
      hand_in(i, pair::OpenRequested{pair::Claim::kNothing});
    }
  }
}

void PairWorld::settle() {
  calm_ = true;
  cut_ = {};
  witness_cut_ = {};
  witness_.down_until = witness_.frozen_until = {};
  // The witness may give production away in these last moments, too (seed 1527553778): then a person has to bring the other machine back.
  const auto by_themselves = [this] { return !forced_ && promotions_.empty(); };
  for (std::size_t i = 0; i < 2; ++i) (void)stays_off(i);
  for (Machine& machine : machines_) machine.off = false, machine.frozen_until = {}, machine.down_until = {};
  for (int i = 0; i < 600 && broken_.empty(); ++i) {
    now_ += milliseconds{200};
    disturb();
    if (has_witness_) disturb_witness();
    if (!by_themselves() && i % 50 == 49) help();
    write();
    stream();
    advance();
  }
  if (!broken_.empty()) return;
  const std::size_t open = machines_[0].engine->open() ? 0 : 1;
  const Machine& production = machines_[open];
  const Machine& mirror = machines_[1 - open];
  const bool pair = writable(production) && production.engine->open() && mirror.record.stage == Stage::kFollowing &&
                    mirror.server.running && mirror.record.term == production.record.term && prefix(mirror.server, production.server);
  if (!pair) {
    fail(fmt::format("no pair in the end{}: {} in {} ({}), {} in {} ({})", by_themselves() ? ", without a person" : "",
                     to_string(machines_[0].record.stage), machines_[0].record.term.value, machines_[0].server.running,
                     to_string(machines_[1].record.stage), machines_[1].record.term.value, machines_[1].server.running));
  }
  check_promotions();
  check_end(production.server);
}

}  // namespace verbund::mirror
