#include "platform/os/log_line.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace verbund::os {
namespace {

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarning: return "warning";
    case LogLevel::kError: return "error";
  }
  return "error";
}

std::string_view short_escape(char c) {
  switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: return {};
  }
}

/// C0, DEL and C1 (U+0080 to U+009F: terminals take them as commands) are written as \uXXXX, broken UTF-8 as U+FFFD.
void append_escaped(std::string& to, std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const auto first = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      append_utf8(to, 0xfffd);
    } else if (const auto escape = short_escape(text[0]); !escape.empty()) {
      to += escape;
    } else if (first < 0x20 || first == 0x7f) {
      to += fmt::format("\\u{:04x}", first);
    } else if (first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) {
      to += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[1]));
    } else {
      to += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

void append_quoted(std::string& to, std::string_view text) {
  to += '"';
  append_escaped(to, text);
  to += '"';
}

bool needs_quotes(std::string_view value) {
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '"' || c == '\\' || c == '=') return true;
  }
  return value.empty();
}

}  // namespace

std::string json_line(WallTime time, LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  std::string line = fmt::format(R"({{"time":"{}","level":"{}","event":)", to_iso8601(time), level_name(level));
  append_quoted(line, event);
  for (const LogField& field : fields) {
    line += ',';
    const bool taken = field.name == "time" || field.name == "level" || field.name == "event";
    append_quoted(line, taken ? std::string(field.name) + "_" : std::string(field.name));
    line += ':';
    append_quoted(line, field.value);
  }
  line += '}';
  return line;
}

std::string readable_line(WallTime time, LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  std::string line = to_iso8601(time) + ' ';
  for (const char c : level_name(level)) line += static_cast<char>(c - 'a' + 'A');
  line += ' ';
  append_escaped(line, event);
  for (const LogField& field : fields) {
    line += ' ';
    append_escaped(line, field.name);
    line += '=';
    if (needs_quotes(field.value)) {
      append_quoted(line, field.value);
    } else {
      line += field.value;
    }
  }
  return line;
}

}  // namespace verbund::os
