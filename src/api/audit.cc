/// GET /api/audit?limit=&actor=&action=
#include "access/audit.h"
#include "api/api.h"
#include "api/json.h"
#include "base/messages.h"

namespace verbund::api {
namespace {

namespace json = boost::json;

net::HttpResponse list(const Surroundings& surroundings, const Call& call) {
  const auto parameter = [&](const char* name) {
    const auto found = call.request.query.find(name);
    return found == call.request.query.end() ? std::string() : found->second;
  };
  std::size_t limit = 100;
  if (const auto text = parameter("limit"); !text.empty()) {
    const auto number = parse_u64(text);
    if (!number || *number == 0 || *number > 10'000) {
      return error_response(call.language, make_error(ErrorCode::kBadMessage, phrase("list the audit trail: limit '{}' is not in 1 … 10000", text)));
    }
    limit = *number;
  }
  auto entries = access::list_audit(surroundings.mid_tier, surroundings.clock, limit, parameter("actor"), parameter("action"));
  if (!entries) return error_response(call.language, entries.error());
  json::array rows;
  for (const auto& entry : *entries) {
    rows.push_back(json::object{{"number", std::to_string(entry.number)}, {"at", to_iso8601(entry.at)}, {"actor", entry.actor},
                                {"action", entry.action}, {"object", entry.object}, {"detail", entry.detail}});
  }
  return json_response(json::serialize(json::object{{"entries", rows}}));
}

}  // namespace

void add_audit_routes(std::vector<Route>& routes, const Surroundings& surroundings) {
  routes.push_back({"GET", "/api/audit", access::Right::kReadAudit, [&](const Call& call) { return list(surroundings, call); }});
}

}  // namespace verbund::api
