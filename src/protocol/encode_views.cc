#include "protocol/json_write.h"

namespace verbund::protocol {

std::string_view to_wire(Mode mode) { return word_of(mode); }

void append_json(std::string& out, const SessionView& view) {
  ObjectWriter json(out);
  json.decimal("session", view.session.value);
  json.text("workstation", view.workstation);
  json.text("user", view.user);
  json.text("address", view.address);
  json.text("app", view.app);
  json.word("kind", view.kind);
  json.time("since", view.since);
  json.word("state", view.state);
}

void append_json(std::string& out, const LockView& view) {
  ObjectWriter json(out);
  json.key("key", view.key);
  json.decimal("token", view.token.value);
  json.decimal("session", view.session.value);
  json.text("workstation", view.workstation);
  json.text("user", view.user);
  json.text("address", view.address);
  json.time("since", view.since);
  json.text("note", view.note);
  json.word("state", view.state);
  json.number("waiting", view.waiting);
}

void append_json(std::string& out, const Cursor& cursor) {
  ObjectWriter json(out);
  json.text("history", cursor.history.value);
  json.decimal("csn", cursor.csn.value);
}

void append_json(std::string& out, const Watch& watch) {
  ObjectWriter json(out);
  json.texts("types", watch.types);
  json.flag("locks", watch.locks);
  json.flag("presence", watch.presence);
}

}  // namespace verbund::protocol
