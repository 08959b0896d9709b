/// GET /api/feed/tables; POST /api/feed/continue, /api/feed/reconcile, /api/feed/hold, /api/feed/release
#include "feed/feed.h"

#include "access/audit.h"
#include "api/api.h"
#include "api/json.h"

namespace verbund::api {
namespace {

namespace json = boost::json;

std::string_view to_wire(feed::TableState state) {
  switch (state) {
    case feed::TableState::kCaptured: return "captured";
    case feed::TableState::kPaused: return "paused";
    case feed::TableState::kExcluded: return "excluded";
  }
  return "excluded";
}

net::HttpResponse tables(const Surroundings& surroundings, const Call& call) {
  auto known = surroundings.feed.tables();
  if (!known) return error_response(call.language, known.error());
  json::array rows;
  for (const auto& table : *known) {
    json::array types;
    for (const auto& type : table.record_types) types.emplace_back(type);
    rows.push_back(json::object{{"schema", table.schema}, {"table", table.table}, {"state", to_wire(table.state)},
                                {"reason", table.reason}, {"record_types", types}});
  }
  return json_response(json::serialize(json::object{{"tables", rows}}));
}

/// The entry is written first, so that nothing changes without one.
Status audit(const Surroundings& surroundings, const Call& call, const char* action, const std::string& object) {
  return access::record_audit(surroundings.mid_tier, surroundings.clock,
                              {0, surroundings.clock.wall(), call.account->user, action, object, ""});
}

net::HttpResponse continue_table(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto schema = string_member(*body, "schema");
  const auto table = string_member(*body, "table");
  for (const auto* field : {&schema, &table}) {
    if (!*field) return error_response(call.language, field->error());
  }
  if (auto written = audit(surroundings, call, "feed.continue", *schema + "." + *table); !written) return error_response(call.language, written.error());
  auto rows = surroundings.feed.continue_table(*schema, *table);
  if (!rows) return error_response(call.language, rows.error());
  return json_response(json::serialize(json::object{{"rows", std::to_string(*rows)}}));
}

net::HttpResponse reconcile(const Surroundings& surroundings, const Call& call) {
  if (auto written = audit(surroundings, call, "feed.reconcile", ""); !written) return error_response(call.language, written.error());
  auto done = surroundings.feed.reconcile();
  if (!done) return error_response(call.language, done.error());
  return json_response(json::serialize(json::object{{"tables", std::to_string(done->tables)},
                                                    {"rows_compared", std::to_string(done->rows_compared)},
                                                    {"inserted", std::to_string(done->inserted)},
                                                    {"updated", std::to_string(done->updated)},
                                                    {"deleted", std::to_string(done->deleted)},
                                                    {"took_ms", done->took.count()}}));
}

/// A copy of the databases is about to be made: see Feed::hold. Bounded on both sides, so that a vanished caller holds nobody up.
net::HttpResponse hold(const Surroundings& surroundings, const Call& call) {
  constexpr std::uint64_t kMaxWait = 120, kMaxSpan = 60;
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto wait = number_member(*body, "wait_seconds", 1, kMaxWait);
  const auto span = number_member(*body, "hold_seconds", 1, kMaxSpan);
  for (const auto* field : {&wait, &span}) {
    if (!*field) return error_response(call.language, field->error());
  }
  const auto deadline = Deadline::in(surroundings.clock, seconds{*wait});
  auto lsn = surroundings.feed.hold(deadline, seconds{*span});
  if (!lsn) return error_response(call.language, lsn.error());
  if (auto caught_up = surroundings.history_caught_up(deadline); !caught_up) {
    surroundings.feed.release();
    return error_response(call.language, caught_up.error());
  }
  return json_response(json::serialize(json::object{{"lsn", to_string(*lsn)}}));
}

net::HttpResponse release(const Surroundings& surroundings) {
  return json_response(json::serialize(json::object{{"held", surroundings.feed.release()}}));
}

}  // namespace

void add_feed_routes(std::vector<Route>& routes, const Surroundings& surroundings) {
  using access::Right;
  routes.push_back({"GET", "/api/feed/tables", Right::kReadRecords, [&](const Call& call) { return tables(surroundings, call); }});
  routes.push_back({"POST", "/api/feed/continue", Right::kManageFeed, [&](const Call& call) { return continue_table(surroundings, call); }});
  routes.push_back({"POST", "/api/feed/reconcile", Right::kManageFeed, [&](const Call& call) { return reconcile(surroundings, call); }});
  routes.push_back({"POST", "/api/feed/hold", Right::kManageFeed, [&](const Call& call) { return hold(surroundings, call); }});
  routes.push_back({"POST", "/api/feed/release", Right::kManageFeed, [&](const Call&) { return release(surroundings); }});
}

}  // namespace verbund::api
