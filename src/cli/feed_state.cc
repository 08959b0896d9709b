/// verbund feed status | tables | continue TABLE | reconcile: the feed of a running node.
#include <boost/json.hpp>

#include "base/messages.h"
#include "cli/command.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

/// Comparing a large database takes its time; the node answers when it is done.
constexpr seconds kLongWork{24 * 3600};

Result<json::object> object_of(const Result<std::string>& text) {
  if (!text) return std::unexpected(text.error());
  boost::system::error_code error;
  auto value = json::parse(*text, error);
  if (error || !value.is_object()) return fail(ErrorCode::kBadMessage, phrase("read the node's answer: it is no JSON object"));
  return std::move(value.as_object());
}

std::string text_of(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (!value || value->is_null()) return {};
  return value->is_string() ? std::string(value->as_string()) : json::serialize(*value);
}

int status(const Globals& globals) {
  auto answer = object_of(rest_call(globals, "GET", "/api/status"));
  if (!answer) return report(globals, answer.error());
  const auto* feed = answer->if_contains("feed");
  if (!feed || !feed->is_object()) return report(globals, make_error(ErrorCode::kBadMessage, phrase("read the node's status: it has no feed")));
  if (globals.json) {
    fmt::print("{}\n", json::serialize(*feed));
    return 0;
  }
  struct Row {
    const char* label;
    const char* name;
  };
  static constexpr Row kRows[] = {{msgid("feed"), "state"},          {msgid("feed reason"), "reason"},
                                  {msgid("cursor"), "cursor"},       {msgid("log position"), "passed"},
                                  {msgid("feed lag (bytes)"), "lag_bytes"}, {msgid("log kept for it (bytes)"), "kept_bytes"},
                                  {msgid("alarm"), "alarm"}, {msgid("last message (ms ago)"), "last_message_age_ms"},
                                  {msgid("changes captured"), "changes"},  {msgid("transactions captured"), "transactions"}};
  std::vector<std::pair<std::string, std::string>> fields;
  for (const Row& row : kRows) {
    const auto value = text_of(feed->as_object(), row.name);
    const std::string_view name = row.name;
    const bool told = name == "reason" || name == "alarm";  // texts that the node keeps in English
    if (!value.empty()) {
      fields.emplace_back(translate(globals.language, row.label),
                          name == "state" ? shown_word(globals, value) : told ? retold(globals.language, value) : value);
    }
  }
  print_fields(fields);
  return 0;
}

int tables(const Globals& globals) {
  const auto body = rest_call(globals, "GET", "/api/feed/tables");
  auto answer = object_of(body);
  if (!answer) return report(globals, answer.error());
  if (globals.json) {
    fmt::print("{}\n", *body);
    return 0;
  }
  [[maybe_unused]] static constexpr const char* kStates[] = {msgid("captured"), msgid("paused"), msgid("excluded")};
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : answer->at("tables").as_array()) {
    const auto& table = entry.as_object();
    std::string types;
    for (const auto& type : table.at("record_types").as_array()) types += (types.empty() ? "" : ", ") + std::string(type.as_string());
    rows.push_back({text_of(table, "schema") + "." + text_of(table, "table"), text(text_of(table, "state").c_str()), types,
                    retold(globals.language, text_of(table, "reason"))});
  }
  print_table({text("TABLE"), text("STATE"), text("RECORDS"), text("REASON")}, rows);
  return 0;
}

/// "labor.probe", "probe" (schema public), "\"odd.name\"" as SQL quotes it.
Result<std::pair<std::string, std::string>> table_of(const std::string& name) {
  std::vector<std::string> parts(1);
  bool quoted = false;
  for (const char c : name) {
    if (c == '"') quoted = !quoted;
    else if (c == '.' && !quoted) parts.emplace_back();
    else parts.back() += c;
  }
  if (quoted || parts.size() > 2 || parts.back().empty()) {
    return fail(ErrorCode::kUsage, phrase("'{}' is not of the form SCHEMA.TABLE", name));
  }
  return parts.size() == 1 ? std::pair{std::string("public"), parts[0]} : std::pair{parts[0], parts[1]};
}

int continue_table(const Globals& globals, const std::string& name) {
  auto table = table_of(name);
  if (!table) return report(globals, table.error());
  const auto body = rest_call(globals, "POST", "/api/feed/continue",
                              json::serialize(json::object{{"schema", table->first}, {"table", table->second}}), {}, kLongWork);
  auto answer = object_of(body);
  if (!answer) return report(globals, answer.error());
  if (globals.json) fmt::print("{}\n", *body);
  else fmt::print("{}\n", translated(globals.language, "{} is captured again; {} rows differed", name, text_of(*answer, "rows")));
  return 0;
}

int reconcile(const Globals& globals) {
  const auto body = rest_call(globals, "POST", "/api/feed/reconcile", "{}", {}, kLongWork);
  auto answer = object_of(body);
  if (!answer) return report(globals, answer.error());
  if (globals.json) {
    fmt::print("{}\n", *body);
    return 0;
  }
  const auto number = [&](const char* field) { return text_of(*answer, field); };
  fmt::print("{}\n", translated(globals.language, "{} rows of {} tables compared in {} ms: {} inserted, {} updated, {} deleted",
                                number("rows_compared"), number("tables"), number("took_ms"), number("inserted"), number("updated"),
                                number("deleted")));
  return 0;
}

}  // namespace

void add_feed_state(CLI::App& feed, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  feed.add_subcommand("status", text("how far capture is"))->callback([&globals, run] { run([&globals] { return status(globals); }); });
  feed.add_subcommand("tables", text("which tables are captured, and why others are not"))->callback([&globals, run] {
    run([&globals] { return tables(globals); });
  });
  auto name = std::make_shared<std::string>();
  auto* going_on = feed.add_subcommand("continue", text("compare a paused table with the source and capture it again"));
  going_on->add_option("table", *name, text("SCHEMA.TABLE"))->required();
  going_on->callback([&globals, run, name] { run([&globals, name] { return continue_table(globals, *name); }); });
  feed.add_subcommand("reconcile", text("compare every captured row with the source and tell the differences"))->callback([&globals, run] {
    run([&globals] { return reconcile(globals); });
  });
}

}  // namespace verbund::cli
