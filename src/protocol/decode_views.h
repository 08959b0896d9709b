#pragma once
/// Parts that occur in several messages, read. Private to protocol.
#include "protocol/codec.h"
#include "protocol/json_read.h"

namespace verbund::protocol {

/// How much is believed: a node checks every length, a client takes what its node says.
inline constexpr ListRule kAnyList{};
inline constexpr TextRule kAnyText{.controls = Controls::kAny};

/// Empty when absent.
RequestId read_id(const Fields& fields, std::string_view name);
Cursor read_cursor(const Fields& fields);
std::optional<Cursor> read_cursor_field(const Fields& fields, std::string_view name);
Watch read_watch(const Fields& fields);
SessionView read_session(const Fields& fields);
LockView read_lock(const Fields& fields);
std::vector<SessionView> read_sessions(const Fields& fields, std::string_view name);
std::vector<LockView> read_locks(const Fields& fields, std::string_view name);

/// The event that `fields` is; std::nullopt when its name is not known here.
std::optional<Event> read_event(const Fields& fields, std::string_view name);
ReplyBody read_reply(const Fields& fields);

}  // namespace verbund::protocol
