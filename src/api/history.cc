/// GET /api/history/TYPE/ID; GET, POST /api/erasures
#include "access/audit.h"
#include "api/api.h"
#include "api/json.h"
#include "base/messages.h"
#include "history/erasure.h"
#include "history/reading.h"

namespace verbund::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kDefaultPage = 200;
constexpr seconds kWait{10};

json::object values_json(const std::vector<history::NamedValue>& values) {
  json::object object;
  for (const auto& value : values) object[value.column] = value.value ? json::value(*value.value) : json::value(nullptr);
  return object;
}

std::string_view op_name(feed::RowOp op) {
  return op == feed::RowOp::kInsert ? "insert" : op == feed::RowOp::kDelete ? "delete" : "update";
}

json::object author_json(const history::Author& author) {
  using How = history::Author::How;
  if (author.how == How::kUnknown) return {{"how", "unknown"}};
  return {{"how", author.how == How::kLock ? "lock" : "message"},
          {"session", std::to_string(author.session.value)},
          {"workstation", author.workstation},
          {"user", author.user}};
}

json::object version_json(const history::StoredVersion& version) {
  json::object object{{"at", history::to_string(version.place)},
                      {"transaction", std::to_string(version.transaction.value)},
                      {"time", to_iso8601(version.committed)},
                      {"op", op_name(version.op)},
                      {"table", version.table},
                      {"row", version.row_key},
                      {"by", author_json(version.author)}};
  if (version.was_key) object["was"] = *version.was_key;
  if (version.merged) object["merged"] = true;
  if (version.erased) {
    object["erased"] = true;
    return object;
  }
  if (version.op != feed::RowOp::kInsert) object["before"] = values_json(version.before);
  if (version.op != feed::RowOp::kDelete) object["after"] = values_json(version.after);
  if (!version.unchanged.empty()) object["unchanged"] = json::value_from(version.unchanged);
  return object;
}

json::object erasure_json(const history::Erasure& erasure) {
  return {{"id", erasure.id}, {"key", erasure.record}, {"time", to_iso8601(erasure.at)}, {"by", erasure.by},
          {"reason", erasure.reason}, {"versions", erasure.versions}};
}

std::string parameter(const Call& call, const std::string& name) {
  const auto found = call.request.query.find(name);
  return found == call.request.query.end() ? "" : found->second;
}

Status audit(const Surroundings& surroundings, const Call& call, const std::string& action, const std::string& object, const std::string& detail) {
  return access::record_audit(surroundings.mid_tier, surroundings.clock,
                              {0, surroundings.clock.wall(), call.account->user, action, object, detail});
}

Result<history::HistoryPage> read_page(const Surroundings& surroundings, const Call& call, const RecordKey& key) {
  std::size_t limit = kDefaultPage;
  if (const auto text = parameter(call, "limit"); !text.empty()) {
    const auto number = parse_u64(text);
    if (!number || *number == 0 || *number > history::kMaxHistoryPage) {
      return fail(ErrorCode::kBadMessage, phrase("read the history: limit '{}' is not in 1 to {}", text, history::kMaxHistoryPage));
    }
    limit = *number;
  }
  std::optional<history::VersionPlace> after;
  if (const auto text = parameter(call, "after"); !text.empty()) {
    auto place = history::parse_version_place(text);
    if (!place) return pass(place);
    after = *place;
  }
  // Who looks at what a record once held is noted, once per reading and before anything is shown.
  if (!after) {
    if (auto noted = audit(surroundings, call, "history.read", to_string(key), ""); !noted) return pass(noted);
  }
  auto connection = surroundings.versions.acquire(Deadline::in(surroundings.clock, kWait));
  if (!connection) return pass(connection, "versions database");
  return history::read_history(**connection, key, after, limit);
}

net::HttpResponse read(const Surroundings& surroundings, const Call& call) {
  auto key = parse_record_key(call.arguments[0] + "/" + call.arguments[1]);
  if (!key) return error_response(call.language, key.error());
  auto page = read_page(surroundings, call, *key);
  if (!page) return error_response(call.language, page.error());
  json::array versions;
  for (const auto& version : page->versions) versions.push_back(version_json(version));
  json::object body{{"key", to_string(*key)}, {"versions", std::move(versions)},
                    {"next", page->next ? json::value(history::to_string(*page->next)) : json::value(nullptr)}};
  if (parameter(call, "after").empty()) {
    json::array notices;
    for (const auto& notice : page->notices) {
      notices.push_back(json::object{{"behind", history::to_string(notice.behind)}, {"time", to_iso8601(notice.at)},
                                     {"kind", notice.kind}, {"detail", notice.detail}});
    }
    body["notices"] = std::move(notices);
  }
  return json_response(json::serialize(body));
}

net::HttpResponse erase(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto key_text = string_member(*body, "key");
  const auto reason = string_member(*body, "reason");
  for (const auto* field : {&key_text, &reason}) {
    if (!*field) return error_response(call.language, field->error());
  }
  const auto key = parse_record_key(*key_text);
  if (!key) return error_response(call.language, key.error());
  if (auto noted = audit(surroundings, call, "history.erase", *key_text, reason->substr(0, history::kMaxReasonBytes)); !noted) {
    return error_response(call.language, noted.error());
  }
  auto erasure = surroundings.erasures.erase(*key, call.account->user, *reason);
  if (!erasure) return error_response(call.language, erasure.error());
  return json_response(json::serialize(json::object{{"erasure", erasure_json(*erasure)}}));
}

net::HttpResponse list(const Surroundings& surroundings, const Call& call) {
  auto erasures = surroundings.erasures.list();
  if (!erasures) return error_response(call.language, erasures.error());
  json::array rows;
  for (const auto& erasure : *erasures) rows.push_back(erasure_json(erasure));
  return json_response(json::serialize(json::object{{"erasures", std::move(rows)}}));
}

}  // namespace

void add_history_routes(std::vector<Route>& routes, const Surroundings& surroundings) {
  using access::Right;
  routes.push_back({"GET", "/api/history/*/*", Right::kReadHistory, [&](const Call& call) { return read(surroundings, call); }});
  routes.push_back({"GET", "/api/erasures", Right::kErase, [&](const Call& call) { return list(surroundings, call); }});
  routes.push_back({"POST", "/api/erasures", Right::kErase, [&](const Call& call) { return erase(surroundings, call); }});
}

}  // namespace verbund::api
