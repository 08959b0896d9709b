/// GET /api/types, GET /api/records/TYPE, GET /api/records/TYPE/ID
#include "api/api.h"
#include "api/json.h"
#include "base/messages.h"

namespace verbund::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kDefaultPage = 1000;
constexpr seconds kWait{10};

json::object cursor_json(const Cursor& cursor) {
  return {{"history", cursor.history.value}, {"csn", std::to_string(cursor.csn.value)}};
}

json::array rows_json(const std::vector<records::ListedRecord>& listed) {
  json::array rows;
  rows.reserve(listed.size());
  for (const auto& record : listed) {
    rows.push_back(json::object{{"key", to_string(record.key)}, {"label", record.label}, {"group", record.group}});
  }
  return rows;
}

std::string parameter(const Call& call, const std::string& name) {
  const auto found = call.request.query.find(name);
  return found == call.request.query.end() ? "" : found->second;
}

net::HttpResponse list_types(const Surroundings& surroundings) {
  json::array types;
  for (const auto& type : surroundings.types.all()) types.push_back(json::object{{"type", type.type}, {"label", type.label}});
  return json_response(json::serialize(json::object{{"types", types}}));
}

Result<std::vector<std::string>> ids_of(const std::string& keys, const std::string& type) {
  std::vector<std::string> ids;
  std::string_view rest = keys;
  while (!rest.empty()) {
    // Keys are separated by line feeds, since ids may hold any printable character.
    const auto end = std::min(rest.find('\n'), rest.size());
    auto key = parse_record_key(rest.substr(0, end));
    if (!key) return pass(key);
    if (key->type != type) return fail(ErrorCode::kBadKey, phrase("list records: '{}' is no {}", to_string(*key), type));
    ids.push_back(std::move(key->id));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (ids.size() > records::kMaxPage) return fail(ErrorCode::kTooManyKeys, phrase("list records: over {} keys", records::kMaxPage));
  return ids;
}

net::HttpResponse list_records(const Surroundings& surroundings, const Call& call) {
  const auto* type = surroundings.types.find(call.arguments[0]);
  if (!type) return error_response(call.language, make_error(ErrorCode::kNotFound, phrase("list records: there is no type '{}'", call.arguments[0])));
  auto connection = surroundings.source.acquire(Deadline::in(surroundings.clock, kWait));
  if (!connection) return error_response(call.language, connection.error());
  json::object body{{"cursor", cursor_json(call.head)}};
  if (const auto keys = parameter(call, "keys"); !keys.empty()) {
    auto ids = ids_of(keys, type->type);
    if (!ids) return error_response(call.language, ids.error());
    auto some = records::list_some(**connection, *type, *ids);
    if (!some) return error_response(call.language, some.error());
    body["records"] = rows_json(*some);
    body["next"] = nullptr;
    body["total"] = some->size();
    return json_response(json::serialize(body));
  }
  std::size_t limit = kDefaultPage;
  if (const auto text = parameter(call, "limit"); !text.empty()) {
    auto number = parse_u64(text);
    if (!number || *number == 0 || *number > records::kMaxPage) {
      return error_response(call.language, make_error(ErrorCode::kBadMessage, phrase("list records: limit '{}' is not in 1 … {}", text, records::kMaxPage)));
    }
    limit = *number;
  }
  const auto after = parameter(call, "after");
  auto page = records::list(**connection, *type, after.empty() ? std::nullopt : std::optional(after), limit, parameter(call, "q"));
  if (!page) return error_response(call.language, page.error());
  body["records"] = rows_json(page->records);
  body["next"] = page->next ? json::value(*page->next) : json::value(nullptr);
  body["total"] = page->total;
  return json_response(json::serialize(body));
}

net::HttpResponse read_record(const Surroundings& surroundings, const Call& call) {
  const auto* type = surroundings.types.find(call.arguments[0]);
  if (!type) return error_response(call.language, make_error(ErrorCode::kNotFound, phrase("read a record: there is no type '{}'", call.arguments[0])));
  auto connection = surroundings.source.acquire(Deadline::in(surroundings.clock, kWait));
  if (!connection) return error_response(call.language, connection.error());
  auto record = records::read(**connection, *type, {call.arguments[0], call.arguments[1]});
  if (!record) return error_response(call.language, record.error());
  json::array tables;
  for (const auto& table : record->tables) {
    json::array rows;
    for (const auto& row : table.rows) {
      json::array values;
      for (const auto& value : row) values.push_back(value ? json::value(*value) : json::value(nullptr));
      rows.push_back(std::move(values));
    }
    tables.push_back(json::object{{"name", table.name}, {"columns", json::value_from(table.columns)}, {"rows", rows}, {"more", table.more}});
  }
  return json_response(json::serialize(json::object{
      {"key", to_string(record->key)}, {"label", record->label}, {"tables", tables}, {"cursor", cursor_json(call.head)}}));
}

}  // namespace

void add_record_routes(std::vector<Route>& routes, const Surroundings& surroundings) {
  using access::Right;
  routes.push_back({"GET", "/api/types", Right::kReadRecords, [&](const Call&) { return list_types(surroundings); }});
  routes.push_back({"GET", "/api/records/*/*", Right::kReadRecords, [&](const Call& call) { return read_record(surroundings, call); }});
  routes.push_back({"GET", "/api/records/*", Right::kReadRecords, [&](const Call& call) { return list_records(surroundings, call); }});
}

}  // namespace verbund::api
