/// verbund status: how the node is.
#include <boost/json.hpp>

#include "cli/command.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

/// "feed.lag_bytes" → the value as text, or a dash.
std::string at(const json::value& root, std::string_view path) {
  const json::value* value = &root;
  while (!path.empty()) {
    const auto dot = std::min(path.find('.'), path.size());
    const auto* object = value->if_object();
    value = object ? object->if_contains(path.substr(0, dot)) : nullptr;
    if (!value) return "–";
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return value->is_string() ? std::string(value->as_string()) : json::serialize(*value);
}

int status(const Globals& globals) {
  auto connected = connect_quietly(globals);
  if (!connected.client) return connected.exit_code;
  auto text = connected.client->status_json();
  if (!text) return report(globals, text.error());
  if (globals.json) {
    fmt::print("{}\n", *text);
    return 0;
  }
  boost::system::error_code error;
  const auto root = json::parse(*text, error);
  if (error) return report(globals, make_error(ErrorCode::kBadMessage, phrase("read the status: {}", error.message())));
  struct Row {
    const char* label;
    const char* path;
  };
  static constexpr Row kRows[] = {
      {msgid("node"), "node.name"},
      {msgid("version"), "node.version"},
      {msgid("role"), "node.role"},
      {msgid("term"), "node.term"},
      {msgid("starts"), "node.start_count"},
      {msgid("mode"), "cluster.mode"},
      {msgid("workstations"), "cluster.workstations"},
      {msgid("command-line tools"), "cluster.tools"},
      {msgid("work locks"), "cluster.locks"},
      {msgid("database"), "database.state"},
      {msgid("database connection"), "database.shown"},
      {msgid("feed"), "feed.state"},
      {msgid("feed reason"), "feed.reason"},
      {msgid("cursor"), "feed.cursor"},
      {msgid("feed lag (bytes)"), "feed.lag_bytes"},
      {msgid("changes captured"), "feed.changes"},
      {msgid("history"), "history.state"},
      {msgid("history reason"), "history.reason"},
      {msgid("history behind (changes)"), "history.behind"},
  };
  for (const Row& row : kRows) {
    const auto value = at(root, row.path);
    if (value.empty()) continue;
    fmt::print("{:<28} {}\n", translate(globals.language, row.label), value);
  }
  if (const auto* feed = root.as_object().if_contains("feed"); feed && feed->is_object()) {
    if (const auto* excluded = feed->as_object().if_contains("excluded"); excluded && excluded->is_array()) {
      for (const auto& table : excluded->as_array()) {
        fmt::print("{:<28} {}: {}\n", translate(globals.language, "not captured"), at(table, "table"), at(table, "reason"));
      }
    }
  }
  return 0;
}

}  // namespace

void add_status(CLI::App& app, Globals& globals, const Runner& run) {
  auto* command = app.add_subcommand("status", std::string(translate(globals.language, "show how the node is")));
  command->callback([&globals, run] { run([&globals] { return status(globals); }); });
}

}  // namespace verbund::cli
