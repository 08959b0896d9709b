#include "client/public_views.h"

#include "base/messages.h"

namespace verbund::client {

Failure failure(const Error& error, Language language) {
  Failure failure;
  failure.code = wire_name(error.code);
  failure.message = message_in(language, error);
  failure.hint = hint_in(language, error);
  failure.exit_code = exit_code(error.code);
  return failure;
}

Failure failure_of(const protocol::ReplyBody& outcome, Language language) {
  const auto* refused = std::get_if<protocol::Refused>(&outcome);
  if (!refused) return failure(make_error(ErrorCode::kBadMessage, phrase("read the node's answer: it answers another question")), language);
  auto result = failure(refused->error, language);
  if (refused->holder) result.holder_ = std::make_shared<LockInfo>(to_public(*refused->holder));
  return result;
}

ConnectionState to_public(State state) {
  switch (state) {
    case State::kIdle:
    case State::kConnecting: return ConnectionState::kConnecting;
    case State::kConnected: return ConnectionState::kConnected;
    case State::kReadOnly: return ConnectionState::kReadOnly;
    case State::kEnded: return ConnectionState::kEnded;
  }
  return ConnectionState::kEnded;
}

SessionInfo to_public(const protocol::SessionView& view) {
  return {std::to_string(view.session.value), view.workstation, view.user, view.address, view.app, to_iso8601(view.since),
          to_text(view.state), view.kind == protocol::SessionKind::kTool};
}

LockInfo to_public(const protocol::LockView& view) {
  return {to_string(view.key), std::to_string(view.token.value), std::to_string(view.session.value), view.workstation, view.user,
          view.address, to_iso8601(view.since), view.note, view.state == protocol::LockState::kHeld ? "held" : "releasing", view.waiting};
}

verbund::Changes to_public(const protocol::Changes& changes) {
  static constexpr const char* kOps[] = {"insert", "update", "delete"};
  static constexpr const char* kHow[] = {"unknown", "message", "lock"};
  verbund::Changes out;
  out.cursor = to_text(changes.cursor);
  out.lsn = to_string(changes.lsn);
  out.time = to_iso8601(changes.time);
  out.by_how = kHow[static_cast<int>(changes.by.how)];
  if (changes.by.session) out.by_session = std::to_string(changes.by.session.value);
  out.by_workstation = changes.by.workstation;
  out.by_user = changes.by.user;
  for (const auto& change : changes.changes) {
    out.changes.push_back({to_string(change.key), kOps[static_cast<int>(change.op)], change.was ? to_string(*change.was) : "", change.tables});
  }
  for (const auto& bulk : changes.bulk) out.bulk.emplace_back(bulk.type, bulk.count);
  out.truncated = changes.truncated;
  return out;
}

std::string to_text(const Cursor& cursor) { return fmt::format("{}:{}", cursor.history.value, cursor.csn.value); }

std::optional<Cursor> parse_cursor(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto csn = parse_u64(text.substr(colon + 1));
  if (!csn) return std::nullopt;
  return Cursor{{std::string(text.substr(0, colon))}, {*csn}};
}

std::string to_text(protocol::SessionState state) {
  switch (state) {
    case protocol::SessionState::kActive: return "active";
    case protocol::SessionState::kSuspect: return "suspect";
    case protocol::SessionState::kReconnecting: return "reconnecting";
  }
  return "active";
}

std::string to_text(protocol::LeftReason reason) {
  switch (reason) {
    case protocol::LeftReason::kGoodbye: return "goodbye";
    case protocol::LeftReason::kLost: return "lost";
    case protocol::LeftReason::kReplaced: return "replaced";
    case protocol::LeftReason::kRemoved: return "removed";
  }
  return "lost";
}

std::string to_text(protocol::LockLostReason reason) {
  switch (reason) {
    case protocol::LockLostReason::kBroken: return "broken";
    case protocol::LockLostReason::kExpired: return "expired";
    case protocol::LockLostReason::kRefused: return "refused";
  }
  return "expired";
}

std::optional<protocol::ChangeOp> parse_op(std::string_view text) {
  if (text == "insert") return protocol::ChangeOp::kInsert;
  if (text == "update") return protocol::ChangeOp::kUpdate;
  if (text == "delete") return protocol::ChangeOp::kDelete;
  return std::nullopt;
}

}  // namespace verbund::client
