#include "backup/report/surroundings.h"

namespace verbund::backup {
namespace {

std::string label_of(const Book& book, const std::string& id) {
  const auto* medium = book.find(id);
  return medium ? medium->label : std::string();
}

}  // namespace

Surroundings surroundings_of(const PlanRules& plan, const DutyRules& duty, const Book& book, const Night& night, const Due& due, const std::string& medium, LocalTime now) {
  Surroundings out;
  out.night = day_text(night.of);
  if (due.medium) out.medium_expected = label_of(book, *due.medium);
  out.medium_found = label_of(book, medium);
  out.medium_problem = due.problem;
  const auto next = next_run(plan, book, now, now);
  out.next_at = local_time_text(next);
  if (const auto then = due_on(plan, book, next); then.medium) out.next_medium = label_of(book, *then.medium);
  if (const auto& copy = book.last_off_site()) {
    out.off_site_at = local_time_text(copy->at);
    out.off_site_target = copy->what.target;
  }
  if (const auto& drill = book.last_drill()) out.drill_at = local_time_text(drill->at);
  const auto pair = on_duty(duty, night.controlled_on, Task::kControl);
  out.responsible = pair.responsible.name;
  out.deputy = pair.deputy.name;
  out.to = addresses({pair.responsible, pair.deputy});
  return out;
}

std::vector<std::string> addresses(const std::vector<Person>& people) {
  std::vector<std::string> mails;
  for (const auto& person : people) {
    if (!person.mail.empty()) mails.push_back(person.mail);
  }
  return mails;
}

}  // namespace verbund::backup
