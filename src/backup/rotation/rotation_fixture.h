#pragma once
/// For tests: days and times by their text, and a book that is written line by line.
#include <gtest/gtest.h>

#include "backup/rotation/duty.h"

namespace verbund::backup {

inline Day d(std::string_view text) {
  const auto day = parse_day(text);
  EXPECT_TRUE(day) << text;
  return day.value_or(Day{});
}
/// "2026-11-20 01:30"
inline LocalTime t(std::string_view text) {
  const auto time = parse_local_time(fmt::format("{}T{}:00", text.substr(0, 10), text.substr(11)));
  EXPECT_TRUE(time) << text;
  return time.value_or(LocalTime{});
}

struct Notebook {
  Book book;
  int sets = 0;

  void note(LocalTime at, Fact fact) {
    const auto entered = book.enter({book.next_sequence(), at, std::move(fact)});
    ASSERT_TRUE(entered) << entered.error().message;
  }
  void add(LocalTime at, const std::string& label, MediumClass medium_class = MediumClass::kDaily, MediumKind kind = MediumKind::kDisk) {
    note(at, fact::MediumAdded{"id-" + label, label, medium_class, kind});
  }
  /// The number of daily media, "M1" …, two Friday media, "F1", "F2".
  void usual_media(LocalTime at, int daily = 5) {
    for (int i = 1; i <= daily; ++i) add(at, fmt::format("M{}", i));
    add(at, "F1", MediumClass::kFriday);
    add(at, "F2", MediumClass::kFriday);
  }
  /// A run to the medium of that label ("": none); its set's name.
  std::string run(const PlanRules& rules, LocalTime at, const std::string& label, fact::RunEnded::Outcome outcome = fact::RunEnded::Outcome::kComplete,
                  Level level = Level::kRestored) {
    const bool made = outcome != fact::RunEnded::Outcome::kFailed && !label.empty();
    const auto set = made ? fmt::format("set-{}", ++sets) : std::string();
    const auto* medium = label.empty() ? nullptr : book.by_label(label);
    note(at, fact::RunEnded{set, static_cast<std::uint64_t>(sets), outcome, level, medium ? medium->id : "", night_now(rules, book, at).of});
    return set;
  }
  /// To the due one; its label.
  std::string run_due(const PlanRules& rules, LocalTime at) {
    const auto due = due_on(rules, book, at);
    const auto label = due.medium ? book.find(*due.medium)->label : std::string();
    run(rules, at, label, label.empty() ? fact::RunEnded::Outcome::kFailed : fact::RunEnded::Outcome::kComplete);
    return label;
  }
};

}  // namespace verbund::backup
