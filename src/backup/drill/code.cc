// The code that a person carries from the drill to the office.
#include <sodium.h>

#include <array>

#include "backup/drill/record.h"

namespace verbund::backup {
namespace {

/// Without letters that look like digits (Crockford's base 32).
constexpr std::string_view kLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kBytes = 15, kSymbols = 24, kGroup = 4;
constexpr std::size_t kSaidBytes = 7, kCheckBytes = kBytes - kSaidBytes;
constexpr std::chrono::sys_days kFirstDay{std::chrono::year{2020} / 1 / 1};
constexpr unsigned char kPassed = 1, kSameSystem = 2;
using Bytes = std::array<unsigned char, kBytes>;

std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' && c != '\t') out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

/// Set number (4 bytes), days since 2020 (2), flags (1).
void put_said(const DrillRecord& record, Bytes& bytes) {
  for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<unsigned char>(record.sequence >> (8 * (3 - i)));
  const auto days = static_cast<unsigned>((record.day - kFirstDay).count());
  bytes[4] = static_cast<unsigned char>(days >> 8);
  bytes[5] = static_cast<unsigned char>(days);
  bytes[6] = static_cast<unsigned char>((record.passed ? kPassed : 0) | (record.same_system ? kSameSystem : 0));
}

void put_check(const DrillRecord& record, std::string_view secret, Bytes& bytes) {
  std::string covered = fmt::format("verbund drill\n{}\n{}\n{}\n", record.installation, plain(record.by), plain(record.system));
  covered.append(reinterpret_cast<const char*>(bytes.data()), kSaidBytes);
  const auto proof = drill_proof(covered, secret);  // hex
  for (std::size_t i = 0; i < kCheckBytes; ++i) bytes[kSaidBytes + i] = static_cast<unsigned char>(std::stoi(proof.substr(2 * i, 2), nullptr, 16));
}

std::optional<Bytes> bytes_of(std::string_view code) {
  Bytes bytes{};
  std::size_t symbols = 0;
  for (char c : code) {
    if (c == ' ' || c == '-' || c == '\n' || c == '\r' || c == '\t') continue;
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (c == 'O') c = '0';
    if (c == 'I' || c == 'L') c = '1';
    const auto value = kLetters.find(c);
    if (value == std::string_view::npos || symbols == kSymbols) return std::nullopt;
    for (std::size_t bit = 0; bit < 5; ++bit) {
      const std::size_t at = symbols * 5 + bit;
      if ((value >> (4 - bit)) & 1) bytes[at / 8] = static_cast<unsigned char>(bytes[at / 8] | (0x80 >> (at % 8)));
    }
    ++symbols;
  }
  return symbols == kSymbols ? std::optional(bytes) : std::nullopt;
}

}  // namespace

std::string drill_code(const DrillRecord& record, std::string_view secret) {
  Bytes bytes{};
  put_said(record, bytes);
  put_check(record, secret, bytes);
  std::string out;
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    std::size_t value = 0;
    for (std::size_t bit = 0; bit < 5; ++bit) {
      const std::size_t at = symbol * 5 + bit;
      value = value << 1 | ((bytes[at / 8] >> (7 - at % 8)) & 1);
    }
    if (symbol > 0 && symbol % kGroup == 0) out += '-';
    out += kLetters[value];
  }
  return out;
}

Result<DrillRecord> read_drill_code(std::string_view code, const std::string& installation, const std::string& by, const std::string& system,
                                    std::string_view secret) {
  const auto bytes = bytes_of(code);
  if (!bytes) return fail(ErrorCode::kUsage, phrase("enter a drill: '{}' is no code", std::string(code.substr(0, 100))), phrase("Six groups of four letters and digits, as the drill has printed them."));
  DrillRecord record;
  record.installation = installation;
  record.by = by;
  record.system = system;
  for (std::size_t i = 0; i < 4; ++i) record.sequence = record.sequence << 8 | (*bytes)[i];
  record.day = kFirstDay + std::chrono::days{(*bytes)[4] << 8 | (*bytes)[5]};
  record.passed = ((*bytes)[6] & kPassed) != 0;
  record.same_system = ((*bytes)[6] & kSameSystem) != 0;
  Bytes expected{};
  put_said(record, expected);
  put_check(record, secret, expected);
  if (sodium_memcmp(expected.data(), bytes->data(), kBytes) == 0) return record;
  return fail(ErrorCode::kForbidden, phrase("enter a drill: the code does not fit {} on {}", by, system),
              phrase("A mistyped letter, another person or system than the drill has printed, or the set of another office."));
}

}  // namespace verbund::backup
