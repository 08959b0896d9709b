/// What a node, or who claims to be one, sends to a client. What is taken must survive being written and read again.
#include <cstdlib>

#include "protocol/codec.h"

#include "base/utf8.h"

namespace {

using namespace verbund::protocol;

void require(bool held) {
  if (!held) {
    std::abort();
  }
}

/// Grants name tokens by key, so that keys which stand twice come back with their first token each; and a status is
/// text of its own. All else must come back equal.
bool comparable(const Reply& reply) {
  return !std::holds_alternative<Granted>(reply.body) && !std::holds_alternative<StatusReply>(reply.body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto message = decode_from_server({reinterpret_cast<const char*>(data), size});
  if (!message) {
    require(message.error().code == verbund::ErrorCode::kBadMessage);
    return 0;
  }
  std::string json;
  if (const auto* event = std::get_if<Event>(&*message)) {
    encode_event(json, *event);
  } else if (const auto* reply = std::get_if<Reply>(&*message)) {
    encode_reply(json, reply->id, reply->body);
  } else {
    return 0;
  }
  require(verbund::is_utf8(json) && json.find('\n') == std::string::npos);
  const auto again = decode_from_server(json);
  require(again.has_value());
  const auto* reply = std::get_if<Reply>(&*message);
  require((reply != nullptr && !comparable(*reply)) || *again == *message);
  return 0;
}
