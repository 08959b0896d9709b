#pragma once
/// Character sets that practice software writes, decoded to UTF-8. Pure.
#include <optional>
#include <string>
#include <string_view>

namespace verbund::importer {

enum class Charset {
  kUtf8,
  kCp437,        ///< IBM PC, the default of GDT
  kIso646De,     ///< 7 bit, DIN 66003: umlauts in place of brackets and braces
  kIso8859_1,    ///< bytes 80–9F as Windows-1252 has them: in files of devices they are never control characters
  kIso8859_15,
  kWindows1252,
};

/// "utf-8", "cp437", "iso-646-de" (also "7bit"), "iso-8859-1", "iso-8859-15", "windows-1252"; any case of letters.
std::optional<Charset> charset_named(std::string_view name);
/// The names, for messages.
std::string_view charset_names();

struct Decoded {
  std::string text;   ///< UTF-8 without NUL
  bool clean = true;  ///< false: bytes that the set does not have became U+FFFD, or NUL was left out
};
Decoded decode(Charset charset, std::string_view bytes);

/// Without blanks at both ends.
std::string_view trimmed(std::string_view text);

}  // namespace verbund::importer
