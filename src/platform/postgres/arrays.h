#pragma once
/// PostgreSQL's text form of arrays (documentation, "Array Input and Output Syntax"). Pure, any thread.
#include <string>
#include <vector>

namespace verbund::postgres {

/// `{"a","b"}`: a text[] parameter, or one of another type whose values stand in quotes as well.
inline std::string array_literal(const std::vector<std::string>& values) {
  std::string text = "{";
  for (const auto& value : values) {
    if (text.size() > 1) text += ',';
    text += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text + '}';
}

}  // namespace verbund::postgres
