#include "access/text.h"

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::access {
namespace {

constexpr std::size_t kMaxUserBytes = 64;

bool is_control(char character) {
  const auto byte = static_cast<unsigned char>(character);
  return byte < 0x20 || byte == 0x7f;
}

/// First and last value that a sequence of this length may stand for (RFC 3629: no overlong forms).
bool in_range(std::size_t length, char32_t value) {
  switch (length) {
    case 2: return value >= 0x80;
    case 3: return value >= 0x800 && (value < 0xd800 || value > 0xdfff);
    default: return value >= 0x10000 && value <= 0x10ffff;
  }
}

}  // namespace

std::size_t character_length(std::string_view text) {
  if (text.empty()) return 0;
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
  if (length == 0 || first >= 0xf8 || text.size() < length) return 0;
  auto value = static_cast<char32_t>(first & (0xffU >> (length + 1)));
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0U) != 0x80U) return 0;
    value = value << 6 | (next & 0x3fU);
  }
  return in_range(length, value) ? length : 0;
}

Status check_user_name(std::string_view user) {
  const auto refuse = [](const Phrase& why) -> Status {
    return fail(ErrorCode::kUsage, phrase("read a user name: {}", why),
                phrase("A name has 1 to 64 bytes, no control characters, no '/', no blanks at its ends."));
  };
  if (user.empty()) return refuse(phrase("it is empty"));
  if (user.size() > kMaxUserBytes) return refuse(phrase("{} bytes are too many", user.size()));
  if (user.front() == ' ' || user.back() == ' ') return refuse(phrase("it begins or ends with a blank"));
  for (std::size_t at = 0; at < user.size();) {
    if (is_control(user[at])) return refuse(phrase("it holds a control character"));
    if (user[at] == '/') return refuse(phrase("it holds a '/'"));
    const auto length = character_length(user.substr(at));
    if (length == 0) return refuse(phrase("it is no UTF-8"));
    at += length;
  }
  return {};
}

std::string cleaned(std::string_view text, std::size_t max_bytes) {
  std::string out;
  while (!text.empty() && out.size() < max_bytes) {
    const auto length = character_length(text);
    if (length == 0 || is_control(text[0])) {
      out += length == 0 ? '?' : ' ';
      text.remove_prefix(1);
      continue;
    }
    if (out.size() + length > max_bytes) break;
    out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace verbund::access
