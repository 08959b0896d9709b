#include "base/messages.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include <fmt/args.h>

#include "base/system_words.h"

namespace verbund {
namespace {

// Format of a .mo file: GNU gettext manual, "The Format of GNU MO Files". msgfmt sorts the originals.
constexpr unsigned char kGerman[] = {
#include "base/catalog_de.inc"
};

std::uint32_t word(std::size_t offset) {
  std::uint32_t value = 0;
  std::memcpy(&value, kGerman + offset, sizeof value);
  return value;
}

std::string_view entry(std::size_t table, std::size_t index) {
  return {reinterpret_cast<const char*>(kGerman) + word(table + index * 8 + 4), word(table + index * 8)};
}

/// Below this a pattern says too little to be told from somebody else's words ("{}: {}", "{} of {}").
constexpr std::size_t kLettersOfItsOwn = 6;

/// How many letters of `pattern` stand outside its placeholders; none: it has no bare placeholder, or others too.
std::size_t own_letters(std::string_view pattern) {
  std::size_t letters = 0;
  bool bare = false;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] == '{' || pattern[at] == '}') {
      if (pattern.substr(at, 2) != "{}") return 0;
      bare = true;
      ++at;
    } else if (const char lower = static_cast<char>(pattern[at] | 0x20); lower >= 'a' && lower <= 'z') {
      ++letters;
    }
  }
  return bare ? letters : 0;
}

/// What stood in the placeholders of `pattern`, if `text` was made of it.
std::optional<std::vector<std::string_view>> values_in(std::string_view pattern, std::string_view text) {
  std::vector<std::string_view> values;
  auto hole = pattern.find("{}");
  if (!text.starts_with(pattern.substr(0, hole))) return {};
  text.remove_prefix(hole);
  while (hole != pattern.npos) {
    pattern.remove_prefix(hole + 2);
    hole = pattern.find("{}");
    const auto literal = pattern.substr(0, hole);
    // The last piece stands at the end; the others where they come first.
    const auto found = hole != pattern.npos ? text.find(literal) : text.ends_with(literal) ? text.size() - literal.size() : text.npos;
    if (found == text.npos || (hole != pattern.npos && literal.empty())) return {};
    values.push_back(text.substr(0, found));
    text.remove_prefix(found + literal.size());
  }
  return values;
}

}  // namespace

Language language_from_locale(std::string_view locale) {
  return locale.starts_with("de") ? Language::kGerman : Language::kEnglish;
}

std::string_view translate(Language language, std::string_view text) {
  if (language != Language::kGerman || text.empty()) return text;
  const std::size_t originals = word(12);
  const std::size_t translations = word(16);
  std::size_t low = 0;
  std::size_t high = word(8);
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const auto candidate = entry(originals, middle);
    if (candidate == text) return entry(translations, middle);
    (candidate < text ? low : high) = candidate < text ? middle + 1 : middle;
  }
  return text;
}

std::string said(Language language, const Phrase& phrase) {
  if (phrase.verbatim) return is_system_word(phrase.msgid) ? std::string(translate(language, phrase.msgid)) : phrase.msgid;
  if (phrase.values.empty()) return std::string(translate(language, phrase.msgid));
  fmt::dynamic_format_arg_store<fmt::format_context> store;
  for (const Phrase& value : phrase.values) store.push_back(said(language, value));
  return fmt::vformat(translate(language, phrase.msgid), store);
}

std::string retold(Language language, std::string_view english) {
  if (language != Language::kGerman || english.empty()) return std::string(english);
  if (const auto whole = translate(language, english); whole != english) return std::string(whole);
  std::size_t best = kLettersOfItsOwn - 1;
  std::string_view form;
  std::vector<std::string_view> values;
  for (std::size_t index = 0; index < word(8); ++index) {
    const auto pattern = entry(word(12), index);
    const auto letters = own_letters(pattern);
    if (letters <= best) continue;
    if (auto found = values_in(pattern, english)) {
      best = letters;
      form = pattern;
      values = std::move(*found);
    }
  }
  if (!form.empty()) {
    fmt::dynamic_format_arg_store<fmt::format_context> store;
    // A single word is a name: a table may be called "history".
    for (const auto value : values) store.push_back(value.find(' ') == value.npos ? std::string(value) : retold(language, value));
    return fmt::vformat(translate(language, form), store);
  }
  for (const std::string_view joint : {": ", "; "}) {
    if (const auto at = english.find(joint); at != english.npos) {
      return retold(language, english.substr(0, at)) + std::string(joint) + retold(language, english.substr(at + joint.size()));
    }
  }
  return std::string(english);
}

Phrase phrase_of(const Error& error) {
  if (error.message_parts.empty()) return {error.message};
  Phrase joined = error.message_parts.back();
  for (auto part = std::next(error.message_parts.rbegin()); part != error.message_parts.rend(); ++part) {
    joined = Phrase{"{}: {}", {*part, std::move(joined)}};
  }
  return joined;
}

std::string message_in(Language language, const Error& error) {
  if (error.message_parts.empty()) return std::string(translate(language, error.message));
  std::string text;
  for (const Phrase& part : error.message_parts) {
    if (!text.empty()) text += ": ";
    text += said(language, part);
  }
  return text;
}

std::string hint_in(Language language, const Error& error) {
  if (error.hint_phrase.msgid.empty()) return std::string(translate(language, error.hint));
  return said(language, error.hint_phrase);
}

}  // namespace verbund
