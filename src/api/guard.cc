/// GET /api/guard; PUT, DELETE /api/guard/TYPE; GET /api/guard-warnings
#include "access/audit.h"
#include "api/api.h"
#include "api/json.h"
#include "base/messages.h"

namespace verbund::api {
namespace {

namespace json = boost::json;

/// The entry is written first, so that nothing changes without one.
template <typename Change>
net::HttpResponse audited(const Surroundings& surroundings, const Call& call, const std::string& action, const std::string& detail,
                          Change change) {
  const access::AuditEntry entry{0, surroundings.clock.wall(), call.account->user, action, call.arguments[0], detail};
  if (auto written = access::record_audit(surroundings.mid_tier, surroundings.clock, entry); !written) {
    return error_response(call.language, written.error());
  }
  const Status done = change();
  return done ? json_response("{}") : error_response(call.language, done.error());
}

json::array list_of(const std::vector<std::string>& texts) { return json::array(texts.begin(), texts.end()); }

net::HttpResponse state(const Surroundings& surroundings, const Call& call) {
  auto types = surroundings.guard.state();
  if (!types) return error_response(call.language, types.error());
  json::array rows;
  for (const auto& type : *types) {
    rows.push_back(json::object{{"type", type.type}, {"mode", guard::to_wire(type.mode)}, {"since", to_iso8601(type.since)},
                                {"locks", type.locks}, {"tables", list_of(type.tables)}, {"missing", list_of(type.missing)}});
  }
  return json_response(json::serialize(json::object{{"types", rows}}));
}

net::HttpResponse warnings(const Surroundings& surroundings, const Call& call) {
  auto counts = surroundings.guard.warnings();
  if (!counts) return error_response(call.language, counts.error());
  json::array rows;
  for (const auto& count : *counts) {
    rows.push_back(json::object{{"type", count.type}, {"table", count.table}, {"operation", count.operation},
                                {"application", count.application}, {"user", count.user}, {"transactions", count.transactions},
                                {"first", to_iso8601(count.first)}, {"last", to_iso8601(count.last)}});
  }
  return json_response(json::serialize(json::object{{"warnings", rows}}));
}

net::HttpResponse enable(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto word = string_member(*body, "mode");
  if (!word) return error_response(call.language, word.error());
  const auto mode = guard::mode_from_wire(*word);
  if (!mode) return error_response(call.language, mode.error());
  if (*mode == guard::Mode::kOff) {
    return error_response(call.language, make_error(ErrorCode::kUsage, phrase("guard {}: mode off is DELETE", call.arguments[0])));
  }
  return audited(surroundings, call, "guard.enable", *word, [&] { return surroundings.guard.enable(call.arguments[0], *mode); });
}

net::HttpResponse disable(const Surroundings& surroundings, const Call& call) {
  return audited(surroundings, call, "guard.disable", "", [&] { return surroundings.guard.disable(call.arguments[0]); });
}

}  // namespace

void add_guard_routes(std::vector<Route>& routes, const Surroundings& surroundings) {
  constexpr auto kRight = access::Right::kManageGuard;
  routes.push_back({"GET", "/api/guard", kRight, [&](const Call& call) { return state(surroundings, call); }});
  routes.push_back({"GET", "/api/guard-warnings", kRight, [&](const Call& call) { return warnings(surroundings, call); }});
  routes.push_back({"PUT", "/api/guard/*", kRight, [&](const Call& call) { return enable(surroundings, call); }});
  routes.push_back({"DELETE", "/api/guard/*", kRight, [&](const Call& call) { return disable(surroundings, call); }});
}

}  // namespace verbund::api
