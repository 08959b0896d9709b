/// verbund backup check: a round, and what it finds.
#include <boost/json.hpp>

#include "backup/night/round.h"
#include "cli/backup_nights.h"
#include "cli/backup_publish.h"
#include "cli/offsite_terms.h"
#include "node/drill.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

struct Options {
  bool quiet = false;
};

json::array people_json(const std::vector<backup::Person>& people) {
  json::array out;
  for (const auto& person : people) out.push_back(json::object{{"name", person.name}, {"mail", person.mail}});
  return out;
}

void print_json(const backup::Round& round, const std::vector<alarm::State>& states, int code) {
  json::array troubles, alarms;
  for (const auto& trouble : round.troubles) {
    troubles.push_back(json::object{{"kind", backup::kind_name(trouble.kind)}, {"key", trouble.key}, {"text", trouble.text.english()}, {"to", people_json(trouble.to)}});
  }
  for (const auto& state : states) {
    alarms.push_back(json::object{{"key", state.key}, {"text", state.text.english()}, {"since", to_iso8601(state.since)}, {"to", json::value_from(state.to)}});
  }
  json::object object{{"backup", night_json(round.outlook)}, {"troubles", std::move(troubles)}, {"alarms", std::move(alarms)}, {"waiting_mails", round.waiting},
                      {"missed_reported", round.missed ? backup::local_time_text(*round.missed) : ""}, {"exit_code", code}};
  if (round.untold) object["error"] = {{"code", wire_name(round.untold->code)}, {"message", round.untold->message}};
  fmt::print("{}\n", json::serialize(object));
}

void print_text(const Globals& globals, const backup::Round& round, const std::vector<alarm::State>& states, bool mail_configured) {
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print("{}\n", translated(globals.language, msgid, args...)); };
  for (const auto& state : states) {
    say("ALARM: {}", said(globals.language, state.text));
    const auto since = os::local_text(state.since);
    state.to.empty() ? say("  since {}", since) : say("  since {}; for {}", since, fmt::join(state.to, ", "));
  }
  if (round.missed) say("the report of the missed night of {} is written", shown_moment(globals, *round.missed));
  if (round.waiting > 0) say("{} mails wait for delivery", round.waiting);
  if (!states.empty() && !mail_configured) say("No mail server is configured, so nobody is told by mail: [mail] in config/verbund.toml");
  if (states.empty() && round.outlook.configured) say("Nothing needs anybody.");
  print_fields(night_fields(globals, round.outlook));
  if (round.untold) report(globals, *round.untold);
}

int check(const Globals& globals, const Options& options) {
  if (const auto said = said_of_drill(globals)) return *said;
  auto desk = desk_at_hand(globals);
  if (!desk) return report(globals, desk.error());
  const os::SystemClock clock;
  auto round = backup::make_round(desk->at_hand.office, desk->alarm, backup::Post::kTried, clock, *desk->at_hand.log);
  // Somebody else makes one just now, and tells whom it concerns; what holds can be said all the same.
  if (!round && round.error().code == ErrorCode::kInUse) {
    auto ahead = backup::outlook_of(desk->at_hand.office, os::local_time(clock.wall()));
    if (!ahead) return report(globals, ahead.error());
    round = backup::Round{};
    round->outlook = std::move(*ahead);
  }
  if (!round) return report(globals, round.error());
  // After the round: a place that hangs keeps nobody from being told.
  ProgressLine progress(globals, &interrupted_flag());
  const auto met = meet_terms_everywhere(globals, desk->at_hand, progress);
  if (!met) return report(globals, met.error());
  const auto states = desk->alarm.current();
  const bool undelivered = round->waiting > 0 || round->untold || !desk->alarm.current(alarm::kMailSource).empty();
  const int code = undelivered ? exit_code(ErrorCode::kNotDelivered) : states.empty() ? 0 : exit_code(ErrorCode::kIncomplete);
  if (globals.json) print_json(*round, states, code);
  else if (!options.quiet) print_text(globals, *round, states, desk->alarm.config().smtp.has_value());
  else if (round->untold) report(globals, *round->untold);
  return code;
}

}  // namespace

std::optional<int> said_of_drill(const Globals& globals) {
  const auto dir = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  if (!node::is_drill(dir)) return std::nullopt;
  globals.json ? fmt::print("{}\n", R"({"drill":true})") : fmt::print("{}\n", translated(globals.language, "This is the installation of a drill: it makes no backup and tells nobody."));
  return 0;
}

void add_backup_check(CLI::App& backup, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* command = backup.add_subcommand("check", text("look what needs somebody, and tell whom it concerns; exit code 10: something does"));
  command->add_flag("--quiet", options->quiet, text("print errors alone"));
  command->callback([&globals, run, options] { run([&globals, options] { return check(globals, *options); }); });
}

}  // namespace verbund::cli
