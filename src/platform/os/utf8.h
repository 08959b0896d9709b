#pragma once
/// Just enough UTF-8 for files of strangers. For this folder's units only; pure, any thread.
#include <cstddef>
#include <string>
#include <string_view>

namespace verbund::os {

/// Bytes of the well-formed UTF-8 character at the start of `text` (1 to 4), or 0: no overlong forms, no surrogates.
std::size_t utf8_length(std::string_view text);
bool is_utf8(std::string_view text);
void append_utf8(std::string& to, char32_t character);
/// ISO 8859-1 bytes as UTF-8.
std::string from_latin1(std::string_view text);

}  // namespace verbund::os
