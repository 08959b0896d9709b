#pragma once
/// JSON of the messages, both ways: the node decodes requests and encodes replies and events, the client library the
/// other way round. Pure, any thread. Hot operations (lock, unlock, beat and their replies) allocate little: decoding
/// parses in place of a stack buffer, encoding appends to the caller's string.
#include <string>
#include <string_view>
#include <variant>

#include "protocol/messages.h"

namespace verbund::protocol {

/// A request that can't be taken, with the id it should be answered under (when one could be read).
struct BadRequest {
  RequestId id;
  Error error;  ///< kBadMessage, kBadUtf8, kTooDeep, kTooLarge, kUnknownOp, kTooManyKeys, kBadKey
};
std::expected<Request, BadRequest> decode_request(std::string_view json);

/// Appends one JSON object without newline.
void encode_reply(std::string& out, const RequestId& id, const ReplyBody& body);
void encode_event(std::string& out, const Event& event);

/// Error texts in the session's language: translates message frame words and hints (messages.h of base).
void encode_refused(std::string& out, const RequestId& id, const Refused& refused, Language language);

// ---- the client's side ----------------------------------------------------------------------------------------

void encode_request(std::string& out, const Request& request);

struct Reply {
  RequestId id;
  ReplyBody body;  ///< which one follows from the fields present; a bare ok is Done, a bare cursor BeatReply
  friend bool operator==(const Reply&, const Reply&) = default;
};
/// Errors: kBadMessage. Unknown events are Ping-like and must be ignored: they decode to std::monostate.
Result<std::variant<std::monostate, Reply, Event>> decode_from_server(std::string_view json);

/// JSON of the views, used by REST as well.
void append_json(std::string& out, const SessionView& view);
void append_json(std::string& out, const LockView& view);
/// A JSON string literal with quotes; `text` is UTF-8, bytes that are not become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

std::string_view to_wire(Mode mode);

}  // namespace verbund::protocol
