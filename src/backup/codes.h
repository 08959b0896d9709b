#pragma once
/// Text forms of keys: base64 and bech32. Pure, any thread. For this folder's units only.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace verbund::backup {

enum class Padding { kNone, kEquals };
std::string to_base64(std::span<const unsigned char> bytes, Padding padding);
/// Exactly `into.size()` bytes in canonical form; false otherwise.
bool from_base64(std::string_view text, std::span<unsigned char> into, Padding padding);

/// bech32 (BIP 173, any length): "PREFIX1…" in lower case.
std::string to_bech32(std::string_view prefix, std::span<const unsigned char> bytes);
/// (prefix in lower case, bytes); nothing when the check sum is wrong, or upper and lower case are mixed.
std::optional<std::pair<std::string, std::vector<unsigned char>>> from_bech32(std::string_view text);
/// Digits of bech32, in lower case; their places are their values.
inline constexpr std::string_view kBech32Digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

}  // namespace verbund::backup
