#include "backup/rotation/duty.h"

#include <algorithm>

namespace verbund::backup {
namespace {

/// How closely it fits; -1: not at all.
int fit(const Given& given, Day day, Task task) {
  if (given.task && *given.task != task) return -1;
  if (given.day && *given.day != day) return -1;
  if (given.weekday && *given.weekday != std::chrono::weekday{day}) return -1;
  return (given.day ? 4 : 0) + (given.weekday ? 2 : 0) + (given.task ? 1 : 0);
}

bool absent(const DutyRules& rules, const Person& person, Day day) {
  return std::ranges::any_of(rules.absences, [&](const Absence& absence) {
    return absence.person == person.name && absence.first <= day && day <= absence.last;
  });
}

}  // namespace

Result<Person> parse_person(std::string_view text) {
  const auto trimmed = [](std::string_view part) {
    const auto first = part.find_first_not_of(' ');
    return first == std::string_view::npos ? std::string_view{} : part.substr(first, part.find_last_not_of(' ') - first + 1);
  };
  constexpr std::size_t kLongest = 200;
  const auto opened = text.find('<');
  Person person{std::string(trimmed(text.substr(0, opened))), {}};
  const bool printable = std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  bool good = !person.name.empty() && text.size() <= kLongest && printable && person.name.find('>') == std::string::npos;
  if (opened != std::string_view::npos) {
    const auto rest = trimmed(text.substr(opened + 1));
    person.mail = rest.substr(0, rest.find('>'));
    const auto at = person.mail.find('@');
    good = good && rest.size() == person.mail.size() + 1 && at != std::string::npos && at > 0 && at + 1 < person.mail.size() &&
           person.mail.find_first_of(" <>,;\"") == std::string::npos;
  }
  if (good) return person;
  return fail(ErrorCode::kUsage, phrase("'{}' names nobody", text), phrase("For example Anna Müller <anna@example.org>"));
}

std::string person_text(const Person& person) { return person.mail.empty() ? person.name : fmt::format("{} <{}>", person.name, person.mail); }

DutyRules duty_now(DutyRules rules, const Book& book) {
  for (const auto& duty : book.duties()) rules.given.push_back({duty.task, duty.weekday, duty.day, {duty.responsible, duty.deputy}});
  for (const auto& absence : book.absences()) rules.absences.push_back({absence.person, absence.first, absence.last});
  return rules;
}

Pair on_duty(const DutyRules& rules, Day day, Task task) {
  const Given* best = nullptr;
  for (const Given& given : rules.given) {
    const int fits = fit(given, day, task);
    if (fits >= 0 && (!best || fits >= fit(*best, day, task))) best = &given;
  }
  if (!best) return {};
  Pair pair = best->pair;
  if (absent(rules, pair.deputy, day)) pair.deputy = {};
  if (pair.responsible.name.empty() || absent(rules, pair.responsible, day)) pair = {pair.deputy, {}};
  return pair;
}

std::string_view kind_name(Trouble::Kind kind) {
  using enum Trouble::Kind;
  switch (kind) {
    case kMissed: return "missed";
    case kFailed: return "failed";
    case kIncomplete: return "incomplete";
    case kLastGoodOld: return "last-good-old";
    case kDamaged: return "damaged";
    case kNoMedium: return "no-medium";
    case kClock: return "clock";
    case kOffSiteOld: return "off-site-old";
    case kMediumOverdue: return "medium-overdue";
    case kNotTicked: return "not-ticked";
    case kDrillOverdue: return "drill-overdue";
    case kNotTakenAway: return "not-taken-away";
  }
  return "missed";
}

}  // namespace verbund::backup
