#include "base/messages.h"

#include <cstdint>
#include <cstring>

#include <fmt/args.h>

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
  if (phrase.verbatim) return phrase.msgid;
  if (phrase.values.empty()) return std::string(translate(language, phrase.msgid));
  fmt::dynamic_format_arg_store<fmt::format_context> store;
  for (const Phrase& value : phrase.values) store.push_back(said(language, value));
  return fmt::vformat(translate(language, phrase.msgid), store);
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
