#pragma once
/// States as they are kept, and what people are to be told when they change. Pure; any thread. Inside this folder only.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "alarm/alarm.h"

namespace verbund::alarm {

/// A state that lasts is told again after so long.
inline constexpr std::chrono::hours kRepeat{24};

struct Stored {
  std::string source;
  State state;
  WallTime told_at{};                 ///< to all of `told`
  std::vector<std::string> told;
};

/// What one person is told at once.
struct Letter {
  std::vector<State> begun, lasting, ended;
};
struct Change {
  std::vector<Stored> after;
  std::map<std::string, Letter> letters;  ///< by mail address
  std::vector<State> begun;               ///< whoever is told
};
/// `states` are all of `source` that hold now; those of other sources stay as they are.
Change change(std::vector<Stored> before, std::string_view source, const std::vector<State>& states, const std::vector<std::string>& otherwise, WallTime now);

/// One line each. Errors: kDamaged (names the line).
std::string lines_of(const std::vector<Stored>& stored);
Result<std::vector<Stored>> stored_of(std::string_view lines);

}  // namespace verbund::alarm
