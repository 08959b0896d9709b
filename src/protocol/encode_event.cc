#include "protocol/json_write.h"

namespace verbund::protocol {
namespace {

void append_author(std::string& out, const ChangeAuthor& by) {
  ObjectWriter json(out);
  json.word("how", by.how);
  if (by.session) {
    json.decimal("session", by.session.value);
  }
  json.text_if_any("workstation", by.workstation);
  json.text_if_any("user", by.user);
}

void append_change(std::string& out, const RecordChange& change) {
  ObjectWriter json(out);
  json.key("key", change.key);
  json.word("op", change.op);
  if (change.was) {
    json.key("was", *change.was);
  }
  if (!change.tables.empty()) {
    json.texts("tables", change.tables);
  }
}

void append_bulk(std::string& out, const BulkChange& bulk) {
  ObjectWriter json(out);
  json.text("type", bulk.type);
  json.number("count", bulk.count);
}

/// Writes "event" and its fields.
struct EventWriter {
  ObjectWriter& json;

  void operator()(const SessionJoined& joined) const {
    json.text("event", "session.joined");
    append_json(json.field("session"), joined.session);
  }
  void operator()(const SessionStateChanged& changed) const {
    json.text("event", "session.state");
    json.decimal("session", changed.session.value);
    json.word("state", changed.state);
  }
  void operator()(const SessionLeft& left) const {
    json.text("event", "session.left");
    json.decimal("session", left.session.value);
    json.text("workstation", left.workstation);
    json.text("user", left.user);
    json.word("reason", left.reason);
  }
  void operator()(const LockGranted& granted) const {
    json.text("event", "lock.granted");
    json.list("locks", granted.locks, append_view<LockView>);
  }
  void operator()(const LockReleased& released) const {
    json.text("event", "lock.released");
    json.keys("keys", released.keys);
    json.decimal("session", released.session.value);
    if (released.changes_pending) {
      json.flag("changes_pending", true);
    }
  }
  void operator()(const LockLost& lost) const {
    json.text("event", "lock.lost");
    json.keys("keys", lost.keys);
    json.word("reason", lost.reason);
    json.text_if_any("by", lost.by);
    json.text_if_any("text", lost.text);
  }
  void operator()(const Changes& changes) const {
    json.text("event", "changes");
    json.text("history", changes.cursor.history.value);
    json.decimal("csn", changes.cursor.csn.value);
    json.text("lsn", to_string(changes.lsn));
    json.time("time", changes.time);
    append_author(json.field("by"), changes.by);
    json.list("changes", changes.changes, append_change);
    if (!changes.bulk.empty()) {
      json.list("bulk", changes.bulk, append_bulk);
    }
    if (!changes.truncated.empty()) {
      json.texts("truncated", changes.truncated);
    }
  }
  void operator()(const Snapshot& snapshot) const {
    json.text("event", "snapshot");
    json.text("reason", snapshot.reason);
    append_json(json.field("cursor"), snapshot.cursor);
  }
  void operator()(const MessageFrom& message) const {
    json.text("event", "message");
    append_json(json.field("from"), message.from);
    json.text("to", message.to);
    json.text("text", message.text);
    json.time("at", message.at);
  }
  void operator()(const Ping&) const { json.text("event", "ping"); }
  void operator()(const FeedState& feed) const {
    json.text("event", "feed");
    json.text("state", feed.state);
    json.text_if_any("reason", feed.reason);
    json.text_if_any("alarm", feed.alarm);
    json.text_if_any("reason_de", feed.reason_de);
    json.text_if_any("alarm_de", feed.alarm_de);
  }
  void operator()(const Closing& closing) const {
    json.text("event", "closing");
    json.word("reason", closing.reason);
    json.span("jitter_ms", closing.jitter);
  }
};

}  // namespace

void encode_event(std::string& out, const Event& event) {
  ObjectWriter json(out);
  std::visit(EventWriter{json}, event);
}

}  // namespace verbund::protocol
