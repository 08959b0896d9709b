// The secret key of a recipient on paper.
#include <sodium.h>

#include "backup/codes.h"
#include "backup/keys.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

constexpr std::string_view kPrefix = "AGE-SECRET-KEY-1";
constexpr std::size_t kGroup = 4;        // digits of a group, without its check digit
constexpr std::size_t kDigits = 58;      // behind the prefix: 52 for 32 bytes, 6 are bech32's check sum
constexpr std::size_t kGroups = (kDigits + kGroup - 1) / kGroup;
constexpr std::size_t kTyped = kDigits + kGroups;

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char digit_of(std::size_t value) { return upper(kBech32Digits[value]); }

/// What people read for a digit that bech32 does not have.
std::size_t value_of(char typed) {
  const char c = upper(typed);
  const char meant = c == 'O' ? '0' : c == 'I' || c == '1' ? 'L' : c == 'B' ? '8' : c;
  return kBech32Digits.find(meant >= 'A' && meant <= 'Z' ? static_cast<char>(meant - 'A' + 'a') : meant);
}

/// Multiplication in GF(32) with x^5 + x^2 + 1.
unsigned times(unsigned left, unsigned right) {
  unsigned product = 0;
  for (; right != 0; right >>= 1) {
    if ((right & 1) != 0) product ^= left;
    left <<= 1;
    if ((left & 32) != 0) left ^= 37;
  }
  return product;
}

/// Every place has a weight of its own, and so has the group's number: one wrong digit, two that changed places and two
/// groups that changed places are always noticed.
char check_digit(std::size_t group, std::span<const std::size_t> values) {
  unsigned sum = times(16, static_cast<unsigned>(group + 1));
  for (std::size_t i = 0; i < values.size(); ++i) sum ^= times(1U << i, static_cast<unsigned>(values[i]));
  return digit_of(sum);
}

std::unexpected<Error> bad_group(std::size_t group) {
  return fail(ErrorCode::kDamaged, phrase("recovery key: group {} is mistyped", group + 1),
              phrase("Compare group {} with the sheet, letter by letter.", group + 1));
}

}  // namespace

std::string RecipientKey::recovery_text() const {
  std::string digits = age_text().substr(kPrefix.size());
  std::string text;
  for (std::size_t group = 0; group < kGroups; ++group) {
    const std::string_view part = std::string_view(digits).substr(group * kGroup, kGroup);
    std::array<std::size_t, kGroup> values{};
    for (std::size_t i = 0; i < part.size(); ++i) values[i] = value_of(part[i]);
    if (group > 0) text += ' ';
    text += part;
    text += check_digit(group, std::span(values).first(part.size()));
  }
  sodium_memzero(digits.data(), digits.size());
  return text;
}

Result<RecipientKey> RecipientKey::from_recovery_text(std::string_view given) {
  std::string typed;
  for (const char c : given) {
    if (c == '-' || c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    typed += upper(c);
    if (typed.size() > 2 * kTyped) break;
  }
  constexpr std::string_view kWhole = "AGESECRETKEY1";
  if (typed.starts_with(kWhole)) return parse(std::string(kPrefix) + typed.substr(kWhole.size()));
  std::string digits;
  for (std::size_t group = 0, at = 0; group < kGroups; ++group) {
    const std::size_t length = std::min(kGroup, kDigits - group * kGroup);
    if (typed.size() < at + length + 1) return bad_group(group);
    std::array<std::size_t, kGroup> values{};
    for (std::size_t i = 0; i < length; ++i) {
      values[i] = value_of(typed[at + i]);
      if (values[i] == std::string_view::npos) return bad_group(group);
      digits += digit_of(values[i]);
    }
    const std::size_t check = value_of(typed[at + length]);
    if (check == std::string_view::npos || digit_of(check) != check_digit(group, std::span(values).first(length))) return bad_group(group);
    at += length + 1;
  }
  if (typed.size() != kTyped) {
    return fail(ErrorCode::kDamaged, phrase("recovery key: {} letters more than a sheet has", typed.size() - kTyped));
  }
  auto key = parse(std::string(kPrefix) + digits);
  if (!key) return fail(ErrorCode::kDamaged, phrase("recovery key: the groups are no key together; is the whole sheet typed?"));
  return key;
}

}  // namespace verbund::backup
