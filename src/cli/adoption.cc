/// verbund feed preflight, up --check; the question before `up` and `node` touch a server that somebody else runs.
#include "cli/adoption.h"

#include <pwd.h>
#include <unistd.h>


#include <boost/json.hpp>

#include "feed/keyless.h"
#include "platform/os/clock.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

/// More excluded tables than a person reads at once are counted; --json has them all.
constexpr std::size_t kShownTables = 40;

std::string_view when_wire(feed::TakesEffect when) {
  switch (when) {
    case feed::TakesEffect::kAtOnce: return "at_once";
    case feed::TakesEffect::kReload: return "reload";
    case feed::TakesEffect::kRestart: return "restart";
  }
  return "at_once";
}

const char* when_shown(feed::TakesEffect when) {
  switch (when) {
    case feed::TakesEffect::kAtOnce: return msgid("takes effect at once");
    case feed::TakesEffect::kReload: return msgid("then: SELECT pg_reload_conf();");
    case feed::TakesEffect::kRestart: return msgid("then restart PostgreSQL");
  }
  return "";
}

void print_findings(const Globals& globals, const node::AdoptionPlan& plan, feed::Severity severity, std::FILE* to) {
  for (const auto& finding : plan.preflight.findings) {
    if (finding.severity != severity) continue;
    fmt::print(to, "  - {}\n", said(globals.language, finding.what));
    if (!finding.statement.empty()) {
      fmt::print(to, "      {}   -- {}\n", finding.statement, translate(globals.language, when_shown(finding.takes_effect)));
    }
  }
}

bool has(const node::AdoptionPlan& plan, feed::Severity severity) {
  return std::ranges::any_of(plan.preflight.findings, [&](const auto& finding) { return finding.severity == severity; });
}

void print_tables(const Globals& globals, const node::AdoptionPlan& plan, std::FILE* to) {
  const auto& captured = plan.preflight.captured;
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print(to, "{}\n", translated(globals.language, msgid, args...)); };
  if (plan.record_types == 0) {
    say("No record type is configured yet: nothing is captured. `verbund feed suggest` proposes some for config/verbund.toml.");
    return;
  }
  say("Captured: {} tables of {} record types", captured.size(), plan.record_types);
  std::string line;
  for (std::size_t i = 0; i < std::min(captured.size(), kShownTables); ++i) line += (i ? ", " : "") + captured[i];
  if (captured.size() > kShownTables) line += ", …";
  if (!line.empty()) fmt::print(to, "  {}\n", line);
  const auto& excluded = plan.preflight.excluded;
  if (!plan.of_no_record.empty()) {
    say("{} more tables belong to no record type and are not captured; {} of them have no primary key and could not be",
        plan.of_no_record.size(), plan.keyless);
  }
  if (excluded.empty()) return;
  say("Not captured:");
  for (std::size_t i = 0; i < std::min(excluded.size(), kShownTables); ++i) {
    fmt::print(to, "  {}: {}\n", excluded[i].first, translate(globals.language, excluded[i].second));
  }
  if (excluded.size() > kShownTables) say("  and {} more; --json lists all", excluded.size() - kShownTables);
}

void print_creations(const Globals& globals, const node::AdoptionPlan& plan, std::FILE* to) {
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print(to, "{}\n", translated(globals.language, msgid, args...)); };
  const auto& found = plan.preflight;
  const bool all_there = found.publication_exists && found.slot_exists && found.new_databases.empty() && found.new_event_trigger.empty();
  if (all_there) return;
  say("Verbund will create there:");
  if (!found.publication_exists) say("  publication {} in database {}, of {} tables", plan.names.publication, found.database, found.captured.size());
  if (!found.slot_exists) say("  replication slot {} (and {}_copy for a while, when tables are added)", plan.names.slot, plan.names.slot);
  if (!found.new_event_trigger.empty()) {
    say("  event trigger {} with its function, in schema {} of database {}: takes a table out of the publication in the transaction that drops its"
        " primary key, or its UPDATE would fail", found.new_event_trigger, feed::kKeyTriggerSchema, found.database);
  }
  for (const auto& database : found.new_databases) say("  database {}, owned by {}", database, found.role);
  say("Nothing else: no table, no column and no trigger on a table in {} (`verbund guard enable` makes some later, and lists them).", found.database);
  say("`verbund detach` removes all of it.");
}

std::string user_name() {
  const passwd* entry = getpwuid(getuid());
  return entry ? entry->pw_name : std::to_string(getuid());
}

/// The installation, when there is one; its file is not needed to look at a server.
struct Place {
  std::optional<node::Installation> installation;
  Error error;
};
Place place(const Globals& globals) {
  const auto directory = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  if (!node::Installation::exists(directory)) return {};
  auto loaded = node::Installation::load(directory);
  if (!loaded) return {std::nullopt, loaded.error()};
  return {std::move(*loaded), {}};
}

Result<node::AdoptionPlan> plan_of(const Globals& globals, const std::string& connection) {
  auto [installation, error] = place(globals);
  if (!error.message.empty()) return std::unexpected(error);
  if (connection.empty()) {
    if (installation && !installation->owns_server()) return node::plan_adoption(*installation);
    return fail(ErrorCode::kUsage, phrase("look at the server: the installation runs its own PostgreSQL, or there is none"),
                phrase("name a server with --database"));
  }
  if (installation && installation->settings().connection == connection) return node::plan_adoption(*installation);
  auto settings = postgres::parse_connection_string(connection);
  if (!settings) return pass(settings);
  auto none = os::ConfigFile::parse_toml("", "verbund.toml");
  if (!none) return pass(none);
  return node::plan_adoption(*settings, node::adopted_names({}), *none, false);
}

}  // namespace

void print_plan(const Globals& globals, const node::AdoptionPlan& plan, std::FILE* to) {
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print(to, "{}\n", translated(globals.language, msgid, args...)); };
  say("PostgreSQL {} at {}", plan.preflight.server_version, plan.server);
  if (has(plan, feed::Severity::kMissing)) {
    say("Missing (run as superuser):");
    print_findings(globals, plan, feed::Severity::kMissing, to);
  } else {
    say("Nothing is missing.");
  }
  if (has(plan, feed::Severity::kAdvice)) {
    say("Advice:");
    print_findings(globals, plan, feed::Severity::kAdvice, to);
  }
  print_tables(globals, plan, to);
  print_creations(globals, plan, to);
}

std::string plan_json(const node::AdoptionPlan& plan) {
  json::array missing, advice, excluded, captured, databases, rest;
  for (const auto& table : plan.of_no_record) rest.emplace_back(table);
  for (const auto& finding : plan.preflight.findings) {
    auto& list = finding.severity == feed::Severity::kMissing ? missing : advice;
    list.push_back(json::object{{"name", finding.name}, {"what", finding.what.english()}, {"statement", finding.statement},
                                {"takes_effect", when_wire(finding.takes_effect)}});
  }
  for (const auto& [table, reason] : plan.preflight.excluded) excluded.push_back(json::object{{"table", table}, {"reason", reason}});
  for (const auto& table : plan.preflight.captured) captured.emplace_back(table);
  for (const auto& database : plan.preflight.new_databases) databases.emplace_back(database);
  const auto& found = plan.preflight;
  return json::serialize(json::object{
      {"server", plan.server}, {"version", found.server_version}, {"role", found.role}, {"ready", found.ready()},
      {"missing", missing}, {"advice", advice}, {"record_types", plan.record_types}, {"captured", captured}, {"excluded", excluded},
      {"of_no_record", rest}, {"without_key", plan.keyless},
      {"creates", json::object{{"publication", found.publication_exists ? json::value(nullptr) : json::value(plan.names.publication)},
                               {"slot", found.slot_exists ? json::value(nullptr) : json::value(plan.names.slot)},
                               {"event_trigger", found.new_event_trigger.empty() ? json::value(nullptr) : json::value(found.new_event_trigger)},
                               {"databases", databases}}}});
}

int check_adoption(const Globals& globals, const std::string& connection) {
  auto plan = plan_of(globals, connection);
  if (!plan) return report(globals, plan.error());
  if (globals.json) {
    fmt::print("{{\"preflight\":{}}}\n", plan_json(*plan));
  } else {
    print_plan(globals, *plan, stdout);
  }
  return plan->preflight.ready() ? 0 : exit_code(ErrorCode::kServerSetting);
}

std::optional<int> settle_adoption(const Globals& globals, const std::filesystem::path& directory, Consent consent) {
  auto installation = node::Installation::load(directory);
  if (!installation) return report(globals, installation.error());
  if (installation->owns_server()) return std::nullopt;
  auto consented = node::adopted(*installation);
  if (!consented) return report(globals, consented.error());
  if (*consented) return std::nullopt;  // what is missing now is told by the node, who also waits for the server
  auto plan = node::plan_adoption(*installation);
  if (!plan) return report(globals, plan.error());
  const auto ready = node::refuse_unready(*plan);
  if (globals.json) fmt::print("{{\"preflight\":{}}}\n", plan_json(*plan));
  else print_plan(globals, *plan, ready ? stdout : stderr);
  std::fflush(stdout);
  if (!ready) {
    return report(globals, globals.json ? ready.error() : Error{ready.error().code, ready.error().message, "", ready.error().message_parts});
  }
  if (consent == Consent::kAsk && !agreed(translate(globals.language, "Create this? [y/N]"))) {
    return report(globals, fail(ErrorCode::kCancelled, phrase("use the PostgreSQL server {}: nobody has agreed to what is created there", plan->server),
                                phrase("say --yes, or answer y at a terminal; the answer is kept in the installation")).error());
  }
  if (auto kept = node::record_adoption(*installation, *plan, user_name(), os::SystemClock().wall()); !kept) return report(globals, kept.error());
  return std::nullopt;
}

}  // namespace verbund::cli
