/// POST /api/login, POST /api/logout, GET /api/session, GET /api/status
#include <future>

#include "api/api.h"
#include "api/json.h"
#include "base/messages.h"

namespace verbund::api {
namespace {

namespace json = boost::json;

std::string cookie(const net::HttpRequest& request, const std::string& secret, bool expire) {
  return fmt::format("verbund={}; Path=/; HttpOnly; SameSite=Strict{}{}", secret, request.encrypted ? "; Secure" : "",
                     expire ? "; Max-Age=0" : "");
}

std::string account_json(const access::Account& account) {
  return json::serialize(json::object{{"user", account.user}, {"role", to_wire(account.role)}});
}

net::HttpResponse log_in(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto user = string_member(*body, "user");
  if (!user) return error_response(call.language, user.error());
  const auto password = string_member(*body, "password");
  if (!password) return error_response(call.language, password.error());
  auto attempt = surroundings.accounts.check_password(*user, *password, call.request.address);
  if (!attempt.account) return error_response(call.language, attempt.account.error(), attempt.retry_after);
  auto secret = surroundings.accounts.open_login(*attempt.account, call.request.address);
  if (!secret) return error_response(call.language, secret.error());
  auto response = json_response(account_json(*attempt.account));
  response.headers.emplace_back("Set-Cookie", cookie(call.request, *secret, false));
  return response;
}

net::HttpResponse log_out(const Surroundings& surroundings, const Call& call) {
  if (!call.login_secret.empty()) {
    if (auto closed = surroundings.accounts.close_login(call.login_secret); !closed) return error_response(call.language, closed.error());
  }
  auto response = json_response("{}");
  response.headers.emplace_back("Set-Cookie", cookie(call.request, "", true));
  return response;
}

/// Status is made on the loop; a worker waits for it, bounded.
net::HttpResponse status(const Surroundings& surroundings, const Call& call) {
  auto promise = std::make_shared<std::promise<std::string>>();
  auto future = promise->get_future();
  surroundings.loop.post([promise, make = surroundings.status_json] { promise->set_value(make()); });
  if (future.wait_for(seconds{5}) != std::future_status::ready) {
    return error_response(call.language, make_error(ErrorCode::kUnavailable, phrase("read the status: the event loop does not answer")));
  }
  return json_response(future.get());
}

}  // namespace

void add_login_routes(std::vector<Route>& routes, const Surroundings& surroundings) {
  using access::Right;
  routes.push_back({"POST", "/api/login", {}, [&](const Call& call) { return log_in(surroundings, call); }});
  routes.push_back({"POST", "/api/logout", Right::kReadRecords, [&](const Call& call) { return log_out(surroundings, call); }});
  routes.push_back({"GET", "/api/session", Right::kReadRecords,
                    [](const Call& call) { return json_response(account_json(*call.account)); }});
  routes.push_back({"GET", "/api/status", Right::kReadRecords, [&](const Call& call) { return status(surroundings, call); }});
}

}  // namespace verbund::api
