#include "protocol/json_write.h"

#include <charconv>

#include "base/utf8.h"

namespace verbund::protocol {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 0xf];
}

/// `text` is valid UTF-8. Line breaks, so the line framing, can't come through unescaped.
void append_characters(std::string& out, std::string_view text) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
      continue;
    }
    out.append(text, begin, i - begin);
    append_escaped(out, c);
    begin = i + 1;
  }
  out.append(text, begin, text.size() - begin);
}

/// What is not UTF-8 (an error's text that was cut, an operating system's message) must not spoil the message.
void append_text(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const auto valid = valid_utf8_prefix(text);
    append_characters(out, text.substr(0, valid));
    text.remove_prefix(valid);
    if (!text.empty()) {
      out += kReplacement;
      text.remove_prefix(1);
    }
  }
}

template <int kDigits>
char* write_digits(char* at, std::uint64_t number) {
  for (int i = kDigits - 1; i >= 0; --i) {
    at[i] = static_cast<char>('0' + number % 10);
    number /= 10;
  }
  return at + kDigits;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  append_text(out, text);
  out += '"';
}

void append_decimal(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), end);
}

void append_key(std::string& out, const RecordKey& key) {
  out += '"';
  append_text(out, key.type);
  out += '/';
  append_text(out, key.id);
  out += '"';
}

void append_time(std::string& out, WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  const int year = static_cast<int>(date.year());
  if (year < 0 || year > 9999) {  // outside of what ISO 8601 writes in four digits
    append_json_string(out, to_iso8601(time));
    return;
  }
  const auto number = [](auto value) { return static_cast<std::uint64_t>(value); };
  std::array<char, 29> text;
  char* at = text.data();
  *at++ = '"';
  at = write_digits<4>(at, number(year));
  *at++ = '-';
  at = write_digits<2>(at, static_cast<unsigned>(date.month()));
  *at++ = '-';
  at = write_digits<2>(at, static_cast<unsigned>(date.day()));
  *at++ = 'T';
  at = write_digits<2>(at, number(clock.hours().count()));
  *at++ = ':';
  at = write_digits<2>(at, number(clock.minutes().count()));
  *at++ = ':';
  at = write_digits<2>(at, number(clock.seconds().count()));
  *at++ = '.';
  at = write_digits<6>(at, number(clock.subseconds().count()));
  *at++ = 'Z';
  *at++ = '"';
  out.append(text.data(), at);
}

}  // namespace verbund::protocol
