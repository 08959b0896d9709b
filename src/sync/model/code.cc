#include "sync/model/code.h"

#include <cstdint>

#include "base/messages.h"

namespace verbund::sync {
namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";  // RFC 4648's, small: no 0, 1, 8, 9
constexpr std::size_t kBytes = kEnrolSecretBytes + kEnrolFingerprintBytes;
constexpr std::size_t kSigns = (kBytes * 8 + 4) / 5;
constexpr std::size_t kGroup = 7;

}  // namespace

std::string to_text(const EnrolCode& code) {
  std::string text;
  std::uint32_t held = 0;
  int bits = 0;
  std::size_t signs = 0;
  const auto put = [&](std::uint32_t value) {
    if (signs > 0 && signs % kGroup == 0) text += '-';
    text += kLetters[value & 31U];
    ++signs;
  };
  for (const char c : code.secret + code.fingerprint) {
    held = held << 8 | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 5; bits -= 5) put(held >> (bits - 5));
  }
  if (bits > 0) put(held << (5 - bits));
  return text;
}

Result<EnrolCode> parse_enrol_code(std::string_view text) {
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
    if (++signs > kSigns) continue;
    held = held << 5 | static_cast<std::uint32_t>(value);
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(held >> bits & 255U);
  }
  if (signs != kSigns) {
    return fail(ErrorCode::kUsage, phrase("read the code: it has {} signs, not {}", signs, kSigns), phrase("Copy it whole, as `verbund sync device invite` has shown it."));
  }
  return EnrolCode{bytes.substr(0, kEnrolSecretBytes), bytes.substr(kEnrolSecretBytes)};
}

}  // namespace verbund::sync
