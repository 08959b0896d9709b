/// GET /api/mirror, POST /api/mirror/invitations, /api/mirror/look, /api/mirror/join, /api/mirror/beat, /api/mirror/pair, /api/mirror/do, /api/mirror/follow; /api/mirror/folders, /api/mirror/nights; GET /api/mirror/log, /api/mirror/log/NAME
#include "access/audit.h"
#include "api/api.h"
#include "api/json.h"

namespace verbund::api {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kLongestMinutes = 7 * 24 * 60;
constexpr std::size_t kMaxNameBytes = 200;

net::HttpResponse answer(const Call& call, Result<std::string> outcome) {
  return outcome ? json_response(std::move(*outcome)) : error_response(call.language, outcome.error());
}

net::HttpResponse invite(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return error_response(call.language, body.error());
  const auto minutes = number_member(*body, "minutes", 1, kLongestMinutes);
  if (!minutes) return error_response(call.language, minutes.error());
  const auto replace = bool_member(*body, "replace");
  if (!replace) return error_response(call.language, replace.error());
  auto invited = surroundings.mirror.invite(call.account->user, std::chrono::minutes{*minutes}, *replace);
  if (!invited) return error_response(call.language, invited.error());
  auto noted = access::record_audit(surroundings.mid_tier, surroundings.clock, {0, surroundings.clock.wall(), call.account->user, "mirror.invited", *replace ? "replace" : "", ""});
  if (!noted) return error_response(call.language, noted.error());
  return json_response(std::move(*invited));
}

/// Secrets go over this line: only encrypted. The code is what a machine has instead of a login.
Result<json::object> with_code(const Call& call) {
  if (!call.request.encrypted) return fail(ErrorCode::kPlaintextRefused, phrase("join as mirror: only over TLS"));
  return read_object(call.request.body);
}

net::HttpResponse look(const Surroundings& surroundings, const Call& call) {
  auto body = with_code(call);
  if (!body) return error_response(call.language, body.error());
  const auto code = string_member(*body, "code");
  if (!code) return error_response(call.language, code.error());
  return answer(call, surroundings.mirror.look(*code));
}

net::HttpResponse join(const Surroundings& surroundings, const Call& call) {
  auto body = with_code(call);
  if (!body) return error_response(call.language, body.error());
  const auto code = string_member(*body, "code");
  if (!code) return error_response(call.language, code.error());
  auto name = string_member(*body, "name");
  if (!name) return error_response(call.language, name.error());
  if (name->empty() || name->size() > kMaxNameBytes) return error_response(call.language, make_error(ErrorCode::kBadMessage, phrase("field name: it is empty or too long")));
  auto joined = surroundings.mirror.join(*code, *name, call.request.address);
  if (!joined) return error_response(call.language, joined.error());
  auto noted = access::record_audit(surroundings.mid_tier, surroundings.clock, {0, surroundings.clock.wall(), "node", "mirror.joined", *name, call.request.address});
  // The code is used up: what follows from it is worth more than the entry, which the log has, too.
  if (!noted) surroundings.log.error("mirror.not_audited", {{"error", noted.error().message}});
  return json_response(std::move(*joined));
}

std::string bearer(const Call& call) {
  const auto header = call.request.headers.find("authorization");
  constexpr std::string_view kScheme = "Bearer ";
  const bool given = header != call.request.headers.end() && header->second.starts_with(kScheme);
  return given ? header->second.substr(kScheme.size()) : std::string();
}

/// The other machine's, over TLS alone. Errors: kPlaintextRefused.
Result<std::string> secret_of(const Call& call) {
  if (!call.request.encrypted) return fail(ErrorCode::kPlaintextRefused, phrase("hear a mirror: only over TLS"));
  return bearer(call);
}

net::HttpResponse beat(const Surroundings& surroundings, const Call& call) {
  const auto secret = secret_of(call);
  if (!secret) return error_response(call.language, secret.error());
  return answer(call, surroundings.mirror.beat(*secret, call.request.body));
}

/// How far into something the mirror has come. Errors: kBadMessage.
Result<std::uint64_t> offset_of(const Call& call) {
  const auto given = call.request.query.find("offset");
  if (given == call.request.query.end()) return std::uint64_t{0};
  const auto offset = parse_u64(given->second);
  if (!offset) return fail(ErrorCode::kBadMessage, phrase("field {}: it is no number", "offset"));
  return offset;
}

net::HttpResponse log(const Surroundings& surroundings, const Call& call) {
  const auto secret = secret_of(call);
  if (!secret) return error_response(call.language, secret.error());
  const auto offset = offset_of(call);
  if (!offset) return error_response(call.language, offset.error());
  const std::string name = call.arguments.empty() ? "" : call.arguments.front();
  auto bytes = surroundings.mirror.log(*secret, name, *offset);
  if (!bytes) return error_response(call.language, bytes.error());
  auto response = json_response(std::move(*bytes));
  if (!name.empty()) response.content_type = "application/octet-stream";
  return response;
}

net::HttpResponse folders(const Surroundings& surroundings, const Call& call) {
  const auto secret = secret_of(call);
  if (!secret) return error_response(call.language, secret.error());
  const auto asked = read_object(call.request.body);
  if (!asked) return error_response(call.language, asked.error());
  auto found = surroundings.mirror.folders(*secret, *asked);
  if (!found) return error_response(call.language, found.error());
  auto response = json_response(std::move(*found));
  if (asked->contains("entry")) response.content_type = "application/octet-stream";
  return response;
}

net::HttpResponse nights(const Surroundings& surroundings, const Call& call) {
  const auto secret = secret_of(call);
  if (!secret) return error_response(call.language, secret.error());
  const auto asked = read_object(call.request.body);
  if (!asked) return error_response(call.language, asked.error());
  return answer(call, surroundings.mirror.nights(*secret, *asked));
}

net::HttpResponse exchange(const Surroundings& surroundings, const Call& call) {
  const auto secret = secret_of(call);
  if (!secret) return error_response(call.language, secret.error());
  return answer(call, surroundings.mirror.exchange(*secret, call.request.address, call.request.body));
}

/// Without an account it was this machine's own command.
net::HttpResponse act(const Surroundings& surroundings, const Call& call) {
  const std::string user = call.account ? call.account->user : "this machine";
  auto noted = access::record_audit(surroundings.mid_tier, surroundings.clock, {0, surroundings.clock.wall(), user, "mirror.asked", call.request.body.substr(0, kMaxNameBytes), ""});
  if (!noted) return error_response(call.language, noted.error());
  return answer(call, surroundings.mirror.act(user, call.request.body));
}

net::HttpResponse follow(const Surroundings& surroundings, const Call& call) {
  auto changed = surroundings.mirror.follow(call.request.body);
  if (!changed) return error_response(call.language, changed.error());
  auto noted = access::record_audit(surroundings.mid_tier, surroundings.clock, {0, surroundings.clock.wall(), call.account->user, "mirror.follow", "", *changed});
  // It is done, and on disk: an entry that is missing is told, in the log.
  if (!noted) surroundings.log.error("mirror.not_audited", {{"error", noted.error().message}});
  return json_response(std::move(*changed));
}

}  // namespace

void add_mirror_routes(std::vector<Route>& routes, const Surroundings& surroundings) {
  using access::Right;
  routes.push_back({"GET", "/api/mirror", Right::kReadRecords, [&](const Call& call) { return answer(call, surroundings.mirror.status()); }, true});
  routes.push_back({"POST", "/api/mirror/invitations", Right::kManageMirror, [&](const Call& call) { return invite(surroundings, call); }});
  routes.push_back({"POST", "/api/mirror/look", {}, [&](const Call& call) { return look(surroundings, call); }});
  routes.push_back({"POST", "/api/mirror/join", {}, [&](const Call& call) { return join(surroundings, call); }});
  routes.push_back({"POST", "/api/mirror/pair", {}, [&](const Call& call) { return exchange(surroundings, call); }});
  routes.push_back({"POST", "/api/mirror/do", Right::kManageMirror, [&](const Call& call) { return act(surroundings, call); }, true});
  routes.push_back({"POST", "/api/mirror/beat", {}, [&](const Call& call) { return beat(surroundings, call); }});
  routes.push_back({"GET", "/api/mirror/log", {}, [&](const Call& call) { return log(surroundings, call); }});
  routes.push_back({"GET", "/api/mirror/log/*", {}, [&](const Call& call) { return log(surroundings, call); }});
  routes.push_back({"POST", "/api/mirror/folders", {}, [&](const Call& call) { return folders(surroundings, call); }});
  routes.push_back({"POST", "/api/mirror/nights", {}, [&](const Call& call) { return nights(surroundings, call); }});
  routes.push_back({"POST", "/api/mirror/follow", Right::kManageMirror, [&](const Call& call) { return follow(surroundings, call); }});
}

}  // namespace verbund::api
