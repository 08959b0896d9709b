#pragma once
/// Messages for people, German or English. msgids are the English texts; po/de.po is a gettext catalog, compiled by
/// msgfmt at build time and carried inside the binary (docs/adr/0003): one process serves users of both languages.
/// Pure, any thread.
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace verbund {

enum class Language { kEnglish, kGerman };

/// From a locale name ("de_DE.UTF-8", "de"); anything else is English.
Language language_from_locale(std::string_view locale);

/// The text in `language`; the msgid itself when the catalog does not have it. The view lives for ever if msgid does.
std::string_view translate(Language language, std::string_view msgid);

/// The same with fmt placeholders. xgettext reads both names as keywords (tools/update-messages).
template <typename... Args>
std::string translated(Language language, std::string_view msgid, const Args&... args) {
  return fmt::format(fmt::runtime(translate(language, msgid)), args...);
}

}  // namespace verbund
