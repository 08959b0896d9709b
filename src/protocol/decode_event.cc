#include "base/messages.h"
#include "protocol/decode_views.h"

namespace verbund::protocol {
namespace {

SessionId session_of(const Fields& fields) { return {fields.decimal("session", Presence::kRequired)}; }

Event read_joined(const Fields& fields) {
  SessionJoined event;
  if (!fields.object("session", [&](const Fields& inner) { event.session = read_session(inner); })) {
    fields.complain(ErrorCode::kBadMessage, "session", phrase("is missing; it must be an object"));
  }
  return event;
}

Event read_state(const Fields& fields) {
  return SessionStateChanged{session_of(fields), fields.word<SessionState>("state")};
}

Event read_left(const Fields& fields) {
  return SessionLeft{session_of(fields), fields.text("workstation", kAnyText), fields.text("user", kAnyText),
                     fields.word<LeftReason>("reason")};
}

Event read_granted(const Fields& fields) { return LockGranted{read_locks(fields, "locks")}; }

Event read_released(const Fields& fields) {
  return LockReleased{fields.keys("keys", kAnyList), session_of(fields), fields.flag("changes_pending", false)};
}

Event read_lost(const Fields& fields) {
  return LockLost{fields.keys("keys", kAnyList), fields.word<LockLostReason>("reason"), fields.text("by", kAnyText),
                  fields.text("text", kAnyText)};
}

ChangeAuthor read_author(const Fields& fields) {
  return {fields.word<ChangeAuthor::How>("how", ChangeAuthor::How::kUnknown),
          {fields.decimal("session")},
          fields.text("workstation", kAnyText),
          fields.text("user", kAnyText)};
}

RecordChange read_change(const Fields& fields) {
  RecordChange change;
  change.key = fields.key("key");
  change.op = fields.word<ChangeOp>("op");
  if (fields.has("was")) {
    change.was = fields.key("was");
  }
  change.tables = fields.texts("tables", kAnyList, kAnyText);
  return change;
}

Event read_changes(const Fields& fields) {
  Changes event;
  event.cursor = read_cursor(fields);
  event.lsn = fields.lsn("lsn").value_or(Lsn{});
  event.time = fields.time("time");
  fields.object("by", [&](const Fields& inner) { event.by = read_author(inner); });
  fields.objects("changes", kAnyList, [&](const Fields& inner) { event.changes.push_back(read_change(inner)); });
  fields.objects("bulk", kAnyList, [&](const Fields& inner) {
    auto type = inner.text("type", kAnyText);
    event.bulk.push_back({std::move(type), inner.number("count", std::numeric_limits<std::uint64_t>::max())});
  });
  event.truncated = fields.texts("truncated", kAnyList, kAnyText);
  return event;
}

Event read_snapshot(const Fields& fields) {
  return Snapshot{fields.text("reason", kAnyText), read_cursor_field(fields, "cursor").value_or(Cursor{})};
}

Event read_message(const Fields& fields) {
  MessageFrom event;
  fields.object("from", [&](const Fields& inner) { event.from = read_session(inner); });
  event.to = fields.text("to", kAnyText);
  event.text = fields.text("text", kAnyText);
  event.at = fields.time("at");
  return event;
}

Event read_ping(const Fields&) { return Ping{}; }

Event read_feed(const Fields& fields) {
  return FeedState{fields.text("state", kAnyText), fields.text("reason", kAnyText), fields.text("alarm", kAnyText),
                   fields.text("reason_de", kAnyText), fields.text("alarm_de", kAnyText)};
}

Event read_closing(const Fields& fields) {
  return Closing{fields.word<ClosingReason>("reason"), fields.span("jitter_ms", milliseconds::max())};
}

struct EventReader {
  std::string_view name;
  Event (*read)(const Fields&);
};
constexpr std::array kEvents{EventReader{"changes", read_changes},
                             EventReader{"lock.granted", read_granted},
                             EventReader{"lock.released", read_released},
                             EventReader{"lock.lost", read_lost},
                             EventReader{"session.joined", read_joined},
                             EventReader{"session.state", read_state},
                             EventReader{"session.left", read_left},
                             EventReader{"snapshot", read_snapshot},
                             EventReader{"message", read_message},
                             EventReader{"ping", read_ping},
                             EventReader{"feed", read_feed},
                             EventReader{"closing", read_closing}};

/// The node's status and long lists may be deeper than what a node takes from strangers.
constexpr std::size_t kMaxServerNesting = 64;

}  // namespace

std::optional<Event> read_event(const Fields& fields, std::string_view name) {
  const auto* found = std::ranges::find(kEvents, name, &EventReader::name);
  if (found == kEvents.end()) {
    return std::nullopt;
  }
  return found->read(fields);
}

Result<std::variant<std::monostate, Reply, Event>> decode_from_server(std::string_view json) {
  Document document;
  if (auto parsed = document.parse(json, kMaxServerNesting); !parsed) {
    // To a client one kind of broken message is as good as another.
    parsed.error().code = ErrorCode::kBadMessage;
    return pass(parsed);
  }
  Findings findings{phrase("message of the server"), {}};
  const Fields fields(document.root(), findings);
  std::variant<std::monostate, Reply, Event> out;
  if (fields.has("event")) {
    if (auto event = read_event(fields, fields.text("event", kAnyText))) {
      out = std::move(*event);
    }
  } else if (fields.has("ok")) {
    auto id = read_id(fields, "re");
    out = Reply{std::move(id), read_reply(fields)};
  } else {
    return fail(ErrorCode::kBadMessage, phrase("read a message of the server: neither a reply nor an event"));
  }
  if (findings.error) {
    findings.error->code = ErrorCode::kBadMessage;
    return std::unexpected(std::move(*findings.error));
  }
  return out;
}

}  // namespace verbund::protocol
