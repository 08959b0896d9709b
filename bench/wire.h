#pragma once
/// The four ways to speak that the generators know, as bytes. Pure. Only as much of each as a measurement needs:
/// messages are taken apart, not understood.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace verbund::bench {

enum class Wire : std::uint8_t { kLine, kWebSocket, kRedis, kNats };

/// "line", "websocket", "redis", "nats".
std::optional<Wire> wire_from(std::string_view name);
[[nodiscard]] constexpr bool is_ours(Wire wire) { return wire == Wire::kLine || wire == Wire::kWebSocket; }

/// A JSON message framed for one of our wires (WebSocket: masked, as RFC 6455 §5.3 wants of clients).
std::string framed(Wire wire, std::string_view json);
/// A Redis command as an array of bulk strings.
std::string resp(std::initializer_list<std::string_view> parts);

struct Message {
  std::size_t consumed = 0;  ///< zero: more bytes are needed
  std::string_view body;     ///< JSON; Redis: from the type byte on; NATS: from the verb on
};
/// The first whole message in `input`.
Message next_message(Wire wire, std::string_view input);

std::string websocket_upgrade(std::uint16_t port);

}  // namespace verbund::bench
