// The witness of the model behind pair_engine_simtest, and the laws that a pair keeps with it.
#include <algorithm>

#include "mirror/pair_world_model.h"

namespace verbund::mirror {

/// In two worlds of three. The two machines need not be set up alike.
void PairWorld::set_up_witness() {
  for (std::size_t i = 0; i < 3; ++i) {
    parts_per_thousand_[i] = static_cast<std::int64_t>(random_() % 21) - 10;
    ahead_[i] = random_span(0, 100'000);
  }
  has_witness_ = random_() % 3 != 0;
  if (!has_witness_) return;
  for (Machine& machine : machines_) {
    PairTuning& tuning = machine.tuning;
    tuning.lease = seconds{2 + static_cast<std::int64_t>(random_() % 8)};
    tuning.automatic = random_() % 4 != 0;
    tuning.max_loss = std::array<nanoseconds, 3>{seconds{0}, seconds{20}, seconds{600}}[random_() % 3];
    tuning.cool_down = seconds{random_() % 2 == 0 ? 0 : 60};
  }
  witness_.engine.emplace(witness_.disk, local(2));
}

void PairWorld::disturb_witness() {
  if (witness_.engine && trouble(150)) {
    tell("the witness is killed");
    ++counts_.witness_kills;
    witness_.engine.reset();
    witness_.down_until = now_ + random_span(0, chance(4) ? 60'000 : 3'000);
  }
  if (witness_.engine && trouble(200)) witness_.frozen_until = now_ + random_span(1'000, 30'000);
  if (!witness_.engine && now_ >= witness_.down_until) witness_.engine.emplace(witness_.disk, local(2));
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t way = 0; way < 2; ++way) {
      bool& cut = witness_cut_[i][way];
      // Where only one of the two may go on, trouble comes oftener.
      const bool given = witness_.disk.granted != 0;
      if (!cut && trouble(given ? 20 : 150)) cut = true, tell(fmt::format("{} {}: nothing gets through", way == 0 ? "to the witness from" : "from the witness to", i + 1));
      if (cut && chance(40)) cut = false, tell(fmt::format("{} {}: all gets through", way == 0 ? "to the witness from" : "from the witness to", i + 1));
    }
  }
}

void PairWorld::carry_out(std::size_t index, const pair::Call& call) {
  if (call.call.kind == CallKind::kAsk) ++counts_.asks;
  if (witness_cut_[index][0] || trouble(30)) return;
  for (int copies = trouble(50) ? 2 : 1; copies > 0; --copies) {
    const nanoseconds delay = trouble(40) ? random_span(1'000, 60'000) : random_span(1, calm_ ? 20 : 300);
    calls_.push_back({call.call, now_ + delay});
  }
}

void PairWorld::advance_witness() {
  std::vector<WitnessCall> due;
  std::erase_if(calls_, [&](const CallFlight& flight) {
    if (flight.due > now_ || now_ < witness_.frozen_until) return false;
    due.push_back(flight.call);
    return true;
  });
  for (const WitnessCall& call : due) {
    if (!witness_.engine) continue;
    const auto outcome = witness_.engine->handle(call, local(2));
    const bool killed = trouble(400);
    // Before or after it is on disk, in any case before it is said.
    if (outcome.write && (!killed || chance(2))) {
      if (outcome.write->granted != witness_.disk.granted) tell(fmt::format("the witness gives production to {}", outcome.write->granted));
      witness_.disk = *outcome.write;
    }
    if (killed) {
      witness_.engine.reset();
      witness_.down_until = now_ + random_span(0, 3'000);
      continue;
    }
    const std::size_t to = call.member - 1;
    if (witness_cut_[to][1] || trouble(30)) continue;
    const nanoseconds delay = trouble(40) ? random_span(1'000, 60'000) : random_span(1, calm_ ? 20 : 300);
    answers_.push_back({to, outcome.answer, now_ + delay});
  }
  std::vector<AnswerFlight> come;
  std::erase_if(answers_, [&](const AnswerFlight& flight) {
    if (flight.due > now_ || !(machines_[flight.to].off || !machines_[flight.to].engine || awake(machines_[flight.to]))) return false;
    come.push_back(flight);
    return true;
  });
  for (const AnswerFlight& flight : come) {
    if (awake(machines_[flight.to])) hand_in(flight.to, pair::WitnessAnswered{flight.answer});
  }
}

/// Nobody acknowledges any more when a mirror takes over without a person, whatever people have said.
void PairWorld::check_given(std::size_t index, Term term) {
  const Machine& other = machines_[1 - index];
  if (writable(other) && other.server.term < term) fail("a mirror takes over by itself while production acknowledges");
  given_term_ = std::max(given_term_, term);
}

/// What is missing was acknowledged within the time that was announced.
void PairWorld::check_within(const Promotion& promotion, const std::vector<std::uint64_t>& missing) {
  if (promotion.report.kind != LossKind::kWithin || missing.empty()) return;
  TimePoint first = TimePoint::max(), last = TimePoint::min();
  for (const std::uint64_t commit : missing) {
    first = std::min(first, committed_at_.at(commit));
    last = std::max(last, committed_at_.at(commit));
  }
  const nanoseconds slack = promotion.report.span / 20;
  if (last - first > promotion.report.span + slack) fail("more time of production's is lost than was announced");
}

}  // namespace verbund::mirror
