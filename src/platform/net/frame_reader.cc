#include "platform/net/frame_reader.h"

#include <bit>
#include <cstring>

#include "base/utf8.h"

namespace verbund::net {
namespace {

constexpr std::size_t kMaxControlBytes = 125;  // RFC 6455 §5.5

std::uint64_t big_endian(std::span<const char> bytes) {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

/// Bytes through a word of eight: a frame is unmasked before anybody looks at it, so this is on the path of each request.
void apply_mask(std::span<char> bytes, std::array<char, 4> mask) {
  std::uint64_t wide = 0;
  std::memcpy(&wide, mask.data(), 4);
  std::memcpy(reinterpret_cast<char*>(&wide) + 4, mask.data(), 4);
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    word ^= wide;
    std::memcpy(bytes.data() + at, &word, 8);
  }
  for (; at < bytes.size(); ++at) bytes[at] = static_cast<char>(bytes[at] ^ mask[at % 4]);
}

bool is_control(Opcode opcode) { return static_cast<std::uint8_t>(opcode) >= 8; }

bool is_known(std::uint8_t opcode) { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

/// Codes that may stand in a close frame (RFC 6455 §7.4).
bool may_be_sent(std::uint64_t code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) || (code >= 3000 && code < 5000);
}

}  // namespace

FrameHeader frame_header(Opcode opcode, std::size_t payload_bytes) {
  FrameHeader header{};
  header.size = static_cast<std::uint8_t>(frame_header_bytes(payload_bytes));
  header.bytes[0] = static_cast<char>(0x80 | static_cast<std::uint8_t>(opcode));
  if (header.size == 2) {
    header.bytes[1] = static_cast<char>(payload_bytes);
    return header;
  }
  header.bytes[1] = header.size == 4 ? 126 : 127;
  std::uint64_t rest = payload_bytes;
  for (std::size_t i = header.size; i-- > 2; rest >>= 8) header.bytes[i] = static_cast<char>(rest & 0xff);
  return header;
}

void append_masked_frame(std::string& out, Opcode opcode, std::string_view payload, std::uint32_t mask) {
  auto header = frame_header(opcode, payload.size());
  header.bytes[1] = static_cast<char>(header.bytes[1] | 0x80);
  out.append(header.bytes.data(), header.size);
  std::array<char, 4> key{};
  std::memcpy(key.data(), &mask, key.size());
  out.append(key.data(), key.size());
  const auto start = out.size();
  out.append(payload);
  apply_mask(std::span(out).subspan(start), key);
}

std::string close_payload(CloseCode code) {
  const auto number = static_cast<std::uint16_t>(code);
  return {static_cast<char>(number >> 8), static_cast<char>(number & 0xff)};
}

bool FrameReader::parse_header(std::span<const char> input, Header& header) const {
  header.header_bytes = 0;
  if (input.size() < 2) return true;
  const auto first = static_cast<std::uint8_t>(input[0]);
  const auto second = static_cast<std::uint8_t>(input[1]);
  const bool masked = (second & 0x80) != 0;
  if ((first & 0x70) != 0 || !is_known(first & 0x0f) || masked != (side_ == FrameSide::kServer)) return false;
  header.opcode = static_cast<Opcode>(first & 0x0f);
  header.fin = (first & 0x80) != 0;
  const std::size_t short_length = second & 0x7f;
  const std::size_t extra = short_length == 126 ? 2 : short_length == 127 ? 8 : 0;
  header.payload_bytes = short_length;
  if (!allowed(header)) return false;
  const std::size_t whole = 2 + extra + (masked ? 4 : 0);
  if (input.size() < whole) return true;
  if (extra > 0) header.payload_bytes = big_endian(input.subspan(2, extra));
  // The shortest form is a must, and the highest bit of 64 a zero (§5.2).
  if ((extra == 2 && header.payload_bytes < 126) || (extra == 8 && header.payload_bytes < 65'536)) return false;
  if (header.payload_bytes >> 63 != 0) return false;
  header.mask = {};
  if (masked) std::memcpy(header.mask.data(), input.data() + 2 + extra, 4);
  header.header_bytes = whole;
  return true;
}

bool FrameReader::allowed(const Header& header) const {
  if (is_control(header.opcode)) return header.fin && header.payload_bytes <= kMaxControlBytes;
  return (header.opcode == Opcode::kContinuation) == (fragments_ != nullptr);
}

FrameReader::Step FrameReader::next(std::span<char> input, std::size_t max_message_bytes) {
  message_.reset();
  Header header{};
  if (!parse_header(input, header)) return {Event::kFailed, 0, {}, CloseCode::kProtocolError};
  if (header.header_bytes == 0) return {Event::kNeedMore, 0, {}};
  if (header.opcode == Opcode::kBinary) return {Event::kFailed, 0, {}, CloseCode::kUnsupported};
  if (!is_control(header.opcode)) {
    const std::size_t before = fragments_ ? fragments_->size() : 0;
    if (header.payload_bytes > max_message_bytes || before + header.payload_bytes > max_message_bytes) {
      return {Event::kFailed, 0, {}, CloseCode::kTooLarge, before + header.payload_bytes};
    }
  }
  if (input.size() - header.header_bytes < header.payload_bytes) return {Event::kNeedMore, 0, {}};
  const auto payload = input.subspan(header.header_bytes, header.payload_bytes);
  if (side_ == FrameSide::kServer) apply_mask(payload, header.mask);
  const std::string_view text(payload.data(), payload.size());
  const std::size_t consumed = header.header_bytes + payload.size();
  return is_control(header.opcode) ? control(header, text, consumed) : data(header, text, consumed);
}

FrameReader::Step FrameReader::control(const Header& header, std::string_view payload, std::size_t consumed) {
  if (header.opcode == Opcode::kPing) return {Event::kPing, consumed, payload};
  if (header.opcode == Opcode::kPong) return {Event::kPong, consumed, payload};
  if (payload.empty()) return {Event::kClose, consumed, payload};
  if (payload.size() < 2 || !may_be_sent(big_endian(std::span(payload).first(2)))) {
    return {Event::kFailed, consumed, {}, CloseCode::kProtocolError};
  }
  if (!is_utf8(payload.substr(2))) return {Event::kFailed, consumed, {}, CloseCode::kBadUtf8};
  return {Event::kClose, consumed, payload};
}

FrameReader::Step FrameReader::data(const Header& header, std::string_view payload, std::size_t consumed) {
  if (header.fin && !fragments_) {
    if (!is_utf8(payload)) return {Event::kFailed, consumed, {}, CloseCode::kBadUtf8};
    return {Event::kMessage, consumed, payload};
  }
  if (!fragments_) fragments_ = std::make_unique<std::string>();
  fragments_->append(payload);
  if (!header.fin) return {Event::kNeedMore, consumed, {}};
  message_ = std::move(fragments_);
  if (!is_utf8(*message_)) return {Event::kFailed, consumed, {}, CloseCode::kBadUtf8};
  return {Event::kMessage, consumed, *message_};
}

}  // namespace verbund::net
