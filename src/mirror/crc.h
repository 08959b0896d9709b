#pragma once
/// Inside mirror/ only: lines that carry their own CRC-32, as eight hex digits after " #"; and what such files share: how long they
/// grow, the highest term.
#include <zlib.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace verbund::mirror {

/// A journal over the first size is cut down to the second when it is opened: about a year of daily restarts stays.
inline constexpr std::size_t kMaxEntries = 10'000;
inline constexpr std::size_t kKeptEntries = 2'000;
inline constexpr std::uint64_t kMaxTerm = 0xffff;  // 16 bits of a fencing token

inline bool control_character(char c) { return static_cast<unsigned char>(c) < ' '; }

inline std::string with_crc(std::string_view text) {
  const auto crc = ::crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size()));
  return fmt::format("{} #{:08x}", text, crc);
}

/// The text before the CRC when that is right.
inline std::optional<std::string_view> without_crc(std::string_view line) {
  constexpr std::size_t kSuffixBytes = 10;
  if (line.size() < kSuffixBytes) return std::nullopt;
  const std::string_view text = line.substr(0, line.size() - kSuffixBytes);
  if (with_crc(text) != line) return std::nullopt;
  return text;
}

}  // namespace verbund::mirror
