// What of a text may leave the house in a mail.
#include <algorithm>
#include <cstring>

#include "backup/report/report.h"

namespace verbund::backup {
namespace {

constexpr int kLastErrno = 133;  // EHWPOISON on Linux

bool is_number(std::string_view text) {
  if (text.empty() || text.size() > 24) return false;
  if (std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || c == '.' || c == ',' || c == '-' || c == ':'; })) return true;
  // "1.4 GB", "12 s"
  const auto space = text.find(' ');
  static constexpr std::string_view kUnits[] = {"B", "kB", "MB", "GB", "TB", "s", "min", "h", "%"};
  return space != std::string_view::npos && is_number(text.substr(0, space)) && std::ranges::find(kUnits, text.substr(space + 1)) != std::end(kUnits);
}

bool is_system_error(std::string_view text) {
  for (int number = 1; number <= kLastErrno; ++number) {
    if (const char* name = strerrordesc_np(number); name != nullptr && text == name) return true;
  }
  return false;
}

/// What the catalog has is a text of ours.
bool is_ours(const std::string& msgid) {
  return msgid == "{}" || msgid == "{}: {}" || translate(Language::kGerman, msgid).data() != msgid.data();
}

bool is_level(std::string_view text) { return text.size() == 2 && text[0] == 'L' && text[1] >= '0' && text[1] <= '5'; }

}  // namespace

Phrase harmless_phrase(const Phrase& phrase, const std::vector<std::string>& harmless) {
  const bool known = phrase.verbatim ? is_number(phrase.msgid) || is_level(phrase.msgid) || is_system_error(phrase.msgid) || std::ranges::find(harmless, phrase.msgid) != harmless.end()
                                     : is_ours(phrase.msgid);
  if (!known) return verbatim("…");
  Phrase out{phrase.msgid, {}, phrase.verbatim};
  for (const auto& value : phrase.values) out.values.push_back(harmless_phrase(value, harmless));
  return out;
}

}  // namespace verbund::backup
