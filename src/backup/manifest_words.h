#pragma once
/// Names that stand in manifest.json. Pure. For this folder's units only.
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "backup/manifest.h"

namespace verbund::backup {

inline constexpr std::array<std::pair<Content, std::string_view>, 4> kContents{{{Content::kDatabase, "database"},
                                                                               {Content::kGlobals, "globals"},
                                                                               {Content::kFolder, "folder"},
                                                                               {Content::kText, "text"}}};

inline std::string_view word_of(Content content) {
  for (const auto& [known, word] : kContents) {
    if (known == content) return word;
  }
  return "text";
}

inline std::optional<Content> content_of(std::string_view text) {
  for (const auto& [known, word] : kContents) {
    if (word == text) return known;
  }
  return std::nullopt;
}

}  // namespace verbund::backup
