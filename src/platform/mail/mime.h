#pragma once
/// Encodings of a mail (RFC 2045, 2047, 2231). Pure; any thread. Inside this folder only.
#include <string>
#include <string_view>

namespace verbund::mail {

/// What is no UTF-8 becomes U+FFFD.
std::string as_utf8(std::string_view text);
/// Lines of 76 characters, ended by CRLF.
std::string base64_lines(std::string_view bytes);
/// Soft breaks at 76 characters; every kind of line end becomes CRLF, and the text ends with one.
std::string quoted_printable(std::string_view text);
/// A header's value as it is when it is short printable ASCII, else as encoded-words, folded. `used`: characters before it on its line.
std::string header_text(std::string_view text, std::size_t used);
/// A parameter as `; name="value"`, or by RFC 2231 when it is no plain ASCII.
std::string parameter(std::string_view name, std::string_view value);
bool has_control(std::string_view text);

}  // namespace verbund::mail
