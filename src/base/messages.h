#pragma once
/// Messages for people, German or English. msgids are the English texts; po/de.po is a gettext catalog, compiled by
/// msgfmt at build time and carried inside the binary (docs/adr/0003): one process serves users of both languages.
/// Pure, any thread.
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/result.h"

namespace verbund {

enum class Language { kEnglish, kGerman };

/// From a locale name ("de_DE.UTF-8", "de"); anything else is English.
Language language_from_locale(std::string_view locale);

/// Marks a text for xgettext where it is translated later, through a variable.
constexpr const char* msgid(const char* text) { return text; }

/// The text in `language`; the text itself (the msgid) when the catalog does not have it; the view then lives as long as `text`.
std::string_view translate(Language language, std::string_view text);

/// The same with fmt placeholders. xgettext reads both names as keywords (tools/update-messages).
template <typename... Args>
std::string translated(Language language, std::string_view text, const Args&... args) {
  return fmt::format(fmt::runtime(translate(language, text)), args...);
}

/// A text of somebody else (PostgreSQL, the system) where a phrase is wanted; stays as it is but for base/system_words.h.
inline Phrase verbatim(std::string text) { return {std::move(text), {}, true}; }

/// What stands in a phrase's `{}`: a phrase is translated, too; everything else is shown as it is.
inline Phrase phrase_value(Phrase given) { return given; }
template <typename T>
Phrase phrase_value(const T& given) {
  return verbatim(fmt::format("{}", given));
}

/// A text that is said later, in the language of whoever reads it: `fail(code, phrase("lock {}: no such type", key))`.
/// The msgid has bare `{}` only; what needs a format is handed in as text. xgettext reads the name as a keyword.
template <typename... Args>
Phrase phrase(std::string_view text, const Args&... args) {
  return {std::string(text), {phrase_value(args)...}};
}

std::string said(Language language, const Phrase& phrase);
/// What failed, on what, why; parts that the catalog does not have stay English.
std::string message_in(Language language, const Error& error);
std::string hint_in(Language language, const Error& error);
/// An English text that was made of a phrase some time ago and since then stored or sent (a reason in the mid-tier, in a
/// journal, in a status): the same in `language`, as far as the catalog has it. Somebody else's words in it stay.
std::string retold(Language language, std::string_view english);
/// The error's message as one phrase, to stand in another one.
Phrase phrase_of(const Error& error);

}  // namespace verbund
