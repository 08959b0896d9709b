/// verbund backup schedule: the nights that come, with their media and who controls them.
#include "cli/backup_nights.h"

#include <boost/json.hpp>

namespace verbund::cli {
namespace {

namespace json = boost::json;

/// Of an office that saves into a directory alone: no medium is missing there.
const std::string* directory_of(const NightsAtHand& nights) {
  const auto& target = nights.at_hand.office.config.target;
  return nights.book().uses_media() || target.empty() ? nullptr : &target.native();
}

json::object night_json(const NightsAtHand& nights, const backup::PlannedNight& planned) {
  const auto& due = planned.due;
  const auto* medium = due.medium ? nights.book().find(*due.medium) : nullptr;
  const auto control = backup::on_duty(nights.duty, due.night.controlled_on, backup::Task::kControl);
  json::object object{{"at", backup::local_time_text(planned.at)},
                      {"weekday", weekday_word(std::chrono::weekday{std::chrono::floor<std::chrono::days>(planned.at)})},
                      {"night", backup::day_text(due.night.of)},
                      {"office_closed", due.night.office_closed},
                      {"class", backup::class_name(due.night.medium_class)},
                      {"id", due.medium.value_or("")},
                      {"medium", medium ? medium->label : ""},
                      {"problem", directory_of(nights) ? std::string() : due.problem.english()},
                      {"controlled_on", backup::day_text(due.night.controlled_on)},
                      {"responsible", control.responsible.name},
                      {"deputy", control.deputy.name}};
  if (const auto* directory = directory_of(nights)) object["target"] = *directory;
  if (medium) object["place"] = medium->place == backup::Place::kInHouse ? "in-house" : "off-site";
  if (due.retained_until) object["retained_until"] = backup::day_text(*due.retained_until);
  return object;
}

std::vector<std::string> night_row(const Globals& globals, const NightsAtHand& nights, const backup::PlannedNight& planned) {
  const auto& due = planned.due;
  const auto* medium = due.medium ? nights.book().find(*due.medium) : nullptr;
  const auto control = backup::on_duty(nights.duty, due.night.controlled_on, backup::Task::kControl);
  const auto* directory = directory_of(nights);
  std::string remark = due.problem.msgid.empty() || directory ? "" : said(globals.language, due.problem);
  if (remark.empty() && medium && medium->place == backup::Place::kOffSite) remark = translated(globals.language, "to be brought");
  if (remark.empty() && due.night.office_closed && !directory) remark = translated(globals.language, "closed; stays in the drive");
  return {shown_moment(globals, planned.at),
          fmt::format("{} {}", short_weekday(globals, due.night.of), backup::day_text(due.night.of)),
          directory ? "-" : said(globals.language, backup::class_phrase(due.night.medium_class)),
          medium ? medium->label : directory ? *directory : "-",
          due.retained_until ? backup::day_text(*due.retained_until) : "-",
          control.responsible.name.empty() ? "-" : fmt::format("{} ({})", control.responsible.name, short_weekday(globals, due.night.controlled_on)),
          remark};
}

int show(const Globals& globals, int count) {
  auto nights = nights_at_hand(globals);
  if (!nights) return report(globals, nights.error());
  json::array list;
  std::vector<std::vector<std::string>> rows;
  for (const auto& planned : backup::schedule(nights->plan(), nights->book(), nights->now, count)) {
    list.push_back(night_json(*nights, planned));
    rows.push_back(night_row(globals, *nights, planned));
  }
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"nights", list}}));
    return 0;
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({text("NIGHT"), text("DATA OF"), text("CLASS"), text("MEDIUM"), text("KEPT UNTIL"), text("CONTROL"), text("REMARK")}, rows);
  if (directory_of(*nights)) {
    fmt::print("{}\n", translated(globals.language, "What lies in a directory is a copy, not a backup. Media: verbund backup media label"));
  } else if (nights->book().media().empty()) {
    fmt::print("{}\n", translated(globals.language, "There are no media yet: verbund backup media label"));
  }
  return 0;
}

}  // namespace

void add_backup_schedule(CLI::App& backup, Globals& globals, const Runner& run) {
  auto count = std::make_shared<int>(14);
  auto* command = backup.add_subcommand("schedule", std::string(translate(globals.language, "the nights that come: medium, class, who controls")));
  command->add_option("--nights", *count, std::string(translate(globals.language, "how many; 14")))->check(in_range(globals, 1, 400));
  command->callback([&globals, run, count] { run([&globals, count] { return show(globals, *count); }); });
}

}  // namespace verbund::cli
