#pragma once
/// The words that entries are written with. For this folder's units only.
#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "backup/rotation/book.h"

namespace verbund::backup::words {

template <typename T>
struct Word {
  T value;
  std::string_view text;
};

inline constexpr std::array kClass = {Word{MediumClass::kDaily, "daily"}, Word{MediumClass::kFriday, "friday"}, Word{MediumClass::kMonthEnd, "month-end"},
                                      Word{MediumClass::kQuarterEnd, "quarter-end"}, Word{MediumClass::kYear, "year"}};
inline constexpr std::array kKind = {Word{MediumKind::kDisk, "disk"}, Word{MediumKind::kTape, "tape"}, Word{MediumKind::kCloud, "cloud"}};
inline constexpr std::array kPlace = {Word{Place::kInHouse, "in-house"}, Word{Place::kOffSite, "off-site"}};
inline constexpr std::array kTask = {Word{Task::kControl, "control"}, Word{Task::kChange, "change"}, Word{Task::kTakeAway, "take-away"}};
inline constexpr std::array kOutcome = {Word{fact::RunEnded::Outcome::kComplete, "complete"}, Word{fact::RunEnded::Outcome::kIncomplete, "incomplete"},
                                        Word{fact::RunEnded::Outcome::kFailed, "failed"}};
inline constexpr std::array kLevel = {Word{Level::kNone, "L-"},     Word{Level::kExitCodes, "L0"},  Word{Level::kHashes, "L1"},   Word{Level::kReadable, "L2"},
                                      Word{Level::kFromMedium, "L3"}, Word{Level::kRestored, "L4"}, Word{Level::kElsewhere, "L5"}};
inline constexpr std::array<std::string_view, 7> kWeekday = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};

template <typename Table, typename T>
std::string_view of(const Table& table, T value) {
  return std::ranges::find(table, value, &Table::value_type::value)->text;
}
template <typename Table>
auto find(const Table& table, std::string_view text) -> std::optional<decltype(table[0].value)> {
  const auto found = std::ranges::find(table, text, &Table::value_type::text);
  if (found == table.end()) return std::nullopt;
  return found->value;
}

}  // namespace verbund::backup::words
