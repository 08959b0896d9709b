#include "backup/rotation/plan.h"

#include <algorithm>

namespace verbund::backup {
namespace {

using std::chrono::days;
using std::chrono::hours;

constexpr hours kNoon{12};

LocalTime first_night_after(const PlanRules& rules, LocalTime time) {
  LocalTime night = std::chrono::floor<days>(time) + rules.night_at;
  return night > time ? night : night + days{1};
}

MediumClass class_of(const PlanRules& rules, const Calendar& calendar, Day day) {
  if (rules.year.media > 0 && calendar.last_of_year(day)) return MediumClass::kYear;
  if (rules.quarter_end.media > 0 && calendar.last_of_quarter(day)) return MediumClass::kQuarterEnd;
  if (rules.month_end.media > 0 && calendar.last_of_month(day)) return MediumClass::kMonthEnd;
  if (rules.friday.media > 0 && calendar.last_of_week(day)) return MediumClass::kFriday;
  return MediumClass::kDaily;
}

/// It was written in the run or runs that already hold this night.
bool holds_night(const Book& book, const MediumState& medium, const Night& night) {
  const auto& run = book.last_run();
  return run && !book.set_back_to() && run->what.night == night.of && medium.last_written >= book.night_begun();
}

/// Written again in the same night, without losing what it got in it.
bool takes_more(const Book& book, const MediumState& medium, const Night& night) {
  return medium.in_use() && medium.kind != MediumKind::kTape && holds_night(book, medium, night);
}

/// Nobody can change the tape, and it has what is to be saved.
const MediumState* resting_tape(const Book& book, const Night& night) {
  if (!night.office_closed) return nullptr;
  for (const auto& [id, medium] : book.media()) {
    const auto* good = medium.newest_good();
    if (medium.kind == MediumKind::kTape && medium.in_use() && holds_night(book, medium, night) && good && good->night == night.of) return &medium;
  }
  return nullptr;
}

/// The free one of a class that has rested longest.
const MediumState* longest_rested(const PlanRules& rules, const Book& book, MediumClass wanted, LocalTime now) {
  const MediumState* best = nullptr;
  for (const auto& [id, medium] : book.media()) {
    if (!medium.in_use() || medium.medium_class != wanted || kept_until(rules, book, id, now)) continue;
    if (!best || std::tie(medium.last_written, medium.label) < std::tie(best->last_written, best->label)) best = &medium;
  }
  return best;
}

Phrase none_is_free(const PlanRules& rules, const Book& book, MediumClass wanted, LocalTime now) {
  std::optional<Day> first;
  for (const auto& [id, medium] : book.media()) {
    if (!medium.in_use() || medium.medium_class != wanted) continue;
    const auto until = kept_until(rules, book, id, now);
    if (until && (!first || *until < *first)) first = until;
  }
  if (!first) return phrase("there is no {}", class_phrase(wanted));
  return phrase("no {} may be written over before {}", class_phrase(wanted), day_text(*first));
}

/// What the times of runs are counted from.
LocalTime counted_from(const Book& book, LocalTime since, LocalTime now) {
  if (book.set_back_to()) return *book.set_back_to();
  if (clock_set_back(book, now)) return now;
  if (book.last_run()) return book.last_run()->at;
  return since <= now ? since : now - days{1};
}

}  // namespace

const ClassRule& rule_of(const PlanRules& rules, MediumClass medium_class) {
  switch (medium_class) {
    case MediumClass::kDaily: return rules.daily;
    case MediumClass::kFriday: return rules.friday;
    case MediumClass::kMonthEnd: return rules.month_end;
    case MediumClass::kQuarterEnd: return rules.quarter_end;
    case MediumClass::kYear: return rules.year;
  }
  return rules.daily;
}

Phrase class_phrase(MediumClass medium_class) {
  switch (medium_class) {
    case MediumClass::kDaily: return phrase("daily medium");
    case MediumClass::kFriday: return phrase("Friday medium");
    case MediumClass::kMonthEnd: return phrase("month-end medium");
    case MediumClass::kQuarterEnd: return phrase("quarter-end medium");
    case MediumClass::kYear: return phrase("year medium");
  }
  return phrase("daily medium");
}

Day office_day(LocalTime at) { return std::chrono::floor<days>(at - kNoon); }

Night night_of(const PlanRules& rules, LocalTime at) {
  const Calendar calendar(rules.calendar);
  const Day day = office_day(at);
  Night night;
  night.office_closed = !calendar.working_day(day);
  night.of = night.office_closed ? calendar.working_day_before(day) : day;
  night.controlled_on = calendar.working_day_from(night.of + days{1});
  night.medium_class = class_of(rules, calendar, night.of);
  return night;
}

Night night_now(const PlanRules& rules, const Book& book, LocalTime now) {
  const auto& run = book.last_run();
  const Night night = night_of(rules, now);
  const Day today = std::chrono::floor<days>(now);
  // Of this morning: what somebody ran in the evening before is done once more by the night, onto the medium that is still there.
  const bool done = run && run->what.night == night.of && std::chrono::floor<days>(run->at) == today && !book.set_back_to() &&
                    run->what.outcome == fact::RunEnded::Outcome::kComplete;
  return done && now - today < kNoon ? night_of(rules, today + kNoon) : night;
}

Due due_for(const PlanRules& rules, const Book& book, const Night& night, LocalTime now) {
  Due due{night, std::nullopt, {}, std::nullopt};
  const auto choose = [&](const MediumState& medium) {
    due.medium = medium.id;
    due.retained_until = night.of + rule_of(rules, medium.medium_class).keep;
  };
  for (const auto& [id, medium] : book.media()) {
    if (takes_more(book, medium, night) && (!due.medium || medium.last_written > book.find(*due.medium)->last_written)) choose(medium);
  }
  if (due.medium) return due;
  if (const auto* tape = resting_tape(book, night)) {
    due.problem = phrase("tape {} holds {} already", tape->label, day_text(night.of));
    return due;
  }
  for (auto at = static_cast<int>(night.medium_class); at >= 0; --at) {
    const auto medium_class = static_cast<MediumClass>(at);
    const auto* medium = longest_rested(rules, book, medium_class, now);
    if (!medium) continue;
    choose(*medium);
    if (medium_class == night.medium_class) return due;
    due.problem = phrase("{}: {} takes its place", none_is_free(rules, book, night.medium_class, now), medium->label);
    return due;
  }
  due.problem = none_is_free(rules, book, night.medium_class, now);
  return due;
}

Due due_on(const PlanRules& rules, const Book& book, LocalTime now) { return due_for(rules, book, night_now(rules, book, now), now); }

bool clock_set_back(const Book& book, LocalTime now) { return book.newest_at() && now < *book.newest_at() - kLeapBack; }

LocalTime next_run(const PlanRules& rules, const Book& book, LocalTime since, LocalTime now) {
  LocalTime night = std::max(first_night_after(rules, counted_from(book, since, now)), now);
  // Not longer than a year: then the calendar is closed for ever.
  for (int i = 0; i < 366 && resting_tape(book, night_of(rules, night)); ++i) night = first_night_after(rules, night);
  return night;
}

LocalTime last_night(const PlanRules& rules, LocalTime now) { return first_night_after(rules, now) - days{1}; }

std::optional<LocalTime> missed_night(const PlanRules& rules, const Book& book, LocalTime since, LocalTime now) {
  const LocalTime last = last_night(rules, now - rules.missed_after);
  if (last <= counted_from(book, since, now) || resting_tape(book, night_of(rules, last))) return std::nullopt;
  return last;
}

std::vector<PlannedNight> schedule(const PlanRules& rules, const Book& book, LocalTime now, int nights) {
  std::vector<PlannedNight> planned;
  Book imagined = book;
  LocalTime at = next_run(rules, imagined, now, now);
  for (int i = 0; i < nights; ++i) {
    planned.push_back({at, due_on(rules, imagined, at)});
    const Due& due = planned.back().due;
    if (due.medium) {
      const fact::RunEnded run{.set = fmt::format("planned-{}", i), .set_sequence = 0, .outcome = fact::RunEnded::Outcome::kComplete,
                               .level = Level::kRestored, .medium = *due.medium, .night = due.night.of};
      // due_on names only media that the book takes a run on.
      static_cast<void>(imagined.enter({imagined.next_sequence(), at, run}));
    }
    do at = first_night_after(rules, at);
    while (resting_tape(imagined, night_of(rules, at)) && at < now + days{366});
  }
  return planned;
}

}  // namespace verbund::backup
