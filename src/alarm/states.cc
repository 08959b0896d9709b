#include "alarm/states.h"

#include <algorithm>

namespace verbund::alarm {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& what) { return std::ranges::find(list, what) != list.end(); }

/// A state that holds still.
void go_on(Stored& kept, const State& now_holding, const std::vector<std::string>& to, WallTime now, Change& out) {
  kept.state.text = now_holding.text;
  kept.state.to = now_holding.to;
  // Told at a time that is still to come: the clock was set back. Counting begins anew.
  if (kept.told_at > now) kept.told_at = now;
  const bool again = now - kept.told_at >= kRepeat;
  for (const auto& person : to) {
    if (!contains(kept.told, person)) {
      out.letters[person].begun.push_back(kept.state);
      kept.told.push_back(person);
    } else if (again) {
      out.letters[person].lasting.push_back(kept.state);
    }
  }
  if (again) kept.told_at = now;
}

}  // namespace

Change change(std::vector<Stored> before, std::string_view source, const std::vector<State>& states, const std::vector<std::string>& otherwise, WallTime now) {
  Change out;
  const auto people = [&](const State& state) -> const std::vector<std::string>& { return state.to.empty() ? otherwise : state.to; };
  for (auto& kept : before) {
    const auto same = [&](const State& state) { return state.key == kept.state.key; };
    const auto holds = kept.source == source ? std::ranges::find_if(states, same) : states.end();
    if (kept.source == source && holds == states.end()) {
      for (const auto& person : kept.told) out.letters[person].ended.push_back(kept.state);
      continue;
    }
    if (kept.source == source) go_on(kept, *holds, people(*holds), now, out);
    out.after.push_back(std::move(kept));
  }
  for (const auto& state : states) {
    const auto known = [&](const Stored& kept) { return kept.source == source && kept.state.key == state.key; };
    if (std::ranges::any_of(out.after, known)) continue;
    Stored begun{std::string(source), state, now, people(state)};
    if (begun.state.since == WallTime{}) begun.state.since = now;
    for (const auto& person : begun.told) out.letters[person].begun.push_back(begun.state);
    out.begun.push_back(begun.state);
    out.after.push_back(std::move(begun));
  }
  return out;
}

}  // namespace verbund::alarm
