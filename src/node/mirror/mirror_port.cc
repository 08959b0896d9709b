#include "node/mirror/mirror_port.h"

#include "api/api.h"
#include "base/messages.h"
#include "node/mirror/report.h"
#include "node/version.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

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

json::array folders_of(const FollowState& follow) {
  json::array folders;
  for (const auto& each : follow.folders) {
    json::array skipped;
    for (const auto& name : each.skipped_names) skipped.push_back(json::string(name));
    json::value age = nullptr;
    if (each.age) age = std::to_string(std::chrono::duration_cast<milliseconds>(*each.age).count());
    folders.push_back(json::object{{"id", each.id}, {"path", each.path}, {"entries", std::to_string(each.entries)}, {"behind_files", std::to_string(each.behind_files)},
                                   {"behind_bytes", std::to_string(each.behind_bytes)}, {"age_ms", age}, {"skipped", std::to_string(each.skipped)},
                                   {"skipped_names", skipped}, {"error", each.error}});
  }
  return folders;
}

json::object pair_object(const MirrorFacts& facts) {
  const auto& follow = facts.follow;
  const auto* peer = facts.pair.is_object() ? facts.pair.as_object().if_contains("peer") : nullptr;
  const bool known = peer != nullptr && peer->is_object();
  json::object production{{"address", known ? peer->as_object().at("address") : json::value("")}, {"name", known ? peer->as_object().at("name") : json::value("")}, {"version", follow.production_version},
                          {"error", follow.production_error}, {"position", nullptr}};
  if (follow.beat) production["position"] = to_string(follow.beat->position);
  json::object root{{"role", role_of(facts)}, {"name", facts.name}, {"version", kVersion}, {"term", facts.pair.is_object() ? facts.pair.as_object().at("term") : json::value("0")},
                    {"pair", facts.pair},
                    {"database_error", follow.database_error}, {"production", production}, {"behind", to_json(follow.behind)},
                    {"loss", to_json(follow.loss)}, {"slot", to_json(follow.slot)}, {"received", nullptr}, {"replayed", nullptr}, {"streaming", false}};
  root["log_error"] = follow.log_error;
  root["folders"] = folders_of(follow);
  root["folders_error"] = follow.folders_error;
  root["promote_ms"] = follow.to_promote ? json::value(std::to_string(follow.to_promote->count())) : json::value(nullptr);
  if (facts.watch != nullptr) facts.watch->show(root);
  if (follow.mode) root["follow"] = to_json(*follow.mode);
  if (follow.received) {
    for (const auto& [name, value] : to_json(*follow.received)) root[name] = value;
  }
  if (!follow.database_error.empty()) root["streaming"] = false;
  return root;
}

}  // namespace

std::string role_of(const MirrorFacts& facts) {
  if (!facts.pair.is_object()) return "waiting";
  const auto& stage = facts.pair.as_object().at("stage").as_string();
  if (stage == "following" || stage == "promoting") return "mirror";
  if (stage == "fenced" || stage == "rejoining") return std::string(stage);
  return "waiting";
}

std::string mirror_status_json(const MirrorFacts& facts) { return json::serialize(pair_object(facts)); }

std::string mirror_node_status_json(const MirrorFacts& facts) {
  return json::serialize(json::object{
      {"node", json::object{{"name", facts.name}, {"version", kVersion}, {"role", role_of(facts)}, {"term", facts.pair.is_object() ? facts.pair.as_object().at("term") : json::value("0")}}},
      {"database", json::object{{"state", facts.database_up ? "up" : "down"}}},
      {"mirror", pair_object(facts)}});
}

std::string MirrorPort::production() const {
  const auto other = at_.seat.peer();
  return other ? address_of(*other) : std::string();
}

Error MirrorPort::elsewhere() const {
  const auto other = production();
  if (at_.seat.follows()) {
    return make_error(ErrorCode::kUnavailable, phrase("this machine is the mirror: work goes on at {}", other), phrase("Connect to {}.", other));
  }
  return make_error(ErrorCode::kUnavailable, phrase("this machine is not production now"), phrase("Connect to {}; here `verbund mirror status` says why.", other));
}

void MirrorPort::on_message(net::Peer& peer, std::string_view message) {
  json::value id = nullptr;
  auto language = Language::kEnglish;
  if (const auto object = object_of(message)) {
    if (const auto* given = object->if_contains("id"); given && (given->is_string() || given->is_number())) id = *given;
    if (const auto* wanted = object->if_contains("lang"); wanted && *wanted == "de") language = Language::kGerman;
    if (const auto shown = text_of(*object, "term_proof")) at_.seat.term_shown(*shown);
  }
  const auto error = elsewhere();
  json::object reply{{"re", id}, {"ok", false},
                     {"error", json::object{{"code", wire_name(error.code)}, {"message", message_in(language, error)}, {"hint", hint_in(language, error)},
                                            {"servers", json::array{production()}}}}};
  peer.send(json::serialize(reply));
  peer.close();
}

net::HttpResponse MirrorPort::page(Language language) const {
  const auto facts = at_.facts();
  const auto say = [&](const char* msgid, const auto&... args) { return escaped(translated(language, msgid, args...)); };
  const auto& follow = facts.follow;
  std::string state = say(msgid("Production has not been heard since this node was started."));
  if (follow.behind) {
    const auto in_seconds = [](nanoseconds span) { return std::chrono::duration_cast<seconds>(span).count(); };
    state = say(msgid("Behind production by {} bytes and {} s; production was heard {} s ago."), follow.behind->bytes, in_seconds(follow.behind->span), in_seconds(follow.behind->age));
  }
  net::HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.headers = {{"Cache-Control", "no-store"}, {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
                      {"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "no-referrer"}};
  response.body = fmt::format("<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{}</title></head>\n"
                              "<body><h1>{}</h1><p>{}</p><p>{} <a href=\"https://{}/\">https://{}/</a></p></body></html>\n",
                              language == Language::kGerman ? "de" : "en", say(msgid("Mirror server {}"), facts.name), say(msgid("Mirror server {}"), facts.name), state,
                              say(msgid("Work goes on at the production server:")), escaped(production()), escaped(production()));
  return response;
}

/// The accounts came with the databases.
Result<std::string> MirrorPort::allowed(const net::HttpRequest& request, access::Right right) const {
  const auto shown = bearer(request);
  if (at_.seat.is_control_secret(shown)) return std::string("this machine");
  auto attempt = at_.accounts.check_token(shown, request.address);
  if (!attempt.account) return pass(attempt.account);
  if (access::has_right(attempt.account->role, right)) return attempt.account->user;
  return fail(ErrorCode::kForbidden, phrase("{} {}: role {} lacks the right", request.method, request.path, access::to_wire(attempt.account->role)));
}

net::HttpResponse MirrorPort::answer(const net::HttpRequest& request, Language language) const {
  const auto user = allowed(request, access::Right::kReadRecords);
  if (!user) return api::error_response(language, user.error());
  return api::json_response(request.path == "/api/mirror" ? mirror_status_json(at_.facts()) : mirror_node_status_json(at_.facts()));
}

net::HttpResponse MirrorPort::exchange(const net::HttpRequest& request, Language language) const {
  if (!request.encrypted) return api::error_response(language, make_error(ErrorCode::kPlaintextRefused, phrase("hear a mirror: only over TLS")));
  auto answered = at_.seat.exchange(bearer(request), request.address, request.body);
  return answered ? api::json_response(std::move(*answered)) : api::error_response(language, answered.error());
}

net::HttpResponse MirrorPort::act(const net::HttpRequest& request, Language language) const {
  const auto user = allowed(request, access::Right::kManageMirror);
  if (!user) return api::error_response(language, user.error());
  auto done = at_.seat.act(*user, request.body);
  return done ? api::json_response(std::move(*done)) : api::error_response(language, done.error());
}

void MirrorPort::on_worker(const std::shared_ptr<net::HttpExchange>& exchange, Answer answer) {
  auto submitted = at_.workers.submit([exchange, answer = std::move(answer)] {
    exchange->reply(answer(exchange->request(), api::language_of(exchange->request())));
  });
  if (!submitted) exchange->reply(api::error_response(api::language_of(exchange->request()), submitted.error(), milliseconds{1000}));
}

void MirrorPort::on_request(std::shared_ptr<net::HttpExchange> exchange) {
  const auto& request = exchange->request();
  const auto& path = request.path;
  const bool reads = request.method == "GET";
  if (reads && path == "/healthz") {
    const auto facts = at_.facts();
    const bool healthy = facts.database_up && at_.seat.follows();
    return exchange->reply(api::json_response(json::serialize(json::object{{"healthy", healthy}, {"role", role_of(facts)}}), healthy ? 200 : 503));
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
  const bool posts = request.method == "POST";
  if (posts && path == "/api/mirror/pair") return on_worker(exchange, [this](const auto& asked, Language language) { return this->exchange(asked, language); });
  if (posts && path == "/api/mirror/do") return on_worker(exchange, [this](const auto& asked, Language language) { return act(asked, language); });
  if (reads && (path == "/api/status" || path == "/api/mirror")) {
    return on_worker(exchange, [this](const auto& asked, Language language) { return answer(asked, language); });
  }
  if (reads && (path == "/" || path == "/index.html")) return exchange->reply(page(api::language_of(request)));
  auto response = api::error_response(api::language_of(request), elsewhere());
  response.headers.emplace_back("X-Verbund-Production", production());
  exchange->reply(std::move(response));
}

}  // namespace verbund::node
