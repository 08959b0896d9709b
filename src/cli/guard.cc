/// verbund guard enable TYPE [--warn|--enforce] | disable TYPE | status | report: writes without a work lock are refused by the database.
#include <boost/json.hpp>

#include "access/audit.h"
#include "cli/command.h"
#include "guard/guard.h"
#include "node/installation.h"
#include "platform/os/clock.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

std::string shown_mode(const Globals& globals, std::string_view mode) {
  if (mode == "warn") return std::string(translate(globals.language, msgid("warns")));
  if (mode == "enforce") return std::string(translate(globals.language, msgid("refuses")));
  return std::string(translate(globals.language, msgid("off")));
}

int enable(const Globals& globals, const std::string& type, bool enforce) {
  auto answer = rest_call(globals, "PUT", "/api/guard/" + type, json::serialize(json::object{{"mode", enforce ? "enforce" : "warn"}}));
  if (!answer) return report(globals, answer.error());
  if (globals.json) {
    fmt::print("{}\n", *answer);
  } else if (enforce) {
    fmt::print("{}\n", translated(globals.language, "{}: writes without the token of the work lock are refused now", type));
  } else {
    fmt::print("{}\n", translated(globals.language, "{}: writes without the token of the work lock pass and are counted (verbund guard report)", type));
  }
  return 0;
}

struct DirectLog final : Log {
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

/// The node is down: straight in the database, which must answer.
Status disable_directly(const std::filesystem::path& directory, const std::string& type) {
  auto installation = node::Installation::load(directory);
  if (!installation) return pass(installation);
  auto settings = installation->connection();
  if (!settings) return pass(settings);
  auto source = postgres::Connection::open(*settings);
  if (!source) return pass(source);
  if (auto done = guard::disable(*source, type); !done) return done;
  auto mid = installation->connection(node::Installation::kMidTier);
  if (!mid) return pass(mid);
  const os::SystemClock clock;
  postgres::Pool pool(std::move(*mid), 1, clock);
  if (auto written = access::record_audit(pool, clock, {0, clock.wall(), "command line", "guard.disable", type, "while the node was down"}); !written) {
    return pass(written, "write the audit trail");
  }
  DirectLog log;
  return guard::tidy(*source, log);
}

int disable(const Globals& globals, const std::string& type) {
  auto answer = rest_call(globals, "DELETE", "/api/guard/" + type);
  if (!answer) {
    const auto directory = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
    const bool down = answer.error().code == ErrorCode::kNotReachable || answer.error().code == ErrorCode::kUnavailable;
    if (!down || !node::Installation::exists(directory)) return report(globals, answer.error());
    if (auto done = disable_directly(directory, type); !done) return report(globals, done.error());
  }
  if (globals.json) {
    fmt::print("{{}}\n");
  } else {
    fmt::print("{}\n", translated(globals.language, "{}: the database refuses nothing any more", type));
  }
  return 0;
}

/// The rows of a REST answer, or an exit code.
struct Answer {
  json::array rows;
  std::optional<int> exit_code;
};
Answer ask(const Globals& globals, const std::string& path, const char* member) {
  auto answer = rest_call(globals, "GET", path);
  if (!answer) return {{}, report(globals, answer.error())};
  if (globals.json) {
    fmt::print("{}\n", *answer);
    return {{}, 0};
  }
  boost::system::error_code error;
  const auto root = json::parse(*answer, error);
  if (error) return {{}, report(globals, make_error(ErrorCode::kBadMessage, phrase("read the guard's state: {}", error.message())))};
  return {root.at(member).as_array(), {}};
}

int status(const Globals& globals) {
  const auto answer = ask(globals, "/api/guard", "types");
  if (answer.exit_code) return *answer.exit_code;
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  if (answer.rows.empty()) {
    fmt::print("{}\n", text("No record type is guarded."));
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> missing;
  for (const auto& type : answer.rows) {
    const std::string name(type.at("type").as_string());
    rows.push_back({name, shown_mode(globals, type.at("mode").as_string()), local_time(type.at("since").as_string()),
                    fmt::format("{}", type.at("tables").as_array().size()), fmt::format("{}", type.at("locks").to_number<std::uint64_t>())});
    for (const auto& table : type.at("missing").as_array()) missing.push_back(fmt::format("{}: {}", name, std::string(table.as_string())));
  }
  print_table({text("TYPE"), text("GUARD"), text("SINCE"), text("TABLES"), text("LOCKS")}, rows);
  for (const auto& table : missing) {
    fmt::print("{}\n", translated(globals.language, "not guarded, its trigger is missing: {} (verbund guard enable makes it)", table));
  }
  return missing.empty() ? 0 : exit_code(ErrorCode::kIncomplete);
}

int show_warnings(const Globals& globals) {
  const auto answer = ask(globals, "/api/guard-warnings", "warnings");
  if (answer.exit_code) return *answer.exit_code;
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  if (answer.rows.empty()) {
    fmt::print("{}\n", text("No write without a work lock was met."));
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& count : answer.rows) {
    const auto field = [&](const char* name) { return std::string(count.at(name).as_string()); };
    rows.push_back({field("type"), field("table"), field("operation"), field("application"), field("user"),
                    fmt::format("{}", count.at("transactions").to_number<std::uint64_t>()), local_time(field("last"))});
  }
  print_table({text("TYPE"), text("TABLE"), text("OPERATION"), text("APPLICATION"), text("DATABASE ROLE"), text("TRANSACTIONS"), text("LAST")}, rows);
  return 0;
}

}  // namespace

void add_guard(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("guard", text("let the database itself refuse writes without a work lock"));
  command->require_subcommand(1);
  auto type = std::make_shared<std::string>();
  auto enforce = std::make_shared<bool>(false);
  const auto with_type = [&](const char* verb, const char* help) {
    auto* sub = command->add_subcommand(verb, text(help));
    sub->add_option("type", *type, text("record type, for example patient"))->required();
    return sub;
  };
  auto* enabling = with_type("enable", msgid("guard a record type"));
  auto warn = std::make_shared<bool>(false);
  auto* warning = enabling->add_flag("--warn", *warn, text("let such writes pass and count them (the default: begin with it)"));
  enabling->add_flag("--enforce", *enforce, text("refuse such writes"))->excludes(warning);
  enabling->callback([&globals, run, type, enforce, warn] { run([&globals, type, enforce] { return enable(globals, *type, *enforce); }); });
  with_type("disable", msgid("guard a record type no more; also while the node is down"))->callback([&globals, run, type] {
    run([&globals, type] { return disable(globals, *type); });
  });
  command->add_subcommand("status", text("what is guarded"))->callback([&globals, run] { run([&globals] { return status(globals); }); });
  command->add_subcommand("report", text("what warn mode has met, by table, application and database role"))
      ->callback([&globals, run] { run([&globals] { return show_warnings(globals); }); });
}

}  // namespace verbund::cli
