#pragma once
/// The bytes of POSIX tar (pax): header blocks and records, as GNU tar 1.34 reads them. For this folder's units only; pure.
/// Sources: POSIX.1-2017 pax; GNU tar manual, "Sparse Formats" (1.0) and "Extended attributes" (SCHILY.*).
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace verbund::backup::tar {

inline constexpr std::size_t kBlock = 512;
/// What GNU tar fills its last record up to.
inline constexpr std::size_t kRecord = 20 * kBlock;

struct Field {
  std::size_t offset, length;
};
inline constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kModified{136, 12}, kChecksum{148, 8},
    kType{156, 1}, kLink{157, 100}, kMagic{257, 8}, kOwner{265, 32}, kGroup{297, 32}, kMajor{329, 8}, kMinor{337, 8}, kPrefix{345, 155};

using Block = std::array<char, kBlock>;

/// The largest number that stands in an octal field of `length` bytes with its end mark.
constexpr std::uint64_t largest(std::size_t length) { return (std::uint64_t{1} << (3 * (length - 1))) - 1; }
constexpr std::uint64_t padding(std::uint64_t bytes) { return (kBlock - bytes % kBlock) % kBlock; }

/// Of a block, its checksum field taken as blanks.
std::uint32_t checksum(const Block& block);
/// Octal or (first bit set) base 256; nothing: neither.
std::optional<std::uint64_t> read_number(const Block& block, Field field);
/// Up to the first NUL.
std::string_view read_text(const Block& block, Field field);
/// "LENGTH KEY=VALUE\n", its length counted in.
std::string record(std::string_view key, std::string_view value);

/// In the keyword of an extended attribute '%' and '=' are written %25 and %3D.
std::string encode_attribute(std::string_view name);
std::string decode_attribute(std::string_view name);

}  // namespace verbund::backup::tar
