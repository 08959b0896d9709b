#include "node/patroni/rest.h"

#include <boost/json.hpp>

#include "base/messages.h"
#include "base/utf8.h"
#include "platform/net/bounded_request.h"
#include "platform/os/file.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

constexpr seconds kPatience{2};
/// Patroni itself gives up after its loop_wait and a checkpoint.
constexpr seconds kSwitchPatience{90};
constexpr std::size_t kMaxSecretBytes = 4096, kMaxPemBytes = 1024UL * 1024;
constexpr std::size_t kShownBytes = 300;

/// Patroni's own words, which come from another machine.
std::string shown(std::string_view body) {
  std::string text(body.substr(0, kShownBytes));
  text.resize(valid_utf8_prefix(text));
  for (char& c : text) {
    if (c >= 0 && c < ' ') c = ' ';
  }
  return text;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const auto byte = [&](std::size_t i) -> unsigned { return at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U; };
    const unsigned group = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (std::size_t digit = 0; digit < 4; ++digit) out += at + digit > bytes.size() ? '=' : kDigits[group >> (18 - 6 * digit) & 63U];
  }
  return out;
}

net::HttpRequest get(std::string path) {
  net::HttpRequest request;
  request.method = "GET";
  request.path = std::move(path);
  return request;
}

}  // namespace

Result<PatroniRest> PatroniRest::open(const PatroniSettings& settings) {
  PatroniRest rest;
  std::string authority;
  if (!settings.authority_file.empty()) {
    auto pem = os::read_file(settings.authority_file, kMaxPemBytes);
    if (!pem) return pass(pem, phrase("read patroni_ca"));
    authority = std::move(*pem);
  }
  for (const auto& text : settings.addresses) {
    auto address = mirror::parse_patroni_address(text);
    if (!address) return pass(address);
    net::Endpoint endpoint;
    endpoint.host = address->host;
    endpoint.port = address->port;
    endpoint.tls = address->tls;
    endpoint.ca_pem = authority;
    rest.endpoints_.push_back(std::move(endpoint));
  }
  if (settings.user.empty()) return rest;
  std::string password;
  if (!settings.password_file.empty()) {
    auto text = os::read_file(settings.password_file, kMaxSecretBytes);
    if (!text) return pass(text, phrase("read patroni_password_file"));
    password = text->substr(0, text->find_first_of("\r\n"));
  }
  const std::string pair = settings.user + ":" + password;
  rest.authorization_ = "Basic " + base64(pair);
  return rest;
}

Result<net::HttpResponse> PatroniRest::ask(const net::HttpRequest& request, seconds patience) {
  Result<net::HttpResponse> answer = fail(ErrorCode::kNotReachable, phrase("ask Patroni: no address is configured"));
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const std::size_t at = (first_ + i) % endpoints_.size();
    answer = net::bounded_request(endpoints_[at], request, patience, mirror::kMaxPatroniBytes);
    if (answer && answer->status != 503) {
      first_ = at;
      return answer;
    }
    // Whoever may have begun to act is not asked elsewhere once more.
    if (request.method != "GET" && (answer || answer.error().code == ErrorCode::kTimedOut)) break;
  }
  if (!answer) return pass(answer, phrase("ask Patroni"));
  return answer;
}

Result<mirror::PatroniView> PatroniRest::cluster() {
  auto answer = ask(get("/cluster"), kPatience);
  if (!answer) return pass(answer);
  if (answer->status != 200) return fail(ErrorCode::kUnavailable, phrase("ask Patroni: HTTP status {}: {}", answer->status, shown(answer->body)));
  return mirror::parse_patroni_cluster(answer->body);
}

Result<mirror::PatroniOwn> PatroniRest::member() {
  auto answer = ask(get("/patroni"), kPatience);
  if (!answer) return pass(answer);
  // 503 of a member that does not run: what it says of itself counts all the same.
  return mirror::parse_patroni_member(answer->body);
}

Result<std::string> PatroniRest::switch_over(const std::string& leader, const std::string& to) {
  net::HttpRequest request;
  request.method = "POST";
  request.path = "/switchover";
  request.headers["content-type"] = "application/json";
  if (!authorization_.empty()) request.headers["authorization"] = authorization_;
  request.body = json::serialize(json::object{{"leader", leader}, {"candidate", to}});
  auto answer = ask(request, kSwitchPatience);
  if (!answer) return pass(answer);
  if (answer->status == 401 || answer->status == 403) {
    return fail(ErrorCode::kForbidden, phrase("switch over: Patroni wants another user or password: {}", shown(answer->body)),
                phrase("[cluster] patroni_user and patroni_password_file of config/verbund.toml: what restapi.authentication of Patroni's configuration says."));
  }
  if (answer->status >= 300) return fail(ErrorCode::kUnavailable, phrase("switch over: Patroni refuses: {}", shown(answer->body)), phrase("See `patronictl list`."));
  return shown(answer->body);
}

json::object to_json(const mirror::PatroniView& view) {
  json::array members;
  for (const auto& member : view.members) {
    json::object item{{"name", member.name}, {"role", member.role}, {"state", member.state}, {"leads", member.leads()}, {"timeline", member.timeline},
                      {"host", member.host}, {"port", member.port}, {"lag_bytes", nullptr}};
    if (member.lag_bytes) item["lag_bytes"] = std::to_string(*member.lag_bytes);
    members.push_back(std::move(item));
  }
  const auto* leader = view.leader();
  return {{"leader", leader ? json::value(leader->name) : json::value(nullptr)}, {"timeline", leader ? leader->timeline : 0U},
          {"paused", view.paused}, {"scheduled", view.scheduled}, {"members", std::move(members)}};
}

}  // namespace verbund::node
