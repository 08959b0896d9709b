#include "platform/mail/mime.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/utf8.h"

namespace verbund::mail {
namespace {

/// RFC 2045 6.7, 6.8: encoded lines are no longer.
constexpr std::size_t kLine = 76;
/// RFC 2047 2: an encoded-word is no longer than 75; "=?UTF-8?B?" and "?=" take 12, 45 bytes become 60 characters.
constexpr std::size_t kBytesPerWord = 45;

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool printable_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::string base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t k) { return k < bytes.size() ? static_cast<unsigned>(static_cast<unsigned char>(bytes[k])) : 0U; };
    const unsigned group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    out += kBase64[group >> 18 & 63];
    out += kBase64[group >> 12 & 63];
    out += i + 1 < bytes.size() ? kBase64[group >> 6 & 63] : '=';
    out += i + 2 < bytes.size() ? kBase64[group & 63] : '=';
  }
  return out;
}

std::string escaped(char c) { return fmt::format("={:02X}", static_cast<unsigned char>(c)); }

/// One line without its end.
void quote_line(std::string_view line, std::string& out) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool last = i + 1 == line.size();
    const bool plain = (c > 0x20 && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !last);
    // A dot alone on a line is the end of the mail to old relays.
    std::string piece = plain && !(c == '.' && used == 0) ? std::string(1, c) : escaped(c);
    if (used + piece.size() > kLine - (last ? 0 : 1)) {
      out += "=\r\n";
      used = 0;
      if (c == '.') piece = escaped(c);
    }
    out += piece;
    used += piece.size();
  }
  out += "\r\n";
}

}  // namespace

std::string as_utf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t good = valid_utf8_prefix(text);
    out += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) break;
    append_utf8(out, 0xFFFD);
    text.remove_prefix(1);
  }
  return out;
}

std::string base64_lines(std::string_view bytes) {
  const std::string encoded = base64(bytes);
  std::string out;
  for (std::size_t i = 0; i < encoded.size(); i += kLine) out += encoded.substr(i, kLine) + "\r\n";
  return out;
}

std::string quoted_printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto end = text.find_first_of("\r\n");
    quote_line(text.substr(0, end), out);
    if (end == std::string_view::npos) break;
    const bool both = text[end] == '\r' && end + 1 < text.size() && text[end + 1] == '\n';
    text.remove_prefix(end + (both ? 2 : 1));
  }
  return out;
}

std::string header_text(std::string_view text, std::size_t used) {
  if (printable_ascii(text) && text.find("=?") == std::string_view::npos && used + text.size() <= kLine && !text.starts_with(' ') &&
      !text.ends_with(' ')) {
    return std::string(text);
  }
  const std::string whole = as_utf8(text);
  std::string out;
  std::string_view rest = whole;
  // The first word stands on the line that the header's name has begun; a character is never cut in two (RFC 2047 5).
  std::size_t room = used < kLine - 16 ? (kLine - used - 12) / 4 * 3 : 0;
  while (!rest.empty()) {
    std::size_t take = 0;
    while (take < rest.size()) {
      const std::size_t next = utf8_length(rest.substr(take));
      if (take + next > std::min(room, kBytesPerWord)) break;
      take += next;
    }
    if (take > 0) out += fmt::format("=?UTF-8?B?{}?=", base64(rest.substr(0, take)));
    rest.remove_prefix(take);
    if (!rest.empty()) out += "\r\n ";
    room = kBytesPerWord;
  }
  return out;
}

std::string parameter(std::string_view name, std::string_view value) {
  if (printable_ascii(value) && value.size() <= 60 && value.find_first_of("\"\\") == std::string_view::npos) {
    return fmt::format(";\r\n {}=\"{}\"", name, value);
  }
  std::string encoded;
  for (const char c : as_utf8(value)) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '.';
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return fmt::format(";\r\n {}*=UTF-8''{}", name, encoded);
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace verbund::mail
