/// verbund backup duty show, set, absent, tick: who looks after the backup, who steps in, and that it has been looked at.
#include <boost/json.hpp>

#include "cli/backup_nights.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;
using std::chrono::days;

struct Options {
  std::string task, weekday, day, until, responsible, deputy, by, person;
  int days = 7;
  bool clear = false, back = false;
};

/// Who says so: named, or logged in.
Result<std::string> speaker(const std::string& named) {
  if (!named.empty()) return named;
  for (const char* name : {"SUDO_USER", "USER", "LOGNAME"}) {
    if (const char* user = std::getenv(name); user && *user && std::string_view(user) != "root") return std::string(user);
  }
  return fail(ErrorCode::kUsage, phrase("nobody is logged in"), phrase("Say who: --by NAME"));
}

std::string task_words(const Globals& globals, backup::Task task) {
  switch (task) {
    case backup::Task::kControl: return translated(globals.language, "control the run report");
    case backup::Task::kChange: return translated(globals.language, "change the medium");
    case backup::Task::kTakeAway: return translated(globals.language, "take it out of the house");
  }
  return {};
}

constexpr backup::Task kTasks[] = {backup::Task::kControl, backup::Task::kChange, backup::Task::kTakeAway};

json::object person_json(const backup::Person& person) { return {{"name", person.name}, {"mail", person.mail}}; }
std::string shown(const backup::Person& person) { return person.name.empty() ? "-" : backup::person_text(person); }

json::array absences_json(const NightsAtHand& nights) {
  json::array list;
  for (const auto& absence : nights.duty.absences) {
    if (absence.last < std::chrono::floor<days>(nights.now)) continue;
    list.push_back(json::object{{"person", absence.person}, {"first", backup::day_text(absence.first)}, {"last", backup::day_text(absence.last)}});
  }
  return list;
}

int show_json(const NightsAtHand& nights, backup::Day first, int count) {
  json::array list, administrators;
  const backup::Calendar calendar(nights.plan().calendar);
  for (int i = 0; i < count; ++i) {
    const auto day = first + days{i};
    for (const auto task : kTasks) {
      const auto pair = backup::on_duty(nights.duty, day, task);
      list.push_back(json::object{{"day", backup::day_text(day)}, {"weekday", weekday_word(std::chrono::weekday{day})}, {"open", calendar.working_day(day)},
                                  {"task", backup::task_name(task)}, {"responsible", person_json(pair.responsible)}, {"deputy", person_json(pair.deputy)},
                                  {"ticked_by", nights.book().ticked_by(day, task).value_or("")}});
    }
  }
  for (const auto& person : nights.duty.administrators) administrators.push_back(person_json(person));
  fmt::print("{}\n", json::serialize(json::object{{"duty", list}, {"absences", absences_json(nights)}, {"administrators", administrators}}));
  return 0;
}

int show(const Globals& globals, const Options& options) {
  auto nights = nights_at_hand(globals);
  if (!nights) return report(globals, nights.error());
  // Yesterday's tick is what one looks for first.
  const auto first = std::chrono::floor<days>(nights->now) - days{1};
  if (globals.json) return show_json(*nights, first, options.days + 1);
  const backup::Calendar calendar(nights->plan().calendar);
  std::vector<std::vector<std::string>> rows;
  for (auto day = first; day < first + days{options.days + 1}; day += days{1}) {
    const auto date = fmt::format("{} {}", short_weekday(globals, day), backup::day_text(day));
    if (!calendar.working_day(day)) {
      if (const auto why = calendar.why_closed(day)) rows.push_back({date, *why, "", "", ""});
      continue;
    }
    for (const auto task : kTasks) {
      const auto pair = backup::on_duty(nights->duty, day, task);
      rows.push_back({date, task_words(globals, task), shown(pair.responsible), shown(pair.deputy), nights->book().ticked_by(day, task).value_or("-")});
    }
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({text("DAY"), text("TASK"), text("RESPONSIBLE"), text("DEPUTY"), text("TICKED OFF BY")}, rows);
  for (const auto& absence : nights->duty.absences) {
    if (absence.last < std::chrono::floor<days>(nights->now)) continue;
    fmt::print("{}\n", translated(globals.language, "absent: {}, {} to {}", absence.person, backup::day_text(absence.first), backup::day_text(absence.last)));
  }
  if (nights->duty.administrators.empty()) fmt::print("{}\n", translated(globals.language, "No administrators are named: [duty] administrators in config/backup.toml"));
  return 0;
}

/// What `duty set` was asked for, as a fact.
Result<backup::Fact> given(const Options& options) {
  backup::fact::DutyGiven duty;
  auto by = speaker(options.by);
  if (!by) return pass(by);
  duty.by = *by;
  if (!options.task.empty()) {
    auto task = backup::parse_task(options.task);
    if (!task) return pass(task);
    duty.task = *task;
  }
  if (!options.weekday.empty()) {
    unsigned number = 0;
    while (number < 7 && weekday_word(std::chrono::weekday{number}) != options.weekday) ++number;
    if (number == 7) return fail(ErrorCode::kUsage, phrase("'{}' is no day of the week", options.weekday), phrase("monday to sunday"));
    duty.weekday = std::chrono::weekday{number};
  }
  if (!options.day.empty()) {
    auto day = backup::parse_day(options.day);
    if (!day) return pass(day);
    duty.day = *day;
  }
  if (options.clear) return duty;
  if (options.responsible.empty()) return fail(ErrorCode::kUsage, phrase("nobody is named"), phrase("--responsible \"Anna Müller <anna@example.org>\", or --clear"));
  auto responsible = backup::parse_person(options.responsible);
  if (!responsible) return pass(responsible);
  duty.responsible = *responsible;
  if (options.deputy.empty()) return duty;
  auto deputy = backup::parse_person(options.deputy);
  if (!deputy) return pass(deputy);
  duty.deputy = *deputy;
  return duty;
}

/// Enters what `make` gives, and says `done`.
template <typename Make>
int enter(const Globals& globals, const Make& make) {
  auto nights = nights_at_hand(globals);
  if (!nights) return report(globals, nights.error());
  Result<backup::Fact> fact = make(*nights);
  if (!fact) return report(globals, fact.error());
  const auto number = nights->book().next_sequence();
  if (auto entered = nights->enter(*fact); !entered) return report(globals, entered.error());
  if (globals.json) {
    fmt::print("{}\n", backup::json_of({number, nights->now, *fact}));
  } else {
    fmt::print("{}\n", translated(globals.language, "entered into the ledger as number {}", number));
  }
  return 0;
}

int set(const Globals& globals, const Options& options) {
  return enter(globals, [&](const NightsAtHand&) { return given(options); });
}

int absent(const Globals& globals, const Options& options) {
  return enter(globals, [&](const NightsAtHand&) -> Result<backup::Fact> {
    auto by = speaker(options.by);
    if (!by) return pass(by);
    auto first = backup::parse_day(options.day);
    if (!first) return pass(first);
    auto last = backup::parse_day(options.until.empty() ? options.day : options.until);
    if (!last) return pass(last);
    if (*last < *first) return fail(ErrorCode::kUsage, phrase("{} is before {}", options.until, options.day));
    return backup::fact::AbsenceNoted{*by, options.person, *first, *last, options.back};
  });
}

int tick(const Globals& globals, const Options& options) {
  return enter(globals, [&](const NightsAtHand& nights) -> Result<backup::Fact> {
    auto by = speaker(options.by);
    if (!by) return pass(by);
    auto day = std::chrono::floor<days>(nights.now);
    if (!options.day.empty()) {
      auto named = backup::parse_day(options.day);
      if (!named) return pass(named);
      if (*named > day) return fail(ErrorCode::kUsage, phrase("tick off {}: that day is still to come", options.day));
      day = *named;
    }
    auto task = backup::parse_task(options.task.empty() ? "control" : options.task);
    if (!task) return pass(task);
    if (const auto other = nights.book().ticked_by(day, *task)) {
      return fail(ErrorCode::kAlreadyExists, phrase("tick off {} of {}: {} has done so", backup::task_name(*task), backup::day_text(day), *other));
    }
    return backup::fact::Ticked{day, *task, *by};
  });
}

CLI::App* add(CLI::App& duty, Globals& globals, const Runner& run, const char* name, const std::string& what, const std::shared_ptr<Options>& options,
              int (*task)(const Globals&, const Options&)) {
  auto* command = duty.add_subcommand(name, what);
  command->callback([&globals, run, options, task] { run([&globals, options, task] { return task(globals, *options); }); });
  return command;
}

}  // namespace

void add_backup_duty(CLI::App& backup, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* duty = backup.add_subcommand("duty", text("who looks after the backup, and that it was looked after"));
  duty->require_subcommand(1);
  auto* showing = add(*duty, globals, run, "show", text("who does what on which day, and who has ticked it off"), options, show);
  showing->add_option("--days", options->days, text("how many; 7"))->check(in_range(globals, 1, 366));
  auto* setting = add(*duty, globals, run, "set", text("name the responsible person and the deputy; holds at once"), options, set);
  setting->add_option("--task", options->task, text("control, change or take-away; all of them when left out"));
  auto* weekday = setting->add_option("--weekday", options->weekday, text("monday to sunday; every day when left out"));
  setting->add_option("--day", options->day, text("only on this day (2026-11-22)"))->excludes(weekday);
  auto* responsible = setting->add_option("--responsible", options->responsible, text("\"NAME <MAIL>\""));
  setting->add_option("--deputy", options->deputy, text("\"NAME <MAIL>\"; steps in without further ado"));
  setting->add_flag("--clear", options->clear, text("take back what was said for this task and day"))->excludes(responsible);
  auto* away = add(*duty, globals, run, "absent", text("somebody is away; the deputy stands in"), options, absent);
  away->add_option("person", options->person, text("name, as in `duty set`"))->required();
  away->add_option("--from", options->day, text("first day"))->required();
  away->add_option("--to", options->until, text("last day; the first when left out"));
  away->add_flag("--back", options->back, text("take the absence back that begins then"));
  auto* ticking = add(*duty, globals, run, "tick", text("tick off: the run report was looked at"), options, tick);
  ticking->add_option("--day", options->day, text("today when left out"));
  ticking->add_option("--task", options->task, text("control when left out"));
  for (auto* command : {setting, away, ticking}) command->add_option("--by", options->by, text("who says so; who is logged in when left out"));
}

}  // namespace verbund::cli
