#pragma once
/// One name against one part of a pattern: *, ?, [..]. For this folder's units only; pure, any thread.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backup/path_lists.h"

namespace verbund::backup {

/// Code points; a byte that is no UTF-8 becomes 0x110000 + byte, so that names of any bytes can be told apart.
std::u32string letters(std::string_view name, LetterCase letter_case);

class NameGlob {
 public:
  /// `pattern` without '/', braces resolved. Errors: kBadConfig ('[' without its ']').
  static Result<NameGlob> parse(std::string_view pattern, LetterCase letter_case);
  static NameGlob literal(std::string_view name, LetterCase letter_case);
  [[nodiscard]] bool matches(std::u32string_view name) const;

 private:
  enum class Kind { kLetter, kAny, kStar, kClass };
  struct Token {
    Kind kind = Kind::kLetter;
    char32_t letter = 0;
    bool negated = false;
    std::vector<std::pair<char32_t, char32_t>> ranges;
  };
  static bool fits(const Token& token, char32_t letter);
  static Result<std::size_t> parse_class(std::u32string_view text, LetterCase letter_case, Token& token);
  std::vector<Token> tokens_;
};

}  // namespace verbund::backup
