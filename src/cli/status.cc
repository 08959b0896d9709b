/// verbund status: how the node is.
#include <boost/json.hpp>

#include "cli/attention.h"
#include "cli/backup_nights.h"
#include "cli/mirror.h"
#include "cli/mirror_patroni.h"
#include "node/installation.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kAbsent = "–";

/// "feed.lag_bytes" → the value as text, or a dash.
std::string at(const json::value& root, std::string_view path) {
  const json::value* value = &root;
  while (!path.empty()) {
    const auto dot = std::min(path.find('.'), path.size());
    const auto* object = value->if_object();
    value = object ? object->if_contains(path.substr(0, dot)) : nullptr;
    if (!value) return std::string(kAbsent);
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return value->is_string() ? std::string(value->as_string()) : json::serialize(*value);
}

struct Row {
  const char* label;
  const char* path;
  enum class Kind { kValue, kWord, kText } kind = Kind::kValue;
};

/// What is no value: a word of the protocol, a text that the node keeps in English.
std::string shown(const Globals& globals, const Row& row, const std::string& value) {
  if (row.kind == Row::Kind::kWord) return shown_word(globals, value);
  return row.kind == Row::Kind::kText ? retold(globals.language, value) : value;
}

/// "localhost:5432/praxis as verbund_node"
std::string shown_connection(const Globals& globals, const std::string& text) {
  const auto as = text.rfind(" as ");
  return as == text.npos ? text : translated(globals.language, "{} as {}", text.substr(0, as), text.substr(as + 4));
}

constexpr Row kRows[] = {
    {msgid("node"), "node.name"},
    {msgid("version"), "node.version"},
    {msgid("role"), "node.role", Row::Kind::kWord},
    {msgid("term"), "node.term"},
    {msgid("production"), "mirror.production.address"},
    {msgid("work goes on at"), "patroni.seat.address"},
    {msgid("Patroni's leader"), "patroni.cluster.leader"},
    {msgid("Patroni does not answer"), "patroni.cluster.error", Row::Kind::kText},
    {msgid("starts"), "node.start_count"},
    {msgid("mode"), "cluster.mode"},
    {msgid("workstations"), "cluster.workstations"},
    {msgid("command-line tools"), "cluster.tools"},
    {msgid("work locks"), "cluster.locks"},
    {msgid("database"), "database.state", Row::Kind::kWord},
    {msgid("database connection"), "database.shown"},
    {msgid("feed"), "feed.state", Row::Kind::kWord},
    {msgid("feed reason"), "feed.reason", Row::Kind::kText},
    {msgid("alarm"), "feed.alarm", Row::Kind::kText},
    {msgid("cursor"), "feed.cursor"},
    {msgid("feed lag (bytes)"), "feed.lag_bytes"},
    {msgid("changes captured"), "feed.changes"},
    {msgid("history"), "history.state", Row::Kind::kWord},
    {msgid("history reason"), "history.reason", Row::Kind::kText},
    {msgid("history behind (changes)"), "history.behind"},
};

/// Tables that are wanted and can't be captured, each with the reason.
void add_excluded(const Globals& globals, const json::value& root, std::vector<std::pair<std::string, std::string>>& fields) {
  const auto* feed = root.as_object().if_contains("feed");
  const auto* excluded = feed && feed->is_object() ? feed->as_object().if_contains("excluded") : nullptr;
  if (!excluded || !excluded->is_array()) return;
  for (const auto& table : excluded->as_array()) {
    fields.emplace_back(translate(globals.language, "not captured"),
                        fmt::format("{}: {}", at(table, "table"), retold(globals.language, at(table, "reason"))));
  }
}

/// The node's own words, and what this machine's installation says of its nights.
int print_status_json(const Globals& globals, const std::string& text) {
  boost::system::error_code error;
  auto root = json::parse(text, error);
  const auto nights = nights_ahead(globals);
  // A node that waits on a Patroni cluster makes none.
  if (!error && root.is_object() && at(root, "node.role") != "standby" && nights && *nights) {
    auto backup = night_json((*nights)->outlook);
    put_turn(backup, (*nights)->turn);
    root.as_object()["backup"] = std::move(backup);
  }
  fmt::print("{}\n", error ? text : json::serialize(root));
  return 0;
}

void add_nights(const Globals& globals, std::vector<std::pair<std::string, std::string>>& fields) {
  const auto nights = nights_ahead(globals);
  if (!nights) return;
  if (!*nights) {
    fields.emplace_back(translate(globals.language, "backup"), message_in(globals.language, nights->error()));
    return;
  }
  for (auto& field : night_fields(globals, (*nights)->outlook)) fields.push_back(std::move(field));
  // An office without any backup is told that, and nothing of who makes none.
  const bool none = !(*nights)->outlook.configured && (*nights)->turn.turn != backup::Turn::kOthers;
  if (const auto& why = (*nights)->turn.why; !why.msgid.empty() && !none) fields.emplace_back(translate(globals.language, "who makes the backups"), said(globals.language, why));
}

/// A machine of a pair that is not production now: whichever of the two it was when it was set up.
bool follows_now(const Globals& globals, const std::filesystem::path& directory) {
  std::error_code ignored;
  if (!std::filesystem::exists(directory / "agent" / "pair", ignored)) return false;
  const auto state = mirror_state(globals);
  return state && at(*state, "role") != "production";
}

/// A mirror takes no sessions, nor does a node that waits on a Patroni cluster: there, and on what was one, it is read over HTTP.
std::expected<std::string, int> status_text(const Globals& globals) {
  const auto directory = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  std::error_code ignored;
  const bool was_mirror = std::filesystem::exists(directory / "config" / "mirror.toml", ignored);
  if (globals.server.empty() && (was_mirror || follows_now(globals, directory) || on_patroni(globals))) {
    auto answer = rest_call(globals, "GET", "/api/status");
    if (!answer) return std::unexpected(report(globals, answer.error()));
    return std::move(*answer);
  }
  auto connected = connect_quietly(globals);
  if (!connected.client) return std::unexpected(connected.exit_code);
  auto text = connected.client->status_json();
  if (!text) return std::unexpected(report(globals, text.error()));
  return std::move(*text);
}

int status(const Globals& globals) {
  const auto text = status_text(globals);
  if (!text) return text.error();
  if (globals.json) return print_status_json(globals, *text);
  boost::system::error_code error;
  const auto root = json::parse(*text, error);
  if (error) return report(globals, make_error(ErrorCode::kBadMessage, phrase("read the status: {}", error.message())));
  if (!root.is_object()) return report(globals, make_error(ErrorCode::kBadMessage, phrase("read the node's answer: it is no JSON object")));
  std::vector<std::pair<std::string, std::string>> fields;
  const bool mirror = at(root, "node.role") == "mirror" || at(root, "node.role") == "standby";
  for (const Row& row : kRows) {
    auto value = at(root, row.path);
    if (value.empty() || (value == kAbsent && (mirror || std::string_view(row.path).starts_with("mirror.") || std::string_view(row.path).starts_with("patroni.")))) continue;
    if (row.path == std::string_view("database.shown")) value = shown_connection(globals, value);
    fields.emplace_back(translate(globals.language, row.label), shown(globals, row, value));
  }
  add_excluded(globals, root, fields);
  if (at(root, "node.role") != "standby") add_nights(globals, fields);
  print_fields(fields);
  for (const auto& line : lines_of(globals, attention(globals))) fmt::print("{}\n", line);
  return 0;
}

}  // namespace

void add_status(CLI::App& app, Globals& globals, const Runner& run) {
  auto* command = app.add_subcommand("status", std::string(translate(globals.language, "show how the node is")));
  command->callback([&globals, run] { run([&globals] { return status(globals); }); });
}

}  // namespace verbund::cli
