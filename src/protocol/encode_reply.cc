#include "protocol/json_write.h"

namespace verbund::protocol {
namespace {

void append_key_token(std::string& out, const KeyToken& held) {
  ObjectWriter json(out);
  json.key("key", held.key);
  json.decimal("token", held.token.value);
}

void append_lost(std::string& out, const LostLock& lost) {
  ObjectWriter json(out);
  json.key("key", lost.key);
  json.word("reason", lost.reason);
}

void append_epoch(std::string& out, LockEpoch epoch) {
  ObjectWriter json(out);
  json.number("term", epoch.term.value);
  json.number("start", epoch.start_count);
}

void append_welcome(std::string& out, const Welcome& welcome) {
  ObjectWriter json(out);
  json.decimal("session", welcome.session.value);
  json.text("secret", welcome.secret);
  json.flag("resumed", welcome.resumed);
  json.text("node", welcome.node);
  json.text("version", welcome.version);
  append_epoch(json.field("epoch"), welcome.epoch);
  json.word("mode", welcome.mode);
  json.text("user", welcome.user);
  json.text("role", welcome.role);
  json.flag("read_while_locked", welcome.read_while_locked);
  append_json(json.field("cursor"), welcome.cursor);
  json.span("heartbeat_ms", welcome.heartbeat);
  json.span("suspect_ms", welcome.suspect);
  json.span("lease_ms", welcome.lease);
  json.span("reconnect_ms", welcome.reconnect);
  json.span("jitter_ms", welcome.jitter);
  json.texts("servers", welcome.servers);
  json.texts("types", welcome.types);
  json.text_if_any("term_proof", welcome.term_proof);
  json.list("sessions", welcome.sessions, append_view<SessionView>);
  json.list("locks", welcome.locks, append_view<LockView>);
  if (welcome.more) json.flag("more", true);
  if (welcome.resumed) {
    json.list("held", welcome.held, append_key_token);
    json.list("lost", welcome.lost, append_lost);
  }
}

void append_error(std::string& out, const Refused& refused) {
  ObjectWriter json(out);
  json.text("code", wire_name(refused.error.code));
  json.text("message", refused.error.message);
  json.text_if_any("hint", refused.error.hint);
  if (refused.holder) {
    append_json(json.field("holder"), *refused.holder);
  }
  if (refused.retry_after) {
    json.span("retry_after_ms", *refused.retry_after);
  }
}

/// The fields of a reply behind "re" and "ok".
struct BodyWriter {
  ObjectWriter& json;

  void operator()(const Welcome& welcome) const { append_welcome(json.field("welcome"), welcome); }
  void operator()(const Redirect& redirect) const {
    ObjectWriter inner(json.field("redirect"));
    inner.number("port", redirect.port);
    inner.text("ticket", redirect.ticket);
    inner.span("accept_ms", redirect.accept);
  }
  void operator()(const Granted& granted) const {
    json.decimal("token", granted.token.value);
    json.list("keys", granted.tokens, [](std::string& out, const KeyToken& held) { append_key(out, held.key); });
    json.span("lease_ms", granted.lease);
    std::string& out = json.field("tokens");
    char separator = '{';
    for (const auto& held : granted.tokens) {
      out += std::exchange(separator, ',');
      append_key(out, held.key);
      out += ":\"";
      append_decimal(out, held.token.value);
      out += '"';
    }
    out += granted.tokens.empty() ? "{}" : "}";
  }
  void operator()(const Done&) const {}
  void operator()(const BeatReply& beat) const { append_json(json.field("cursor"), beat.cursor); }
  void operator()(const Broken& broken) const { json.list("broken", broken.broken, append_view<LockView>); }
  void operator()(const Delivered& delivered) const { json.number("delivered", delivered.delivered); }
  void operator()(const SessionList& list) const {
    json.list("sessions", list.sessions, append_view<SessionView>);
    more(list.more);
  }
  void operator()(const LockList& list) const {
    json.list("locks", list.locks, append_view<LockView>);
    more(list.more);
  }
  void operator()(const StatusReply& status) const {
    std::string& out = json.field("status");
    const auto begin = out.size();
    out += status.json.empty() ? std::string_view("{}") : std::string_view(status.json);
    // Raw line ends can stand only between tokens, but would end the message of a line client.
    std::replace_if(
        out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(), [](char c) { return c == '\n' || c == '\r'; },
        ' ');
  }
  void operator()(const WatchReply& watch) const { append_json(json.field("cursor"), watch.cursor); }
  void operator()(const Refused& refused) const { append_error(json.field("error"), refused); }
  void more(bool more) const {
    if (more) {
      json.flag("more", true);
    }
  }
};

}  // namespace

void encode_reply(std::string& out, const RequestId& id, const ReplyBody& body) {
  ObjectWriter json(out);
  if (!id.json.empty()) {
    json.field("re") += id.json;
  }
  json.flag("ok", !std::holds_alternative<Refused>(body));
  std::visit(BodyWriter{json}, body);
}

void encode_refused(std::string& out, const RequestId& id, const Refused& refused, Language language) {
  Refused shown = refused;
  shown.error.message = message_in(language, refused.error);
  shown.error.hint = hint_in(language, refused.error);
  encode_reply(out, id, shown);
}

}  // namespace verbund::protocol
