#include "protocol/decode_views.h"

#include "base/messages.h"

namespace verbund::protocol {
namespace {

constexpr TextRule kName{.max_bytes = kMaxNameBytes};
constexpr TextRule kSecret{.max_bytes = kMaxSecretBytes, .controls = Controls::kAny};
constexpr TextRule kRequestName{.max_bytes = kMaxRequestIdBytes};
constexpr TextRule kProse{.max_bytes = kMaxTextBytes, .controls = Controls::kLines};
constexpr ListRule kKeyList{
    .max = kMaxKeysPerRequest, .presence = Presence::kRequired, .too_many = ErrorCode::kTooManyKeys};
constexpr std::size_t kMaxPrefixBytes = kMaxRecordTypeBytes + 1 + kMaxRecordIdBytes;

constexpr TextRule required(TextRule rule) {
  rule.presence = Presence::kRequired;
  return rule;
}

RequestBody read_register(const Fields& fields) {
  Register request;
  request.user = fields.text("user", kName);
  request.password = fields.text("password", kSecret);
  request.token = fields.text("token", kSecret);
  request.ticket = fields.text("ticket", kSecret);
  // Behind a ticket the node knows the rest from the first connection.
  request.workstation = fields.text("workstation", request.ticket.empty() ? required(kName) : kName);
  request.app = fields.text("app", kName);
  request.kind = fields.word<SessionKind>("kind", SessionKind::kWorkstation);
  if (fields.has("lang")) {
    request.language = fields.word<Language>("lang");
  }
  fields.object("watch", [&](const Fields& inner) { request.watch = read_watch(inner); });
  request.cursor = read_cursor_field(fields, "cursor");
  request.term_proof = fields.text("term_proof", kSecret);
  return request;
}

RequestBody read_resume(const Fields& fields) {
  Resume request;
  request.ticket = fields.text("ticket", kSecret);
  const auto presence = request.ticket.empty() ? Presence::kRequired : Presence::kOptional;
  request.session.value = fields.decimal("session", presence);
  if (!request.session && presence == Presence::kRequired) {
    fields.complain(ErrorCode::kBadMessage, "session", phrase("must be the id of the welcome, not 0"));
  }
  request.secret = fields.text("secret", request.ticket.empty() ? required(kSecret) : kSecret);
  request.cursor = read_cursor_field(fields, "cursor");
  fields.object("watch", [&](const Fields& inner) { request.watch = read_watch(inner); });
  fields.objects("reclaim", {.max = kMaxReclaims}, [&](const Fields& inner) {
    auto key = inner.key("key");
    request.reclaim.push_back({std::move(key), {inner.decimal("token", Presence::kRequired)}});
  });
  request.term_proof = fields.text("term_proof", kSecret);
  return request;
}

RequestBody read_beat(const Fields&) { return Beat{}; }
RequestBody read_goodbye(const Fields&) { return Goodbye{}; }
RequestBody read_who(const Fields&) { return Who{}; }
RequestBody read_status(const Fields&) { return StatusQuery{}; }

RequestBody read_lock_request(const Fields& fields) {
  Lock request;
  request.keys = fields.keys("keys", kKeyList);
  request.wait = fields.span("wait_ms", kMaxWait);
  request.request = fields.text("request", kRequestName);
  request.note = fields.text("note", kName);
  return request;
}

RequestBody read_unlock(const Fields& fields) {
  Unlock request;
  request.token.value = fields.decimal("token");
  const bool by_token = request.token.value != 0;
  if (by_token && fields.has("keys")) {
    fields.complain(ErrorCode::kBadMessage, "token", phrase("must not stand beside 'keys'; send one of the two"));
  }
  if (!by_token) {
    request.keys = fields.keys("keys", kKeyList);
  }
  request.lsn = fields.lsn("lsn");
  request.wrote = fields.flag("wrote", false);
  request.request = fields.text("request", kRequestName);
  return request;
}

RequestBody read_cancel(const Fields& fields) { return Cancel{fields.text("request", required(kRequestName))}; }

RequestBody read_break(const Fields& fields) {
  Break request;
  request.keys = fields.keys("keys", kKeyList);
  request.reason = fields.text("reason", kProse);
  return request;
}

RequestBody read_tell(const Fields& fields) {
  Tell request;
  request.to = fields.text("to", required(kName));
  request.text = fields.text("text", required(kProse));
  request.request = fields.text("request", kRequestName);
  return request;
}

RequestBody read_locks_request(const Fields& fields) {
  return Locks{fields.text("prefix", {.max_bytes = kMaxPrefixBytes})};
}

RequestBody read_set_watch(const Fields& fields) {
  SetWatch request;
  if (!fields.object("watch", [&](const Fields& inner) { request.watch = read_watch(inner); })) {
    fields.complain(ErrorCode::kBadMessage, "watch", phrase("is missing; it must be an object"));
  }
  request.cursor = read_cursor_field(fields, "cursor");
  return request;
}

RequestBody read_changed(const Fields& fields) {
  Changed request;
  constexpr ListRule kChangeList{
      .max = kMaxAnnouncedChanges, .presence = Presence::kRequired, .too_many = ErrorCode::kTooManyKeys};
  fields.objects("changes", kChangeList, [&](const Fields& inner) {
    auto key = inner.key("key");
    request.changes.push_back({std::move(key), inner.word<ChangeOp>("op")});
  });
  request.request = fields.text("request", kRequestName);
  return request;
}

struct Operation {
  std::string_view name;
  RequestBody (*read)(const Fields&);
};
/// The frequent ones first.
constexpr std::array kOperations{
    Operation{"lock", read_lock_request}, Operation{"unlock", read_unlock},     Operation{"beat", read_beat},
    Operation{"changed", read_changed},   Operation{"register", read_register}, Operation{"resume", read_resume},
    Operation{"goodbye", read_goodbye},   Operation{"cancel", read_cancel},     Operation{"break", read_break},
    Operation{"tell", read_tell},         Operation{"who", read_who},           Operation{"locks", read_locks_request},
    Operation{"status", read_status},     Operation{"watch", read_set_watch}};

Error unknown_operation(std::string_view name) {
  std::string known;
  for (const auto& operation : kOperations) {
    known.append(known.empty() ? "" : ", ").append(operation.name);
  }
  constexpr std::size_t kShownBytes = 40;
  return make_error(ErrorCode::kUnknownOp, phrase("read a request: there is no operation '{}'", name.substr(0, kShownBytes)),
                    phrase("Operations: {}", known));
}

}  // namespace

std::expected<Request, BadRequest> decode_request(std::string_view json) {
  Document document;
  if (auto parsed = document.parse(json, kMaxNesting); !parsed) {
    return std::unexpected(BadRequest{{}, std::move(parsed.error())});
  }
  Findings findings{phrase("request"), {}};
  const Fields fields(document.root(), findings);
  Request request{read_id(fields, "id"), {}};
  const auto* op = fields.find("op");
  if (op == nullptr || !op->is_string()) {
    fields.complain(ErrorCode::kBadMessage, "op", phrase("must be a string, the operation's name"));
  } else {
    const std::string_view name(op->get_string().data(), op->get_string().size());
    const auto* found = std::ranges::find(kOperations, name, &Operation::name);
    if (found == kOperations.end()) {
      return std::unexpected(BadRequest{std::move(request.id), unknown_operation(name)});
    }
    findings.operation = verbatim(std::string(found->name));
    request.body = found->read(fields);
  }
  if (findings.error) {
    return std::unexpected(BadRequest{std::move(request.id), std::move(*findings.error)});
  }
  return request;
}

}  // namespace verbund::protocol
