#include "node/mirror/code.h"

#include <cstdint>

#include "base/messages.h"

namespace verbund::node {
namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";  // RFC 4648's, small: no 0, 1, 8, 9
constexpr std::size_t kBytes = kCodeSecretBytes + kCodeFingerprintBytes;
constexpr std::size_t kSigns = (kBytes * 8 + 4) / 5;
constexpr std::size_t kGroup = 7;

std::uint8_t digit(char c) { return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); }

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

}  // namespace

std::string to_text(const MirrorCode& code) {
  const std::string bytes = from_hex(code.secret) + code.fingerprint;
  std::string text;
  std::uint32_t held = 0;
  int bits = 0;
  std::size_t signs = 0;
  const auto put = [&](std::uint32_t value) {
    if (signs > 0 && signs % kGroup == 0) text += '-';
    text += kLetters[value & 31U];
    ++signs;
  };
  for (const char c : bytes) {
    held = held << 8 | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 5; bits -= 5) put(held >> (bits - 5));
  }
  if (bits > 0) put(held << (5 - bits));
  return text;
}

Result<MirrorCode> parse_mirror_code(std::string_view text) {
  std::string bytes;
  std::uint32_t held = 0;
  int bits = 0;
  std::size_t signs = 0;
  for (char c : text) {
    if (c == '-' || c == ' ') continue;
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const auto value = kLetters.find(c);
    if (value == std::string_view::npos) {
      return fail(ErrorCode::kUsage, phrase("read the code: it holds a sign that no code has"), phrase("A code has letters, the digits 2 to 7 and '-'."));
    }
    ++signs;
    held = held << 5 | static_cast<std::uint32_t>(value);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>(held >> bits & 255U);
    }
  }
  if (signs != kSigns) {
    return fail(ErrorCode::kUsage, phrase("read the code: it has {} signs, not {}", signs, kSigns), phrase("Copy it whole, as `verbund mirror invite` has shown it."));
  }
  return MirrorCode{to_hex(std::string_view(bytes).substr(0, kCodeSecretBytes)), bytes.substr(kCodeSecretBytes, kCodeFingerprintBytes)};
}

}  // namespace verbund::node
