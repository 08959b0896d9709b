#include "api/api.h"

#include "base/messages.h"
#include "api/json.h"
#include "web/assets.h"

namespace verbund::api {
namespace {

constexpr std::string_view kSecurityPolicy =
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Matches "/a/*/b"; the last '*' takes the rest, so that record ids may hold '/'.
std::optional<std::vector<std::string>> match(std::string_view pattern, std::string_view path) {
  std::vector<std::string> arguments;
  while (!pattern.empty()) {
    const auto star = pattern.find('*');
    const auto literal = pattern.substr(0, star);
    if (!path.starts_with(literal)) return std::nullopt;
    path.remove_prefix(literal.size());
    if (star == std::string_view::npos) return path.empty() ? std::optional(arguments) : std::nullopt;
    pattern.remove_prefix(star + 1);
    const auto end = pattern.empty() ? path.size() : path.find('/');
    const auto argument = path.substr(0, end);
    if (argument.empty()) return std::nullopt;
    arguments.emplace_back(argument);
    path.remove_prefix(argument.size());
  }
  return path.empty() ? std::optional(arguments) : std::nullopt;
}

net::HttpResponse asset_response(const net::HttpRequest& request) {
  const auto* asset = web::find_asset(request.path);
  if (!asset) return error_response(language_of(request), make_error(ErrorCode::kNotFound, phrase("get {}: no such page", request.path)));
  net::HttpResponse response;
  response.content_type = std::string(asset->content_type);
  response.headers = {{"ETag", std::string(asset->etag)},
                      {"Cache-Control", std::string(asset->cache_control)},
                      {"Vary", "Accept-Encoding"},
                      {"Content-Security-Policy", std::string(kSecurityPolicy)},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"}};
  if (const auto sent = request.headers.find("if-none-match"); sent != request.headers.end() && sent->second == asset->etag) {
    response.status = 304;
    return response;
  }
  const auto accepted = request.headers.find("accept-encoding");
  const bool packed = asset->gzip && accepted != request.headers.end() && accepted->second.find("gzip") != std::string::npos;
  if (packed) response.headers.emplace_back("Content-Encoding", "gzip");
  const auto body = packed ? asset->body : asset->plain;
  response.body.assign(body.begin(), body.end());
  return response;
}

bool changes_something(const std::string& method) { return method != "GET" && method != "HEAD"; }

std::string bearer_token(const net::HttpRequest& request) {
  const auto header = request.headers.find("authorization");
  constexpr std::string_view kScheme = "Bearer ";
  return header != request.headers.end() && header->second.starts_with(kScheme) ? header->second.substr(kScheme.size()) : "";
}

}  // namespace

net::HttpResponse json_response(std::string body, int status) {
  net::HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  response.headers = {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}};
  return response;
}

Language language_of(const net::HttpRequest& request) {
  const auto header = request.headers.find("accept-language");
  if (header == request.headers.end()) return Language::kEnglish;
  std::string_view rest = header->second;
  while (!rest.empty()) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t,"), rest.size()));
    const auto tag = rest.substr(0, rest.find_first_of(",;- \t"));
    if (tag == "de" || tag == "DE") return Language::kGerman;
    if (tag == "en" || tag == "EN") return Language::kEnglish;
    rest.remove_prefix(std::min(rest.find(','), rest.size()));
  }
  return Language::kEnglish;
}

net::HttpResponse error_response(Language language, const Error& error, std::optional<milliseconds> retry_after) {
  boost::json::object body{{"code", wire_name(error.code)}, {"message", message_in(language, error)}};
  if (!error.hint.empty()) body["hint"] = hint_in(language, error);
  if (retry_after) body["retry_after_ms"] = retry_after->count();
  auto response = json_response(boost::json::serialize(boost::json::object{{"error", body}}), http_status(error.code));
  if (retry_after) response.headers.emplace_back("Retry-After", std::to_string((retry_after->count() + 999) / 1000));
  return response;
}

Api::Api(Surroundings surroundings) : surroundings_(std::move(surroundings)) {
  add_login_routes(routes_, surroundings_);
  add_record_routes(routes_, surroundings_);
  add_user_routes(routes_, surroundings_);
  add_feed_routes(routes_, surroundings_);
  add_audit_routes(routes_, surroundings_);
  add_history_routes(routes_, surroundings_);
  add_guard_routes(routes_, surroundings_);
  add_sync_routes(routes_, surroundings_);
  add_mirror_routes(routes_, surroundings_);
  add_database_routes(routes_, surroundings_);
  add_device_routes(routes_, surroundings_);
}

Api::~Api() = default;

void Api::on_request(std::shared_ptr<net::HttpExchange> exchange) {
  const auto& request = exchange->request();
  const auto& path = request.path;
  if (path == "/healthz") {
    const bool healthy = surroundings_.healthy();
    return exchange->reply(json_response(healthy ? R"({"healthy":true})" : R"({"healthy":false})", healthy ? 200 : 503));
  }
  if (path == "/metrics") {
    auto response = json_response(surroundings_.metrics_text());
    response.content_type = "text/plain; version=0.0.4";
    return exchange->reply(std::move(response));
  }
  if (path == "/ca.crt") {
    auto response = json_response(surroundings_.ca_pem);
    response.content_type = "application/x-x509-ca-cert";
    return exchange->reply(std::move(response));
  }
  bool known_path = false;
  for (const auto& route : routes_) {
    auto arguments = match(route.pattern, path);
    if (!arguments) continue;
    known_path = true;
    if (route.method == request.method) return answer(exchange, route, std::move(*arguments));
  }
  if (known_path) {
    return exchange->reply(error_response(language_of(request), make_error(ErrorCode::kUnknownOp, phrase("{} {}: not a method of this resource", request.method, path))));
  }
  if (path.starts_with("/api/") || request.method != "GET") {
    return exchange->reply(error_response(language_of(request), make_error(ErrorCode::kNotFound, phrase("{} {}: no such resource", request.method, path))));
  }
  exchange->reply(asset_response(request));
}

bool Api::accept_websocket(const net::HttpRequest& request) {
  if (request.path != "/ws") return false;
  // A browser names the page's origin: only pages of this node may join with the login cookie. Programs send none.
  const auto origin = request.headers.find("origin");
  const auto host = request.headers.find("host");
  if (origin == request.headers.end()) return true;
  const auto scheme = origin->second.find("://");
  return host != request.headers.end() && scheme != std::string::npos && origin->second.substr(scheme + 3) == host->second;
}

access::Attempt Api::authenticate(const net::HttpRequest& request) const {
  if (const auto token = bearer_token(request); !token.empty()) {
    return surroundings_.accounts.check_token(token, request.address);
  }
  const auto secret = request.cookie("verbund");
  if (secret.empty()) return {fail(ErrorCode::kUnauthenticated, phrase("read the login: none was sent"), phrase("log in first")), {}};
  if (changes_something(request.method) && !request.headers.contains("x-verbund")) {
    return {fail(ErrorCode::kForbidden, phrase("check the request: header X-Verbund is missing")), {}};
  }
  return surroundings_.accounts.check_login(secret, request.address);
}

void Api::answer(const std::shared_ptr<net::HttpExchange>& exchange, const Route& route,
                 std::vector<std::string> arguments) {
  auto& workers = route.workers != nullptr ? *route.workers : surroundings_.workers;
  auto submitted = workers.submit([this, exchange, &route, arguments = std::move(arguments), head = surroundings_.head()] {
    const auto& request = exchange->request();
    Call call{request, arguments, std::nullopt, request.cookie("verbund"), head, language_of(request)};
    const bool own_command = route.by_control && surroundings_.mirror.is_control_secret(bearer_token(request));
    if (route.right && !own_command) {
      auto attempt = authenticate(request);
      if (!attempt.account) return exchange->reply(error_response(language_of(request), attempt.account.error(), attempt.retry_after));
      call.account = *attempt.account;
      if (!access::has_right(call.account->role, *route.right)) {
        return exchange->reply(error_response(language_of(request),
            make_error(ErrorCode::kForbidden, phrase("{} {}: role {} lacks the right", request.method, request.path, to_wire(call.account->role)))));
      }
    }
    exchange->reply(route.resource(call));
  });
  if (!submitted) exchange->reply(error_response(language_of(exchange->request()), submitted.error(), milliseconds{1000}));
}

}  // namespace verbund::api
