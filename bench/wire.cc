#include "wire.h"

#include <charconv>

namespace verbund::bench {
namespace {

constexpr std::string_view kEndOfLine = "\r\n";

Message next_line(std::string_view input) {
  const auto end = input.find('\n');
  if (end == std::string_view::npos) return {};
  return {end + 1, input.substr(0, end)};
}

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

/// An unmasked frame of the server.
Message next_frame(std::string_view input) {
  if (input.size() < 2) return {};
  std::size_t header = 2;
  std::uint64_t length = static_cast<unsigned char>(input[1]) & 0x7f;
  if (length >= 126) {
    const std::size_t extended = length == 126 ? 2 : 8;
    header += extended;
    if (input.size() < header) return {};
    length = big_endian(input.substr(2, extended));
  }
  if (input.size() < header + length) return {};
  return {header + length, input.substr(header, length)};
}

/// The number between the type byte and the end of line at `at`; moves `at` behind it. Nothing: not whole yet.
std::optional<long> resp_number(std::string_view input, std::size_t& at) {
  const auto end = input.find(kEndOfLine, at);
  if (end == std::string_view::npos) return std::nullopt;
  long value = 0;
  std::from_chars(input.data() + at + 1, input.data() + end, value);
  at = end + kEndOfLine.size();
  return value;
}

/// Moves `at` behind one reply; false: not whole yet.
bool skip_resp(std::string_view input, std::size_t& at) {
  if (at >= input.size()) return false;
  const char type = input[at];
  const auto number = resp_number(input, at);
  if (!number) return false;
  if (type == '$' && *number >= 0) {
    at += static_cast<std::size_t>(*number) + kEndOfLine.size();
    return at <= input.size();
  }
  if (type == '*') {
    for (long i = 0; i < *number; ++i) {
      if (!skip_resp(input, at)) return false;
    }
  }
  return true;
}

Message next_resp(std::string_view input) {
  std::size_t at = 0;
  if (!skip_resp(input, at)) return {};
  return {at, input.substr(0, at)};
}

Message next_nats(std::string_view input) {
  const auto end = input.find(kEndOfLine);
  if (end == std::string_view::npos) return {};
  const auto line = input.substr(0, end);
  std::size_t consumed = end + kEndOfLine.size();
  if (line.starts_with("MSG ")) {
    std::size_t bytes = 0;
    const auto length = line.substr(line.rfind(' ') + 1);
    std::from_chars(length.data(), length.data() + length.size(), bytes);
    consumed += bytes + kEndOfLine.size();
    if (input.size() < consumed) return {};
  }
  return {consumed, line};
}

std::string masked_frame(std::string_view payload) {
  constexpr std::string_view kMask = "\x37\xfa\x21\x3d";
  constexpr char kFinText = '\x81', kMasked = '\x80';
  std::string frame(1, kFinText);
  if (payload.size() < 126) {
    frame += static_cast<char>(kMasked | static_cast<char>(payload.size()));
  } else {
    frame += static_cast<char>(kMasked | 126);
    frame += static_cast<char>(payload.size() >> 8);
    frame += static_cast<char>(payload.size() & 0xff);
  }
  frame += kMask;
  for (std::size_t i = 0; i < payload.size(); ++i) frame += static_cast<char>(payload[i] ^ kMask[i % 4]);
  return frame;
}

}  // namespace

std::optional<Wire> wire_from(std::string_view name) {
  if (name == "line") return Wire::kLine;
  if (name == "websocket") return Wire::kWebSocket;
  if (name == "redis") return Wire::kRedis;
  if (name == "nats") return Wire::kNats;
  return std::nullopt;
}

std::string framed(Wire wire, std::string_view json) {
  return wire == Wire::kWebSocket ? masked_frame(json) : std::string(json) + "\n";
}

std::string resp(std::initializer_list<std::string_view> parts) {
  auto command = fmt::format("*{}\r\n", parts.size());
  for (const auto part : parts) command += fmt::format("${}\r\n{}\r\n", part.size(), part);
  return command;
}

Message next_message(Wire wire, std::string_view input) {
  switch (wire) {
    case Wire::kLine: return next_line(input);
    case Wire::kWebSocket: return next_frame(input);
    case Wire::kRedis: return next_resp(input);
    case Wire::kNats: return next_nats(input);
  }
  return {};
}

std::string websocket_upgrade(std::uint16_t port) {
  // The key is the RFC's own sample: the accept value is not checked here, the node's tests do that.
  return fmt::format(
      "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
      port);
}

}  // namespace verbund::bench
