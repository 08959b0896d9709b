#include "node/patroni/standby_port.h"

#include <boost/json.hpp>

#include "api/api.h"
#include "node/mirror/report.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

Error elsewhere(const SeatView& seat) {
  if (seat.holder_address.empty()) return make_error(ErrorCode::kUnavailable, phrase("no node holds the lock authority now"), phrase("One of them takes over within seconds; try again."));
  return make_error(ErrorCode::kUnavailable, phrase("this node waits: work goes on at {}", seat.holder_address), phrase("Connect to {}.", seat.holder_address));
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string bearer(const net::HttpRequest& request) {
  const auto header = request.headers.find("authorization");
  constexpr std::string_view kScheme = "Bearer ";
  return header != request.headers.end() && header->second.starts_with(kScheme) ? header->second.substr(kScheme.size()) : "";
}

}  // namespace

void StandbyPort::on_message(net::Peer& peer, std::string_view message) {
  json::value id = nullptr;
  auto language = Language::kEnglish;
  if (const auto object = object_of(message)) {
    if (const auto* given = object->if_contains("id"); given && (given->is_string() || given->is_number())) id = *given;
    if (const auto* wanted = object->if_contains("lang"); wanted && *wanted == "de") language = Language::kGerman;
  }
  const auto seat = at_.facts().seat;
  const auto error = elsewhere(seat);
  json::array servers;
  if (!seat.holder_address.empty()) servers.emplace_back(seat.holder_address);
  peer.send(json::serialize(json::object{{"re", id}, {"ok", false},
                                         {"error", json::object{{"code", wire_name(error.code)}, {"message", message_in(language, error)},
                                                                {"hint", hint_in(language, error)}, {"servers", std::move(servers)}}}}));
  peer.close();
}

net::HttpResponse StandbyPort::page(Language language) const {
  const auto facts = at_.facts();
  const auto error = elsewhere(facts.seat);
  const auto title = escaped(translated(language, msgid("Node {} waits"), facts.name));
  const auto address = escaped(facts.seat.holder_address);
  net::HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.headers = {{"Cache-Control", "no-store"}, {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
                      {"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "no-referrer"}};
  response.body = fmt::format("<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{}</title></head>\n"
                              "<body><h1>{}</h1><p>{}</p>{}</body></html>\n",
                              language == Language::kGerman ? "de" : "en", title, title, escaped(message_in(language, error)),
                              address.empty() ? "" : fmt::format("<p><a href=\"https://{}/\">https://{}/</a></p>", address, address));
  return response;
}

void StandbyPort::answer(const std::shared_ptr<net::HttpExchange>& exchange) {
  auto submitted = at_.workers.submit([this, exchange] {
    const auto& request = exchange->request();
    const auto language = api::language_of(request);
    auto attempt = at_.accounts.check_token(bearer(request), request.address);
    if (!attempt.account) return exchange->reply(api::error_response(language, attempt.account.error(), attempt.retry_after));
    if (!access::has_right(attempt.account->role, access::Right::kReadRecords)) {
      return exchange->reply(api::error_response(language, make_error(ErrorCode::kForbidden, phrase("{} {}: role {} lacks the right", request.method, request.path, access::to_wire(attempt.account->role)))));
    }
    const auto facts = at_.facts();
    exchange->reply(api::json_response(request.path == "/api/mirror" ? json::serialize(cluster_object(facts)) : waiting_status_json(facts)));
  });
  if (!submitted) exchange->reply(api::error_response(api::language_of(exchange->request()), submitted.error(), milliseconds{1000}));
}

void StandbyPort::on_request(std::shared_ptr<net::HttpExchange> exchange) {
  const auto& request = exchange->request();
  const auto& path = request.path;
  const bool reads = request.method == "GET";
  if (reads && path == "/healthz") {
    // For those who send workstations to whoever is healthy: this one takes none.
    return exchange->reply(api::json_response(R"({"healthy":false,"role":"standby"})", 503));
  }
  if (reads && path == "/metrics") {
    auto response = api::json_response(at_.metrics());
    response.content_type = "text/plain; version=0.0.4";
    return exchange->reply(std::move(response));
  }
  if (reads && path == "/ca.crt") {
    auto response = api::json_response(at_.ca_pem);
    response.content_type = "application/x-x509-ca-cert";
    return exchange->reply(std::move(response));
  }
  if (reads && (path == "/api/status" || path == "/api/mirror")) return answer(exchange);
  if (reads && (path == "/" || path == "/index.html")) return exchange->reply(page(api::language_of(request)));
  const auto seat = at_.facts().seat;
  auto response = api::error_response(api::language_of(request), elsewhere(seat), milliseconds{1000});
  if (!seat.holder_address.empty()) response.headers.emplace_back("X-Verbund-Production", seat.holder_address);
  exchange->reply(std::move(response));
}

}  // namespace verbund::node
