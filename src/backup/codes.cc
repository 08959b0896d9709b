#include "backup/codes.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include <sodium.h>

namespace verbund::backup {
namespace {

int variant(Padding padding) {
  return padding == Padding::kNone ? sodium_base64_VARIANT_ORIGINAL_NO_PADDING : sodium_base64_VARIANT_ORIGINAL;
}

constexpr std::size_t kCheckDigits = 6;

std::uint32_t polymod(std::span<const unsigned char> values) {
  static constexpr std::array<std::uint32_t, 5> kGenerator{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
  std::uint32_t check = 1;
  for (const unsigned char value : values) {
    const std::uint32_t top = check >> 25;
    check = (check & 0x1ffffff) << 5 ^ value;
    for (std::size_t i = 0; i < kGenerator.size(); ++i) check ^= (top >> i & 1) != 0 ? kGenerator[i] : 0;
  }
  return check;
}

std::vector<unsigned char> expanded(std::string_view prefix) {
  std::vector<unsigned char> values;
  for (const char c : prefix) values.push_back(static_cast<unsigned char>(static_cast<unsigned char>(c) >> 5));
  values.push_back(0);
  for (const char c : prefix) values.push_back(static_cast<unsigned char>(c & 31));
  return values;
}

/// Groups of `from` bits as groups of `to` bits. Nothing: bits are left over that are not padding.
std::optional<std::vector<unsigned char>> regrouped(std::span<const unsigned char> values, unsigned from, unsigned to, bool pad) {
  std::vector<unsigned char> out;
  std::uint32_t held = 0;
  unsigned bits = 0;
  const std::uint32_t mask = (1U << to) - 1;
  for (const unsigned char value : values) {
    held = (held << from | value) & 0xfff;
    bits += from;
    while (bits >= to) {
      bits -= to;
      out.push_back(static_cast<unsigned char>(held >> bits & mask));
    }
  }
  const auto rest = static_cast<unsigned char>(held << (to - bits) & mask);
  if (pad && bits > 0) out.push_back(rest);
  if (!pad && (bits >= from || rest != 0)) return std::nullopt;
  return out;
}

std::optional<std::string> in_lower_case(std::string_view text) {
  const auto upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  if (std::ranges::any_of(text, upper) && std::ranges::any_of(text, lower)) return std::nullopt;
  std::string out(text);
  std::ranges::transform(out, out.begin(), [&](char c) { return upper(c) ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

}  // namespace

std::string to_base64(std::span<const unsigned char> bytes, Padding padding) {
  std::string text(sodium_base64_encoded_len(bytes.size(), variant(padding)), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), variant(padding));
  text.pop_back();  // its terminator
  return text;
}

bool from_base64(std::string_view text, std::span<unsigned char> into, Padding padding) {
  std::size_t bytes = 0;
  const char* end = nullptr;
  const bool decoded =
      sodium_base642bin(into.data(), into.size(), text.data(), text.size(), nullptr, &bytes, &end, variant(padding)) == 0 &&
      bytes == into.size();
  // libsodium 1.0.18 takes some bytes above 127 for letters: only what comes out again the same was base64.
  return decoded && to_base64(into, padding) == text;
}

std::string to_bech32(std::string_view prefix, std::span<const unsigned char> bytes) {
  const auto digits = regrouped(bytes, 8, 5, true).value_or(std::vector<unsigned char>{});
  std::vector<unsigned char> values = expanded(prefix);
  values.insert(values.end(), digits.begin(), digits.end());
  values.resize(values.size() + kCheckDigits);
  const std::uint32_t check = polymod(values) ^ 1;
  std::string text(prefix);
  text += '1';
  for (const unsigned char digit : digits) text += kBech32Digits[digit];
  for (std::size_t i = 0; i < kCheckDigits; ++i) text += kBech32Digits[check >> 5 * (kCheckDigits - 1 - i) & 31];
  return text;
}

std::optional<std::pair<std::string, std::vector<unsigned char>>> from_bech32(std::string_view given) {
  const auto text = in_lower_case(given);
  const std::size_t one = text ? text->rfind('1') : std::string::npos;
  if (one == std::string::npos || one == 0 || text->size() < one + 1 + kCheckDigits) return std::nullopt;
  const std::string prefix = text->substr(0, one);
  if (!std::ranges::all_of(prefix, [](char c) { return c > ' ' && c < 127; })) return std::nullopt;
  std::vector<unsigned char> values = expanded(prefix);
  const std::size_t before = values.size();
  for (const char c : std::string_view(*text).substr(one + 1)) {
    const std::size_t value = kBech32Digits.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    values.push_back(static_cast<unsigned char>(value));
  }
  if (polymod(values) != 1) return std::nullopt;
  const auto digits = std::span(values).subspan(before, values.size() - before - kCheckDigits);
  auto bytes = regrouped(digits, 5, 8, false);
  if (!bytes) return std::nullopt;
  return std::pair(prefix, std::move(*bytes));
}

}  // namespace verbund::backup
