#include <boost/json/serialize.hpp>

#include "base/messages.h"

#include "protocol/decode_views.h"

namespace verbund::protocol {
namespace {

Welcome read_welcome(const Fields& fields) {
  Welcome welcome;
  const auto span = [&](std::string_view name, milliseconds absent) {
    return fields.span(name, milliseconds::max(), absent);
  };
  welcome.session.value = fields.decimal("session", Presence::kRequired);
  welcome.secret = fields.text("secret", kAnyText);
  welcome.resumed = fields.flag("resumed", false);
  welcome.node = fields.text("node", kAnyText);
  welcome.version = fields.text("version", kAnyText);
  fields.object("epoch", [&](const Fields& inner) {
    welcome.epoch.term.value = inner.number("term", std::numeric_limits<std::uint64_t>::max());
    welcome.epoch.start_count =
        static_cast<std::uint16_t>(inner.number("start", std::numeric_limits<std::uint16_t>::max()));
  });
  welcome.mode = fields.word<Mode>("mode", Mode::kShared);
  welcome.user = fields.text("user", kAnyText);
  welcome.role = fields.text("role", kAnyText);
  welcome.read_while_locked = fields.flag("read_while_locked", true);
  welcome.cursor = read_cursor_field(fields, "cursor").value_or(Cursor{});
  welcome.heartbeat = span("heartbeat_ms", welcome.heartbeat);
  welcome.suspect = span("suspect_ms", welcome.suspect);
  welcome.lease = span("lease_ms", welcome.lease);
  welcome.reconnect = span("reconnect_ms", welcome.reconnect);
  welcome.jitter = span("jitter_ms", welcome.jitter);
  welcome.servers = fields.texts("servers", kAnyList, kAnyText);
  welcome.types = fields.texts("types", kAnyList, kAnyText);
  welcome.term_proof = fields.text("term_proof", kAnyText);
  welcome.sessions = read_sessions(fields, "sessions");
  welcome.locks = read_locks(fields, "locks");
  welcome.more = fields.flag("more", false);
  if (!welcome.resumed) {
    return welcome;
  }
  fields.objects("held", kAnyList, [&](const Fields& inner) {
    auto key = inner.key("key");
    welcome.held.push_back({std::move(key), {inner.decimal("token", Presence::kRequired)}});
  });
  fields.objects("lost", kAnyList, [&](const Fields& inner) {
    auto key = inner.key("key");
    welcome.lost.push_back({std::move(key), inner.word<LockLostReason>("reason")});
  });
  return welcome;
}

Redirect read_redirect(const Fields& fields) {
  Redirect redirect;
  redirect.port = static_cast<std::uint16_t>(fields.number("port", std::numeric_limits<std::uint16_t>::max()));
  redirect.ticket = fields.text("ticket", kAnyText);
  redirect.accept = fields.span("accept_ms", milliseconds::max(), redirect.accept);
  return redirect;
}

Granted read_granted(const Fields& fields) {
  Granted granted;
  granted.token.value = fields.decimal("token", Presence::kRequired);
  granted.lease = fields.span("lease_ms", milliseconds::max());
  auto keys = fields.keys("keys", kAnyList);
  const bool listed = fields.object("tokens", [&](const Fields& tokens) {
    for (auto& key : keys) {
      const FencingToken token{tokens.decimal(to_string(key), Presence::kRequired)};
      granted.tokens.push_back({std::move(key), token});
    }
  });
  if (!listed) {
    for (auto& key : keys) {
      granted.tokens.push_back({std::move(key), granted.token});
    }
  }
  return granted;
}

Refused read_refused(const Fields& fields) {
  Refused refused;
  const bool there = fields.object("error", [&](const Fields& error) {
    refused.error.code = code_from_wire(error.text("code", kAnyText));
    refused.error.message = error.text("message", kAnyText);
    refused.error.hint = error.text("hint", kAnyText);
    error.object("holder", [&](const Fields& holder) { refused.holder = read_lock(holder); });
    if (error.has("retry_after_ms")) {
      refused.retry_after = error.span("retry_after_ms", milliseconds::max());
    }
  });
  if (!there) {
    fields.complain(ErrorCode::kBadMessage, "error", phrase("is missing; it must be an object"));
  }
  return refused;
}

}  // namespace

/// Replies don't name their request's operation; each kind has a field of its own.
ReplyBody read_reply(const Fields& fields) {
  if (!fields.flag("ok", false)) {
    return read_refused(fields);
  }
  ReplyBody body = Done{};
  if (fields.has("token")) {
    body = read_granted(fields);
  } else if (fields.has("cursor")) {
    body = BeatReply{read_cursor_field(fields, "cursor").value_or(Cursor{})};
  } else if (fields.has("welcome")) {
    fields.object("welcome", [&](const Fields& inner) { body = read_welcome(inner); });
  } else if (fields.has("redirect")) {
    fields.object("redirect", [&](const Fields& inner) { body = read_redirect(inner); });
  } else if (fields.has("broken")) {
    body = Broken{read_locks(fields, "broken")};
  } else if (fields.has("delivered")) {
    body = Delivered{static_cast<std::uint32_t>(fields.number("delivered", std::numeric_limits<std::uint32_t>::max()))};
  } else if (fields.has("sessions")) {
    body = SessionList{read_sessions(fields, "sessions"), fields.flag("more", false)};
  } else if (fields.has("locks")) {
    body = LockList{read_locks(fields, "locks"), fields.flag("more", false)};
  } else if (const auto* status = fields.find("status")) {
    body = StatusReply{boost::json::serialize(*status)};
  }
  return body;
}

}  // namespace verbund::protocol
