#pragma once
/// From the protocol's values to those of the installed header. Pure.
#include <optional>
#include <string>

#include "base/messages.h"
#include "client/engine.h"
#include "protocol/messages.h"
#include "verbund/client.h"

namespace verbund::client {

Failure failure(const Error& error, Language language);
/// Of an outcome that is not what the call wanted.
Failure failure_of(const protocol::ReplyBody& outcome, Language language);
ConnectionState to_public(State state);
SessionInfo to_public(const protocol::SessionView& view);
LockInfo to_public(const protocol::LockView& view);
verbund::Changes to_public(const protocol::Changes& changes);
std::string to_text(const Cursor& cursor);  ///< "HISTORY:CSN"
std::optional<Cursor> parse_cursor(std::string_view text);
std::string to_text(protocol::SessionState state);
std::string to_text(protocol::LeftReason reason);
std::string to_text(protocol::LockLostReason reason);
std::optional<protocol::ChangeOp> parse_op(std::string_view text);

}  // namespace verbund::client
