#pragma once
/// PostgreSQL's text form of arrays. Pure. This folder only.
#include <string>
#include <vector>

namespace verbund::guard {

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

}  // namespace verbund::guard
