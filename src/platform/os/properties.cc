// ConfigFile::parse_properties: Java's format, as config/P2P.properties has it, but strict.
#include <charconv>

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/os/config_file.h"
#include "platform/os/config_texts.h"
#include "base/utf8.h"

namespace verbund::os {
namespace {

constexpr std::string_view kBlanks = " \t\f";

struct Entry {
  std::string key;
  std::string value;
  int line = 0;  ///< of the key
};

class PropertiesParser {
 public:
  PropertiesParser(std::string_view text, std::string_view name) : rest_(text), name_(name) {}

  /// The next entry, or nothing at the end.
  Result<std::optional<Entry>> next() {
    while (!rest_.empty()) {
      const std::string_view first = skip_blanks(take_line());
      if (first.empty() || first.front() == '#' || first.front() == '!') continue;
      const int line = line_;
      const std::string whole = join_continued(first);
      auto entry = split(whole, line);
      if (!entry) return pass(entry);
      return std::optional<Entry>(std::move(*entry));
    }
    return std::optional<Entry>();
  }

 private:
  static std::string_view skip_blanks(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    return text;
  }

  std::string_view take_line() {
    const std::size_t end = std::min(rest_.find_first_of("\r\n"), rest_.size());
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (rest_.starts_with("\r\n")) rest_.remove_prefix(1);
    if (!rest_.empty()) rest_.remove_prefix(1);
    ++line_;
    return line;
  }

  /// An odd number of backslashes at the end: the last one joins the next line, without that line's leading blanks.
  static bool continues(std::string_view line) {
    const std::size_t last = line.find_last_not_of('\\');
    return (line.size() - (last == std::string_view::npos ? 0 : last + 1)) % 2 == 1;
  }

  std::string join_continued(std::string_view line) {
    std::string whole(line);
    while (continues(whole)) {
      whole.pop_back();
      if (rest_.empty()) break;
      whole += skip_blanks(take_line());
    }
    return whole;
  }

  Result<Entry> split(std::string_view text, int line) {
    std::size_t separator = 0;
    while (separator < text.size() && text[separator] != '=' && text[separator] != ':') {
      separator += text[separator] == '\\' ? 2 : 1;
    }
    if (separator >= text.size()) return refuse(line, phrase("no '=' or ':' in the line"), phrase("Write: {}", "key = value"));
    std::string_view raw_key = text.substr(0, separator);
    // A blank behind an odd number of backslashes belongs to the key.
    while (!raw_key.empty() && kBlanks.contains(raw_key.back()) && !continues(raw_key.substr(0, raw_key.size() - 1))) {
      raw_key.remove_suffix(1);
    }
    auto key = unescape(raw_key, line, true);
    if (!key) return pass(key);
    if (key->empty()) return refuse(line, phrase("no key before the '=' or ':'"), phrase("Write: {}", "key = value"));
    std::string_view raw_value = skip_blanks(text.substr(separator + 1));
    auto value = unescape(trim_end(raw_value), line, false);
    if (!value) return pass(value);
    return Entry{std::move(*key), std::move(*value), line};
  }

  /// Java keeps blanks at the end of a value; nobody sees them in an editor, and no value of ours wants them.
  static std::string_view trim_end(std::string_view text) {
    while (!text.empty() && kBlanks.contains(text.back()) && !continues(text.substr(0, text.size() - 1))) {
      text.remove_suffix(1);
    }
    return text;
  }

  Result<std::string> unescape(std::string_view text, int line, bool key) {
    std::string result;
    while (!text.empty()) {
      const char c = text.front();
      text.remove_prefix(1);
      if (c == '\\') {
        if (auto done = escape(text, line, result); !done) return pass(done);
        continue;
      }
      if (key && kBlanks.contains(c)) {
        return refuse(line, phrase("blank inside the key \"{}\"", result), phrase("Is a '=' missing?"));
      }
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\f') return refuse(line, phrase("control character"));
      result += c;
    }
    return result;
  }

  Status escape(std::string_view& text, int line, std::string& result) {
    if (text.empty()) return {};  // at the very end of the file: Java drops it as well
    const char c = text.front();
    text.remove_prefix(1);
    switch (c) {
      case 't': result += '\t'; return {};
      case 'n': result += '\n'; return {};
      case 'r': result += '\r'; return {};
      case 'f': result += '\f'; return {};
      case 'u': return unicode(text, line, result);
      default: break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || byte >= 0x80 || byte < 0x20) {
      // Java silently drops the backslash: C:\data would become C:data.
      return refuse(line, phrase("unknown escape sequence \\{}", byte < 0x80 && byte >= 0x20 ? std::string(1, c) : "…"),
                    phrase("Write a backslash as \\\\."));
    }
    result += c;
    return {};
  }

  static std::optional<std::uint32_t> four_digits(std::string_view& text) {
    std::uint32_t unit = 0;
    if (text.size() < 4) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data(), text.data() + 4, unit, 16);
    if (error != std::errc{} || end != text.data() + 4) return std::nullopt;
    text.remove_prefix(4);
    return unit;
  }

  Status unicode(std::string_view& text, int line, std::string& result) {
    auto unit = four_digits(text);
    if (!unit) return refuse(line, phrase("\\u needs four hex digits"));
    if (*unit == 0) return refuse(line, phrase("control character"));
    if (*unit >= 0xd800 && *unit < 0xdc00 && text.starts_with("\\u")) {
      text.remove_prefix(2);
      const auto low = four_digits(text);
      if (!low || *low < 0xdc00 || *low > 0xdfff) return refuse(line, phrase("half of a surrogate pair"));
      append_utf8(result, 0x10000 + ((*unit - 0xd800) << 10) + (*low - 0xdc00));
      return {};
    }
    if (*unit >= 0xd800 && *unit <= 0xdfff) return refuse(line, phrase("half of a surrogate pair"));
    append_utf8(result, *unit);
    return {};
  }

  std::unexpected<Error> refuse(int line, Phrase cause, Phrase hint = {}) const {
    return fail(ErrorCode::kBadConfig, phrase("{}:{}: {}", name_, line, cause), std::move(hint));
  }

  std::string_view rest_;
  std::string_view name_;
  int line_ = 0;
};

}  // namespace

Result<ConfigFile> ConfigFile::parse_properties(std::string_view text, std::string name) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  // Java up to 8 wrote ISO 8859-1, newer ones UTF-8; what is no UTF-8 is the former.
  const std::string latin = is_utf8(text) ? std::string() : from_latin1(text);
  ConfigFile file;
  file.name_ = std::move(name);
  file.only_texts_ = true;
  PropertiesParser parser(latin.empty() ? text : latin, file.name_);
  while (true) {
    auto entry = parser.next();
    if (!entry) return pass(entry);
    if (!*entry) return file;
    const int line = (*entry)->line;
    const auto [where, fresh] = file.values_.try_emplace((*entry)->key, ConfigValue{std::move((*entry)->value), line});
    if (!fresh) {
      return fail(ErrorCode::kBadConfig, phrase("{}:{}: {} is given twice, first in line {}", file.name_, line,
                                                     where->first, where->second.line),
                  phrase("Remove one of the two lines."));
    }
  }
}

/// Of a file that somebody has refused elsewhere already: the last of two equal keys counts.
Result<std::map<std::string, std::string>> properties_texts(std::string_view text, const std::string& name) {
  std::map<std::string, std::string> texts;
  PropertiesParser parser(text, name);
  while (true) {
    auto entry = parser.next();
    if (!entry) return pass(entry);
    if (!*entry) return texts;
    texts.insert_or_assign(std::move((*entry)->key), std::move((*entry)->value));
  }
}

}  // namespace verbund::os
