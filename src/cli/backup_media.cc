/// verbund backup media label, add, list, next, take, bring, retire, rebuild
#include "cli/backup.h"

#include <unistd.h>

#include <boost/json.hpp>

#include "backup/media/drives.h"

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

struct Options {
  std::string path, name, medium_class = "daily", by, reason;
  std::vector<std::string> paths;
  int nights = 14;
  bool lost = false, all = false;
};

Result<std::unique_ptr<OfficeAtHand>> office_of(const Globals& globals) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return pass(at_hand);
  return std::make_unique<OfficeAtHand>(std::move(*at_hand));
}

/// Calls `task` with the ledger open; `office` stays where it is, for MediaOffice refers to it.
template <typename Task>
int with_media(const Globals& globals, const Task& task) {
  auto at_hand = office_of(globals);
  if (!at_hand) return report(globals, at_hand.error());
  auto of = backup::media_office((*at_hand)->office);
  if (!of) return report(globals, of.error());
  auto ledger = backup::Ledger::open((*at_hand)->office.directory, of->trusted);
  if (!ledger) return report(globals, ledger.error());
  if (ledger->mended()) fmt::print(stderr, "{}\n", said(globals.language, *ledger->mended()));
  return task(*of, (*at_hand)->office.config.plan, *ledger, os::local_time(os::SystemClock().wall()));
}

const char* class_words(backup::MediumClass medium_class) {
  switch (medium_class) {
    case backup::MediumClass::kDaily: return msgid("daily");
    case backup::MediumClass::kFriday: return msgid("Friday");
    case backup::MediumClass::kMonthEnd: return msgid("month-end");
    case backup::MediumClass::kQuarterEnd: return msgid("quarter-end");
    case backup::MediumClass::kYear: return msgid("year");
  }
  return msgid("daily");
}

std::string time_text(backup::LocalTime time) {
  if (time == backup::LocalTime{}) return {};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(time - day).count();
  return fmt::format("{} {:02}:{:02}", backup::day_text(day), minutes / 60, minutes % 60);
}

/// By its label, or by the beginning of its id.
Result<const backup::MediumState*> find_medium(const backup::Book& book, const std::string& name) {
  if (const auto* medium = book.by_label(name)) return medium;
  const backup::MediumState* found = nullptr;
  for (const auto& [id, medium] : book.media()) {
    if (name.size() < 6 || !id.starts_with(name)) continue;
    if (found) return fail(ErrorCode::kNotFound, phrase("medium {}: several have an id that begins so", name), phrase("verbund backup media list"));
    found = &medium;
  }
  if (!found) return fail(ErrorCode::kNotFound, phrase("medium {}: is not known here", name), phrase("verbund backup media list"));
  return found;
}

std::string place_of(const Globals& globals, const backup::MediumState& medium) {
  if (medium.lost) return translated(globals.language, "lost");
  if (medium.retired) return translated(globals.language, "retired");
  const auto where = translated(globals.language, medium.place == backup::Place::kInHouse ? msgid("in the house") : msgid("off-site"));
  return medium.moved_by.empty() ? where : fmt::format("{} ({})", where, medium.moved_by);
}

json::object to_json(const backup::MediumState& medium, const backup::PlanRules& rules, const backup::Book& book, backup::LocalTime now, const std::string& drive) {
  json::array sets;
  for (const auto& set : medium.sets) {
    sets.push_back(json::object{{"set", set.set}, {"night", backup::day_text(set.night)}, {"level", backup::level_name(set.level)}, {"good", set.good()}, {"damaged", set.damaged}});
  }
  json::object object{{"id", medium.id}, {"label", medium.label}, {"class", backup::class_name(medium.medium_class)}, {"kind", backup::kind_name(medium.kind)},
                      {"place", medium.place == backup::Place::kInHouse ? "in-house" : "off-site"}, {"moved_by", medium.moved_by}, {"moved_at", time_text(medium.moved_at)},
                      {"uses", medium.uses}, {"retired", medium.retired}, {"lost", medium.lost}, {"sets", sets}, {"drive", drive}};
  if (!medium.sets.empty()) object["last_use"] = time_text(medium.sets.back().at);
  if (const auto until = backup::kept_until(rules, book, medium.id, now)) object["retained_until"] = backup::day_text(*until);
  return object;
}

/// Where media stand now, by id.
std::map<std::string, std::string> in_drives(const backup::MediaOffice& of) {
  std::map<std::string, std::string> places;
  for (const auto& drive : backup::look_at_drives(of)) {
    if (drive.label) places[drive.label->id] = drive.place.string();
  }
  return places;
}

int list(const Globals& globals, const Options& options) {
  return with_media(globals, [&](const backup::MediaOffice& of, const backup::PlanRules& rules, backup::Ledger& ledger, backup::LocalTime now) {
    const auto& book = ledger.book();
    auto drives = in_drives(of);
    json::array media;
    std::vector<std::vector<std::string>> rows;
    for (const auto& [id, medium] : book.media()) {
      if (!options.all && !medium.in_use() && !globals.json) continue;
      media.push_back(to_json(medium, rules, book, now, drives[id]));
      const auto until = backup::kept_until(rules, book, id, now);
      rows.push_back({medium.label, translated(globals.language, class_words(medium.medium_class)), place_of(globals, medium), time_text(medium.moved_at),
                      medium.sets.empty() ? "-" : time_text(medium.sets.back().at), until ? backup::day_text(*until) : "-", fmt::format("{}", medium.uses), drives[id]});
    }
    if (globals.json) {
      fmt::print("{}\n", json::serialize(json::object{{"media", media}}));
      return 0;
    }
    const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
    std::ranges::sort(rows);
    print_table({text("MEDIUM"), text("CLASS"), text("PLACE"), text("SINCE"), text("LAST USE"), text("KEPT UNTIL"), text("USES"), text("IN DRIVE")}, rows);
    return 0;
  });
}

int next(const Globals& globals, const Options& options) {
  return with_media(globals, [&](const backup::MediaOffice&, const backup::PlanRules& rules, backup::Ledger& ledger, backup::LocalTime now) {
    json::array nights;
    std::vector<std::vector<std::string>> rows;
    for (const auto& planned : backup::schedule(rules, ledger.book(), now, options.nights)) {
      const auto& due = planned.due;
      const auto* medium = due.medium ? ledger.book().find(*due.medium) : nullptr;
      json::object night{{"at", time_text(planned.at)}, {"night", backup::day_text(due.night.of)}, {"class", backup::class_name(due.night.medium_class)},
                         {"medium", medium ? medium->label : ""}, {"id", due.medium.value_or("")}, {"problem", due.problem.english()}};
      if (medium) night["place"] = medium->place == backup::Place::kInHouse ? "in-house" : "off-site";
      if (due.retained_until) night["retained_until"] = backup::day_text(*due.retained_until);
      nights.push_back(std::move(night));
      rows.push_back({time_text(planned.at), medium ? medium->label : "-", translated(globals.language, class_words(due.night.medium_class)),
                      medium ? place_of(globals, *medium) : "-", due.retained_until ? backup::day_text(*due.retained_until) : "-",
                      due.problem.msgid.empty() ? "" : said(globals.language, due.problem)});
    }
    if (globals.json) {
      fmt::print("{}\n", json::serialize(json::object{{"nights", nights}}));
      return 0;
    }
    const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
    print_table({text("NIGHT"), text("MEDIUM"), text("CLASS"), text("PLACE"), text("KEPT UNTIL"), text("REMARK")}, rows);
    return 0;
  });
}

/// Into the ledger, and said.
int enter(const Globals& globals, const backup::MediaOffice& of, backup::Ledger& ledger, backup::Fact fact, backup::LocalTime now, const Phrase& said_then, const std::string& id) {
  if (auto entered = ledger.enter(std::move(fact), now, of.key); !entered) return report(globals, entered.error());
  if (globals.json) fmt::print("{}\n", json::serialize(json::object{{"id", id}, {"label", ledger.book().find(id)->label}}));
  else fmt::print("{}\n", said(globals.language, said_then));
  return 0;
}

/// Something is really mounted there, or the label would lie on the machine's own disk.
Result<backup::Drive> mounted(const backup::MediaOffice& of, const std::string& path) {
  auto drive = backup::look_at(of, fs::absolute(path).lexically_normal());
  if (!drive.ground) return std::unexpected(std::move(*drive.problem));
  if (drive.ground->mounted) return drive;
  return fail(ErrorCode::kMediumGone, phrase("medium: nothing is mounted at {}", drive.place.string()), phrase("It lies on the machine's own disk. Mount the medium first."));
}

void say_copy(const Globals& globals, const backup::Drive& drive) {
  if (!drive.ground) return;
  const auto note = backup::copy_note(*drive.ground);
  if (!note.msgid.empty() && !globals.json) fmt::print(stderr, "{}\n", said(globals.language, note));
}

int exchanged(const Globals& globals, const backup::MediaOffice& of, backup::Ledger& ledger, const fs::path& place, int outcome) {
  if (outcome != 0) return outcome;
  auto done = ledger.exchange_with(place, of.key);
  if (!done) return report(globals, done.error());
  if (!done->said.msgid.empty()) fmt::print(stderr, "{}\n", said(globals.language, done->said));
  return 0;
}

/// Where a label is to go. Errors: kAlreadyExists (a tape that has one), those of `mounted`.
Result<backup::Drive> place_for_label(const backup::MediaOffice& of, const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error) || fs::is_directory(path, error)) return mounted(of, path);
  auto drive = backup::look_at_tape(of, fs::absolute(path).lexically_normal());
  if (drive.problem && drive.problem->code == ErrorCode::kMediumGone) return std::unexpected(std::move(*drive.problem));
  if (!drive.label && !drive.problem) return drive;
  return fail(ErrorCode::kAlreadyExists, phrase("tape {}: there is a label already", path), phrase("verbund backup media add PATH takes up a medium that has a label of yours."));
}

Status put_label(const backup::MediaOffice& of, const backup::Drive& drive, const backup::Label& label) {
  if (drive.kind == backup::MediumKind::kDisk) return backup::write_label(drive.place, label, of.key);
  backup::SilentProgress progress;
  return backup::tape_of(of, drive.place).write_label(label, of.key, progress);
}

int label(const Globals& globals, const Options& options) {
  return with_media(globals, [&](const backup::MediaOffice& of, const backup::PlanRules&, backup::Ledger& ledger, backup::LocalTime now) {
    auto medium_class = backup::parse_class(options.medium_class);
    if (!medium_class) return report(globals, medium_class.error());
    auto drive = place_for_label(of, options.path);
    if (!drive) return report(globals, drive.error());
    if (const auto* bearer = ledger.book().by_label(options.name); bearer && bearer->in_use()) {
      return report(globals, make_error(ErrorCode::kAlreadyExists, phrase("medium {}: there is one of that name already", options.name), phrase("verbund backup media list")));
    }
    auto made = backup::new_label(options.name, *medium_class, drive->kind, of.installation, os::SystemClock().wall());
    if (!made) return report(globals, made.error());
    if (auto written = put_label(of, *drive, *made); !written) return report(globals, written.error());
    say_copy(globals, *drive);
    const int outcome = enter(globals, of, ledger, backup::fact::MediumAdded{made->id, made->label, made->medium_class, made->kind}, now,
                              phrase("Medium {}: labelled. Write the name on it.", made->label), made->id);
    return drive->kind == backup::MediumKind::kTape ? outcome : exchanged(globals, of, ledger, drive->place, outcome);
  });
}

int add(const Globals& globals, const Options& options) {
  return with_media(globals, [&](const backup::MediaOffice& of, const backup::PlanRules&, backup::Ledger& ledger, backup::LocalTime now) {
    auto drive = mounted(of, options.path);
    if (!drive) return report(globals, drive.error());
    auto found = backup::read_label(drive->place, of.trusted);
    if (!found) {
      if (found.error().code == ErrorCode::kNotFound) found.error().advise(phrase("It has no label yet: verbund backup media label {} --name NAME", options.path));
      return report(globals, found.error());
    }
    if (found->installation != of.installation) {
      return report(globals, make_error(ErrorCode::kWrongMedium, phrase("medium {}: it is another installation's", found->label), phrase("Remove verbund-medium.json and its signature if it is to be yours.")));
    }
    // What its own ledger says of it comes first: it may be known there.
    if (const int failed = exchanged(globals, of, ledger, drive->place, 0); failed != 0) return failed;
    say_copy(globals, *drive);
    if (ledger.book().find(found->id)) {
      if (globals.json) fmt::print("{}\n", json::serialize(json::object{{"id", found->id}, {"label", found->label}}));
      else fmt::print("{}\n", translated(globals.language, "Medium {}: is known.", found->label));
      return 0;
    }
    const int outcome = enter(globals, of, ledger, backup::fact::MediumAdded{found->id, found->label, found->medium_class, found->kind}, now,
                              phrase("Medium {}: added.", found->label), found->id);
    return exchanged(globals, of, ledger, drive->place, outcome);
  });
}

std::string somebody(const Options& options) {
  if (!options.by.empty()) return options.by;
  for (const char* variable : {"SUDO_USER", "LOGNAME", "USER"}) {
    if (const char* name = std::getenv(variable); name && *name) return name;
  }
  return fmt::format("uid {}", ::getuid());
}

/// Calls `fact_of` for the medium that is named.
template <typename FactOf>
int about_one(const Globals& globals, const Options& options, const char* said_then, const FactOf& fact_of) {
  return with_media(globals, [&](const backup::MediaOffice& of, const backup::PlanRules&, backup::Ledger& ledger, backup::LocalTime now) {
    auto medium = find_medium(ledger.book(), options.name);
    if (!medium) return report(globals, medium.error());
    const auto id = (*medium)->id;
    return enter(globals, of, ledger, fact_of(id), now, Phrase{said_then, {phrase_value((*medium)->label)}}, id);
  });
}

int take(const Globals& globals, const Options& options) {
  return about_one(globals, options, msgid("Medium {}: taken out of the house."),
                   [&](const std::string& id) { return backup::Fact(backup::fact::MediumTaken{id, somebody(options), backup::Place::kOffSite}); });
}
int bring(const Globals& globals, const Options& options) {
  return about_one(globals, options, msgid("Medium {}: is back in the house."), [&](const std::string& id) { return backup::Fact(backup::fact::MediumBrought{id, somebody(options)}); });
}
int retire(const Globals& globals, const Options& options) {
  return about_one(globals, options, msgid("Medium {}: is no longer in use."),
                   [&](const std::string& id) { return backup::Fact(backup::fact::MediumRetired{id, somebody(options), options.reason, options.lost}); });
}

int rebuild(const Globals& globals, const Options& options) {
  auto at_hand = office_of(globals);
  if (!at_hand) return report(globals, at_hand.error());
  auto of = backup::media_office((*at_hand)->office);
  if (!of) return report(globals, of.error());
  std::vector<fs::path> from(options.paths.begin(), options.paths.end());
  for (const auto& [id, place] : in_drives(*of)) from.emplace_back(place);
  auto ledger = backup::Ledger::rebuild((*at_hand)->office.directory, of->trusted, from);
  if (!ledger) return report(globals, ledger.error());
  if (globals.json) fmt::print("{}\n", json::serialize(json::object{{"entries", ledger->entries().size()}, {"said", ledger->mended()->english()}}));
  else fmt::print("{}\n", said(globals.language, *ledger->mended()));
  return 0;
}

using Task = int (*)(const Globals&, const Options&);

}  // namespace

void add_backup_media(CLI::App& backup, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* media = backup.add_subcommand("media", text("disks and tapes: labels, where each one is, which one is due"));
  media->require_subcommand(1);
  const auto command = [&](const char* name, const char* what, Task task) {
    auto* made = media->add_subcommand(name, text(what));
    made->callback([&globals, run, options, task] { run([&globals, options, task] { return task(globals, *options); }); });
    return made;
  };
  auto* labelling = command("label", msgid("write a label onto a medium that is mounted, and add it"), label);
  auto* adding = command("add", msgid("take up a medium that has a label of this installation"), add);
  for (auto* one : {labelling, adding}) one->add_option("path", options->path, text("where it is mounted"))->required();
  labelling->add_option("--name", options->name, text("what stands on its sticker"))->required();
  labelling->add_option("--class", options->medium_class, text("daily, friday, month-end, quarter-end, year"))->capture_default_str();
  command("list", msgid("all media: class, place, last use, kept until"), list)->add_flag("--all", options->all, text("those too that are no longer in use"));
  command("next", msgid("which medium is due tonight and on the nights after"), next)
      ->add_option("--nights", options->nights, text("how many"))
      ->check(in_range(globals, 1, 400))
      ->capture_default_str();
  auto* taking = command("take", msgid("a medium leaves the house"), take);
  auto* bringing = command("bring", msgid("a medium is back in the house"), bring);
  auto* retiring = command("retire", msgid("a medium is no longer used"), retire);
  for (auto* one : {taking, bringing, retiring}) {
    one->add_option("medium", options->name, text("its name, or the beginning of its id"))->required();
    one->add_option("--by", options->by, text("who; default: who calls"));
  }
  retiring->add_option("--reason", options->reason, text("why"))->required();
  retiring->add_flag("--lost", options->lost, text("nobody knows where it is"));
  command("rebuild", msgid("make the ledger anew from media, after it was lost or damaged"), rebuild)->add_option("paths", options->paths, text("where media are mounted"));
}

}  // namespace verbund::cli
