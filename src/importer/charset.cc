#include "importer/charset.h"

#include <array>

#include "base/utf8.h"

namespace verbund::importer {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

// Unicode Consortium, MAPPINGS/VENDORS/MICSFT/PC/CP437.TXT, bytes 80–FF.
constexpr std::u32string_view kCp437 =
    U"ÇüéâäàåçêëèïîìÄÅ"
    U"ÉæÆôöòûùÿÖÜ¢£¥₧ƒ"
    U"áíóúñÑªº¿⌐¬½¼¡«»"
    U"░▒▓│┤╡╢╖╕╣║╗╝╜╛┐"
    U"└┴┬├─┼╞╟╚╔╩╦╠═╬╧"
    U"╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀"
    U"αßΓπΣσµτΦΘΩδ∞φε∩"
    U"≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00A0";
static_assert(kCp437.size() == 128);

// MAPPINGS/VENDORS/MICSFT/WINDOWS/CP1252.TXT, bytes 80–9F; U+FFFD where it has nothing.
constexpr std::u32string_view kWindows1252 =
    U"€\uFFFD‚ƒ„…†‡ˆ‰Š‹Œ\uFFFDŽ\uFFFD"
    U"\uFFFD‘’“”•–—˜™š›œ\uFFFDžŸ";
static_assert(kWindows1252.size() == 32);

char32_t from_iso646_de(unsigned char byte) {
  switch (byte) {
    case '@': return U'§';
    case '[': return U'Ä';
    case '\\': return U'Ö';
    case ']': return U'Ü';
    case '{': return U'ä';
    case '|': return U'ö';
    case '}': return U'ü';
    case '~': return U'ß';
    default: return byte < 0x80 ? byte : kReplacement;
  }
}

char32_t from_iso8859_15(unsigned char byte) {
  switch (byte) {
    case 0xA4: return U'€';
    case 0xA6: return U'Š';
    case 0xA8: return U'š';
    case 0xB4: return U'Ž';
    case 0xB8: return U'ž';
    case 0xBC: return U'Œ';
    case 0xBD: return U'œ';
    case 0xBE: return U'Ÿ';
    default: return byte;
  }
}

char32_t from_byte(Charset charset, unsigned char byte) {
  if (charset == Charset::kIso646De) return from_iso646_de(byte);
  if (byte < 0x80) return byte;
  if (charset == Charset::kCp437) return kCp437[byte - 0x80U];
  if (byte < 0xA0) return kWindows1252[byte - 0x80U];
  return charset == Charset::kIso8859_15 ? from_iso8859_15(byte) : byte;
}

Decoded decode_utf8(std::string_view bytes) {
  Decoded out;
  while (!bytes.empty()) {
    const auto valid = valid_utf8_prefix(bytes);
    for (const char c : bytes.substr(0, valid)) {
      if (c != '\0') out.text += c;
      else out.clean = false;
    }
    bytes.remove_prefix(valid);
    if (bytes.empty()) break;
    append_utf8(out.text, kReplacement);
    out.clean = false;
    bytes.remove_prefix(1);
  }
  return out;
}

}  // namespace

std::optional<Charset> charset_named(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  constexpr std::array<std::pair<std::string_view, Charset>, 11> kNames{{{"utf-8", Charset::kUtf8},
                                                                        {"utf8", Charset::kUtf8},
                                                                        {"cp437", Charset::kCp437},
                                                                        {"ibm437", Charset::kCp437},
                                                                        {"iso-646-de", Charset::kIso646De},
                                                                        {"7bit", Charset::kIso646De},
                                                                        {"iso-8859-1", Charset::kIso8859_1},
                                                                        {"latin1", Charset::kIso8859_1},
                                                                        {"iso-8859-15", Charset::kIso8859_15},
                                                                        {"windows-1252", Charset::kWindows1252},
                                                                        {"cp1252", Charset::kWindows1252}}};
  for (const auto& [known, charset] : kNames) {
    if (known == lower) return charset;
  }
  return std::nullopt;
}

std::string_view charset_names() { return "utf-8, cp437, iso-646-de, iso-8859-1, iso-8859-15, windows-1252"; }

Decoded decode(Charset charset, std::string_view bytes) {
  if (charset == Charset::kUtf8) return decode_utf8(bytes);
  Decoded out;
  out.text.reserve(bytes.size());
  for (const char c : bytes) {
    const char32_t character = from_byte(charset, static_cast<unsigned char>(c));
    if (character == 0 || character == kReplacement) out.clean = false;
    if (character != 0) append_utf8(out.text, character);
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace verbund::importer
