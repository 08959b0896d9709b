#pragma once
/// RFC 6455 frames, both sides, without extensions. Pure; bytes come from anybody.
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace verbund::net {

enum class Opcode : std::uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

/// Close codes that we send (RFC 6455 §7.4.1).
enum class CloseCode : std::uint16_t {
  kNormal = 1000,
  kProtocolError = 1002,
  kUnsupported = 1003,
  kBadUtf8 = 1007,
  kTooLarge = 1009,
};

/// Header of an unmasked, unfragmented frame: at most 10 bytes, deterministic, so that a write can resume within it.
struct FrameHeader {
  std::array<char, 10> bytes;
  std::uint8_t size;
};
FrameHeader frame_header(Opcode opcode, std::size_t payload_bytes);
constexpr std::size_t frame_header_bytes(std::size_t payload_bytes) {
  return payload_bytes < 126 ? 2 : payload_bytes < 65'536 ? 4 : 10;
}
/// Appends a masked frame, as clients send them.
void append_masked_frame(std::string& out, Opcode opcode, std::string_view payload, std::uint32_t mask);
/// Payload of a close frame.
std::string close_payload(CloseCode code);

enum class FrameSide { kServer, kClient };

/// Takes frames apart and puts fragmented messages together.
class FrameReader {
 public:
  explicit FrameReader(FrameSide side) : side_(side) {}
  enum class Event { kNeedMore, kMessage, kPing, kPong, kClose, kFailed };
  struct Step {
    Event event;
    std::size_t consumed;       ///< of `input`; not to be handed in again
    std::string_view payload;   ///< within `input` or this reader; good until the next call
    CloseCode code = CloseCode::kNormal;  ///< kFailed: why; nothing may be read after it
    std::size_t bytes = 0;      ///< kFailed with kTooLarge: announced size so far
  };
  /// Unmasks within `input`, which begins with what the last step left over. Only UTF-8 text comes out as kMessage.
  Step next(std::span<char> input, std::size_t max_message_bytes);

 private:
  struct Header {
    Opcode opcode;
    bool fin;
    std::size_t header_bytes;  ///< zero: not whole yet
    std::uint64_t payload_bytes;
    std::array<char, 4> mask;
  };
  [[nodiscard]] bool parse_header(std::span<const char> input, Header& header) const;
  [[nodiscard]] bool allowed(const Header& header) const;
  Step control(const Header& header, std::string_view payload, std::size_t consumed);
  Step data(const Header& header, std::string_view payload, std::size_t consumed);

  FrameSide side_;
  std::unique_ptr<std::string> fragments_;  ///< null: no fragmented message is open
  std::unique_ptr<std::string> message_;    ///< the last one put together
};

}  // namespace verbund::net
