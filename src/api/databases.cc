/// POST /api/databases/restored
#include "access/audit.h"
#include "api/api.h"
#include "api/json.h"

namespace verbund::api {
namespace {

namespace json = boost::json;

net::HttpResponse restored(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto database = string_member(*body, "database");
  if (!database) return error_response(call.language, database.error());
  if (*database != "source" && *database != "versions") {
    return error_response(call.language, make_error(ErrorCode::kBadMessage, phrase("field database: neither source nor versions")));
  }
  // It has happened already: the entry says so even when what follows fails.
  auto noted = access::record_audit(surroundings.mid_tier, surroundings.clock,
                                    {0, surroundings.clock.wall(), call.account->user, "database.restored", *database, ""});
  if (!noted) return error_response(call.language, noted.error());
  auto erased = surroundings.database_restored(*database == "source");
  if (!erased) return error_response(call.language, erased.error());
  return json_response(json::serialize(json::object{{"erased_again", std::to_string(*erased)}}));
}

}  // namespace

void add_database_routes(std::vector<Route>& routes, const Surroundings& surroundings) {
  routes.push_back({"POST", "/api/databases/restored", access::Right::kManageFeed, [&](const Call& call) { return restored(surroundings, call); }});
}

}  // namespace verbund::api
