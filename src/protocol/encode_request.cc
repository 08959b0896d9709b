#include "protocol/json_write.h"

namespace verbund::protocol {
namespace {

void append_reclaim(std::string& out, const Reclaim& reclaim) {
  ObjectWriter json(out);
  json.key("key", reclaim.key);
  json.decimal("token", reclaim.token.value);
}

void append_announced(std::string& out, const AnnouncedChange& change) {
  ObjectWriter json(out);
  json.key("key", change.key);
  json.word("op", change.op);
}

/// Writes "op" and, of the fields, those that say more than their absence.
struct RequestWriter {
  ObjectWriter& json;

  void operator()(const Register& request) const {
    json.text("op", "register");
    json.text_if_any("user", request.user);
    json.text_if_any("password", request.password);
    json.text_if_any("token", request.token);
    json.text_if_any("ticket", request.ticket);
    json.text_if_any("workstation", request.workstation);
    json.text_if_any("app", request.app);
    if (request.kind != SessionKind::kWorkstation) {
      json.word("kind", request.kind);
    }
    if (request.language) {
      json.word("lang", *request.language);
    }
    if (request.watch != Watch{}) {
      append_json(json.field("watch"), request.watch);
    }
    cursor(request.cursor);
    json.text_if_any("term_proof", request.term_proof);
  }
  void operator()(const Resume& request) const {
    json.text("op", "resume");
    if (request.session) {
      json.decimal("session", request.session.value);
    }
    json.text_if_any("secret", request.secret);
    json.text_if_any("ticket", request.ticket);
    cursor(request.cursor);
    if (request.watch) {
      append_json(json.field("watch"), *request.watch);
    }
    if (!request.reclaim.empty()) {
      json.list("reclaim", request.reclaim, append_reclaim);
    }
    json.text_if_any("term_proof", request.term_proof);
  }
  void operator()(const Beat&) const { json.text("op", "beat"); }
  void operator()(const Goodbye&) const { json.text("op", "goodbye"); }
  void operator()(const Lock& request) const {
    json.text("op", "lock");
    json.keys("keys", request.keys);
    if (request.wait.count() != 0) {
      json.span("wait_ms", request.wait);
    }
    json.text_if_any("request", request.request);
    json.text_if_any("note", request.note);
  }
  void operator()(const Unlock& request) const {
    json.text("op", "unlock");
    if (!request.keys.empty()) {
      json.keys("keys", request.keys);
    }
    if (request.token.value != 0) {
      json.decimal("token", request.token.value);
    }
    if (request.lsn) {
      json.text("lsn", to_string(*request.lsn));
    }
    if (request.wrote) {
      json.flag("wrote", true);
    }
    json.text_if_any("request", request.request);
  }
  void operator()(const Cancel& request) const {
    json.text("op", "cancel");
    json.text("request", request.request);
  }
  void operator()(const Break& request) const {
    json.text("op", "break");
    json.keys("keys", request.keys);
    json.text_if_any("reason", request.reason);
  }
  void operator()(const Tell& request) const {
    json.text("op", "tell");
    json.text("to", request.to);
    json.text("text", request.text);
    json.text_if_any("request", request.request);
  }
  void operator()(const Who&) const { json.text("op", "who"); }
  void operator()(const Locks& request) const {
    json.text("op", "locks");
    json.text_if_any("prefix", request.prefix);
  }
  void operator()(const StatusQuery&) const { json.text("op", "status"); }
  void operator()(const SetWatch& request) const {
    json.text("op", "watch");
    append_json(json.field("watch"), request.watch);
    cursor(request.cursor);
  }
  void operator()(const Changed& request) const {
    json.text("op", "changed");
    json.list("changes", request.changes, append_announced);
    json.text_if_any("request", request.request);
  }
  void cursor(const std::optional<Cursor>& cursor) const {
    if (cursor) {
      append_json(json.field("cursor"), *cursor);
    }
  }
};

}  // namespace

void encode_request(std::string& out, const Request& request) {
  ObjectWriter json(out);
  std::visit(RequestWriter{json}, request.body);
  if (!request.id.json.empty()) {
    json.field("id") += request.id.json;
  }
}

}  // namespace verbund::protocol
