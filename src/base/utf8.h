#pragma once
/// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. Pure, any thread.
#include <cstddef>
#include <string>
#include <string_view>

namespace verbund {

/// Bytes of the well-formed character at the start of `text` (1 to 4), or 0.
std::size_t utf8_length(std::string_view text);
/// Length of the longest well-formed beginning.
std::size_t valid_utf8_prefix(std::string_view text);
bool is_utf8(std::string_view text);
/// `character` is a code point, no surrogate.
void append_utf8(std::string& to, char32_t character);
/// ISO 8859-1 bytes as UTF-8.
std::string from_latin1(std::string_view text);

}  // namespace verbund
