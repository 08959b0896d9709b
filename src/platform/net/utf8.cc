#include "platform/net/utf8.h"

#include <cstdint>
#include <cstring>

namespace verbund::net {
namespace {

/// Length of the sequence at `at` (1 to 4), or 0 when it is broken.
std::size_t sequence_bytes(const unsigned char* at, std::size_t left) {
  const unsigned char first = at[0];
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const std::size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (left < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((at[i] & 0xC0) != 0x80) return 0;
  }
  // The second byte's range shuts out overlong forms, surrogates and what lies above U+10FFFF.
  if (first == 0xE0 && at[1] < 0xA0) return 0;
  if (first == 0xED && at[1] > 0x9F) return 0;
  if (first == 0xF0 && at[1] < 0x90) return 0;
  if (first == 0xF4 && at[1] > 0x8F) return 0;
  return size;
}

}  // namespace

bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t left = text.size();
  while (left > 0) {
    std::uint64_t eight = 0;
    if (left >= sizeof eight) {
      std::memcpy(&eight, at, sizeof eight);
      if ((eight & 0x8080808080808080ULL) == 0) {
        at += sizeof eight;
        left -= sizeof eight;
        continue;
      }
    }
    const auto size = sequence_bytes(at, left);
    if (size == 0) return false;
    at += size;
    left -= size;
  }
  return true;
}

}  // namespace verbund::net
