#include "sync/model/transport.h"

#include <fmt/format.h>

namespace verbund::sync {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string escaped_part(std::string_view name) {
  std::string text;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    text += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return text;
}

std::string unescaped(std::string_view target) {
  std::string text;
  for (std::size_t at = 0; at < target.size(); ++at) {
    const bool escape = target[at] == '%' && at + 2 < target.size() && hex_digit(target[at + 1]) >= 0 && hex_digit(target[at + 2]) >= 0;
    text.push_back(escape ? static_cast<char>(hex_digit(target[at + 1]) * 16 + hex_digit(target[at + 2])) : target[at]);
    if (escape) at += 2;
  }
  return text;
}

}  // namespace verbund::sync
