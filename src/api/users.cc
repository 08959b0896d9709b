/// GET, POST /api/users; PUT /api/users/USER/password, …/role, …/enabled; DELETE /api/users/USER; POST, DELETE
/// /api/users/USER/tokens
#include "access/audit.h"
#include "api/api.h"
#include "api/json.h"
#include "base/messages.h"

namespace verbund::api {
namespace {

namespace json = boost::json;

/// An audited change of `object`: the entry is written first, so that nothing changes without one.
template <typename Change>
net::HttpResponse audited(const Surroundings& surroundings, const Call& call, const std::string& action,
                          const std::string& object, const std::string& detail, Change change) {
  const access::AuditEntry entry{0, surroundings.clock.wall(), call.account->user, action, object, detail};
  if (auto written = access::record_audit(surroundings.mid_tier, surroundings.clock, entry); !written) {
    return error_response(call.language, written.error());
  }
  return change();
}

net::HttpResponse done(const Call& call, const Status& status) { return status ? json_response("{}") : error_response(call.language, status.error()); }

net::HttpResponse list_users(const Surroundings& surroundings, const Call& call) {
  auto accounts = surroundings.accounts.list();
  if (!accounts) return error_response(call.language, accounts.error());
  json::array users;
  for (const auto& account : *accounts) {
    users.push_back(json::object{
        {"user", account.user},
        {"role", to_wire(account.role)},
        {"enabled", account.enabled},
        {"created", to_iso8601(account.created)},
        {"last_login", account.last_login ? json::value(to_iso8601(*account.last_login)) : json::value(nullptr)}});
  }
  return json_response(json::serialize(json::object{{"users", users}}));
}

net::HttpResponse add_user(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto user = string_member(*body, "user");
  const auto password = string_member(*body, "password");
  const auto role_name = string_member(*body, "role");
  for (const auto* field : {&user, &password, &role_name}) {
    if (!*field) return error_response(call.language, field->error());
  }
  const auto role = access::role_from_wire(*role_name);
  if (!role) return error_response(call.language, role.error());
  return audited(surroundings, call, "user.add", *user, *role_name,
                 [&] { return done(call, surroundings.accounts.add(*user, *password, *role)); });
}

net::HttpResponse set_password(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto password = string_member(*body, "password");
  if (!password) return error_response(call.language, password.error());
  return audited(surroundings, call, "user.passwd", call.arguments[0], "",
                 [&] { return done(call, surroundings.accounts.set_password(call.arguments[0], *password)); });
}

net::HttpResponse set_role(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto name = string_member(*body, "role");
  if (!name) return error_response(call.language, name.error());
  const auto role = access::role_from_wire(*name);
  if (!role) return error_response(call.language, role.error());
  return audited(surroundings, call, "user.role", call.arguments[0], *name,
                 [&] { return done(call, surroundings.accounts.set_role(call.arguments[0], *role)); });
}

/// The account's sessions end at once with it.
net::HttpResponse set_enabled(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto enabled = bool_member(*body, "enabled");
  if (!enabled) return error_response(call.language, enabled.error());
  const auto& user = call.arguments[0];
  return audited(surroundings, call, *enabled ? "user.enable" : "user.disable", user, "", [&] {
    const auto set = *enabled ? surroundings.accounts.enable(user) : surroundings.accounts.disable(user);
    if (set && !*enabled) surroundings.end_sessions_of(user);
    return done(call, set);
  });
}

net::HttpResponse remove_user(const Surroundings& surroundings, const Call& call) {
  const auto& user = call.arguments[0];
  return audited(surroundings, call, "user.remove", user, "", [&] {
    const auto removed = surroundings.accounts.remove(user);
    if (removed) surroundings.end_sessions_of(user);
    return done(call, removed);
  });
}

net::HttpResponse revoke_token(const Surroundings& surroundings, const Call& call) {
  const auto label = call.request.query.find("label");
  if (label == call.request.query.end()) {
    return error_response(call.language, make_error(ErrorCode::kBadMessage, phrase("revoke a token: the query has no 'label'")));
  }
  return audited(surroundings, call, "user.token.revoke", call.arguments[0], label->second,
                 [&] { return done(call, surroundings.accounts.revoke_token(call.arguments[0], label->second)); });
}

net::HttpResponse create_token(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto label = string_member(*body, "label");
  if (!label) return error_response(call.language, label.error());
  return audited(surroundings, call, "user.token", call.arguments[0], *label, [&] {
    auto token = surroundings.accounts.create_token(call.arguments[0], *label);
    return token ? json_response(json::serialize(json::object{{"token", *token}})) : error_response(call.language, token.error());
  });
}

}  // namespace

void add_user_routes(std::vector<Route>& routes, const Surroundings& surroundings) {
  constexpr auto kRight = access::Right::kManageUsers;
  routes.push_back({"GET", "/api/users", kRight, [&](const Call& call) { return list_users(surroundings, call); }});
  routes.push_back({"POST", "/api/users", kRight, [&](const Call& call) { return add_user(surroundings, call); }});
  routes.push_back({"PUT", "/api/users/*/password", kRight, [&](const Call& call) { return set_password(surroundings, call); }});
  routes.push_back({"PUT", "/api/users/*/role", kRight, [&](const Call& call) { return set_role(surroundings, call); }});
  routes.push_back({"POST", "/api/users/*/tokens", kRight, [&](const Call& call) { return create_token(surroundings, call); }});
  routes.push_back({"PUT", "/api/users/*/enabled", kRight, [&](const Call& call) { return set_enabled(surroundings, call); }});
  // Before the account's own: its '*' takes the rest of the path.
  routes.push_back({"DELETE", "/api/users/*/tokens", kRight, [&](const Call& call) { return revoke_token(surroundings, call); }});
  routes.push_back({"DELETE", "/api/users/*", kRight, [&](const Call& call) { return remove_user(surroundings, call); }});
}

}  // namespace verbund::api
