#include "backup/name_glob.h"

#include <algorithm>

#include "base/messages.h"
#include "base/utf8.h"

namespace verbund::backup {
namespace {

constexpr char32_t kForeignByte = 0x110000;

char32_t decode(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(bytes[i])); };
  switch (bytes.size()) {
    case 1: return byte(0);
    case 2: return ((byte(0) & 0x1F) << 6) | (byte(1) & 0x3F);
    case 3: return ((byte(0) & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F);
    default: return ((byte(0) & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) | (byte(3) & 0x3F);
  }
}

/// Small letters where capitals are neighbours in Unicode's blocks: what file names of an office consist of.
char32_t small(char32_t letter) {
  if (letter >= U'A' && letter <= U'Z') return letter + 0x20;
  if (letter < 0xC0) return letter;
  if (letter <= 0xDE && letter != 0xD7) return letter + 0x20;
  const bool even_is_capital = (letter >= 0x100 && letter <= 0x137 && letter != 0x130) || (letter >= 0x14A && letter <= 0x177);
  const bool odd_is_capital = (letter >= 0x139 && letter <= 0x148) || (letter >= 0x179 && letter <= 0x17E);
  if (even_is_capital) return letter | 1;
  if (odd_is_capital) return letter % 2 == 1 ? letter + 1 : letter;
  if (letter >= 0x391 && letter <= 0x3A9) return letter + 0x20;
  if (letter >= 0x410 && letter <= 0x42F) return letter + 0x20;
  if (letter >= 0x400 && letter <= 0x40F) return letter + 0x50;
  return letter;
}

}  // namespace

std::u32string letters(std::string_view name, LetterCase letter_case) {
  std::u32string out;
  out.reserve(name.size());
  while (!name.empty()) {
    const std::size_t length = utf8_length(name);
    const char32_t letter = length == 0 ? kForeignByte + static_cast<unsigned char>(name[0]) : decode(name.substr(0, length));
    out.push_back(letter_case == LetterCase::kIgnored ? small(letter) : letter);
    name.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

bool same_name(std::string_view left, std::string_view right, LetterCase letter_case) {
  if (left == right) return true;
  return letter_case == LetterCase::kIgnored && letters(left, letter_case) == letters(right, letter_case);
}

NameGlob NameGlob::literal(std::string_view name, LetterCase letter_case) {
  NameGlob glob;
  for (const char32_t letter : letters(name, letter_case)) glob.tokens_.push_back({Kind::kLetter, letter, false, {}});
  return glob;
}

Result<NameGlob> NameGlob::parse(std::string_view pattern, LetterCase letter_case) {
  NameGlob glob;
  // Classes keep their capitals until their ranges are known: [A-Z] is one range in either spelling.
  const std::u32string text = letters(pattern, LetterCase::kExact);
  const std::u32string folded = letters(pattern, letter_case);
  for (std::size_t i = 0; i < text.size();) {
    Token token;
    std::size_t length = 1;
    if (text[i] == U'*') {
      token.kind = Kind::kStar;
    } else if (text[i] == U'?') {
      token.kind = Kind::kAny;
    } else if (text[i] == U'[') {
      const auto read = parse_class(std::u32string_view(text).substr(i), letter_case, token);
      if (!read) return std::unexpected(read.error());
      length = *read;
    } else {
      token.letter = folded[i];
    }
    const bool star_again = token.kind == Kind::kStar && !glob.tokens_.empty() && glob.tokens_.back().kind == Kind::kStar;
    if (!star_again) glob.tokens_.push_back(std::move(token));
    i += length;
  }
  return glob;
}

/// "[…]" at the start of `text`: how many letters it has.
Result<std::size_t> NameGlob::parse_class(std::u32string_view text, LetterCase letter_case, Token& token) {
  token.kind = Kind::kClass;
  std::size_t i = 1;
  if (i < text.size() && (text[i] == U'!' || text[i] == U'^')) {
    token.negated = true;
    ++i;
  }
  const std::size_t first = i;
  while (i < text.size() && (text[i] != U']' || i == first)) {
    char32_t low = text[i], high = low;
    if (i + 2 < text.size() && text[i + 1] == U'-' && text[i + 2] != U']') {
      high = text[i + 2];
      i += 2;
    }
    ++i;
    token.ranges.emplace_back(low, high);
    if (letter_case == LetterCase::kIgnored) token.ranges.emplace_back(small(low), small(high));
  }
  if (i >= text.size()) return fail(ErrorCode::kBadConfig, phrase("'[' without its ']'"), phrase("A '[' that stands for itself is written [[]."));
  return i + 1;
}

bool NameGlob::fits(const Token& token, char32_t letter) {
  if (token.kind == Kind::kLetter) return token.letter == letter;
  if (token.kind == Kind::kAny) return true;
  const bool inside = std::ranges::any_of(token.ranges, [&](const auto& range) { return letter >= range.first && letter <= range.second; });
  return inside != token.negated;
}

/// Goes back to the last star only: quadratic at worst, whatever the pattern.
bool NameGlob::matches(std::u32string_view name) const {
  std::size_t token = 0, at = 0, star = tokens_.size(), star_at = 0;
  while (at < name.size()) {
    if (token < tokens_.size() && tokens_[token].kind == Kind::kStar) {
      star = token++;
      star_at = at;
    } else if (token < tokens_.size() && fits(tokens_[token], name[at])) {
      ++token;
      ++at;
    } else if (star < tokens_.size()) {
      token = star + 1;
      at = ++star_at;
    } else {
      return false;
    }
  }
  while (token < tokens_.size() && tokens_[token].kind == Kind::kStar) ++token;
  return token == tokens_.size();
}

}  // namespace verbund::backup
