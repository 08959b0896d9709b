// Filters as texts: tokens, one comparison after the other, and back.
#include <algorithm>
#include <array>

#include "base/messages.h"
#include "base/utf8.h"
#include "sync/model/rules.h"

namespace verbund::sync {
namespace {

using Op = Comparison::Op;
using With = Comparison::With;

constexpr std::array<std::pair<std::string_view, Op>, 7> kSigns{{{"=", Op::kEqual},
                                                                 {"<>", Op::kNotEqual},
                                                                 {"!=", Op::kNotEqual},
                                                                 {"<=", Op::kLessOrEqual},
                                                                 {">=", Op::kGreaterOrEqual},
                                                                 {"<", Op::kLess},
                                                                 {">", Op::kGreater}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (static_cast<unsigned char>(c) & 0x80U) != 0; }
bool in_name(char c) { return begins_name(c) || is_digit(c) || c == '$'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string small(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

bool is_keyword(std::string_view name) {
  static constexpr std::string_view kWords[] = {"and", "or", "not", "is", "null", "true", "false", "in", "like", "ilike", "between", "select", "from", "where"};
  return std::ranges::find(kWords, name) != std::ranges::end(kWords);
}

struct Token {
  enum class Is { kName, kQuoted, kText, kNumber, kParameter, kSign, kOther, kEnd } is = Is::kEnd;
  std::string text;     ///< a name in small letters, a text without its quotes
  std::size_t at = 0;   ///< bytes
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Filter> parse() {
    if (auto first = step(); !first) return pass(first);
    if (token_.is == Token::Is::kEnd) return Filter{};
    auto filter = comparisons();
    if (filter && token_.is != Token::Is::kEnd) return refuse(token_.at, phrase("{} instead of AND or the end", shown()));
    return filter;
  }

 private:
  /// One or more, until something else than AND follows.
  Result<Filter> comparisons() {
    Filter filter;
    for (;;) {
      auto one = comparison();
      if (!one) return pass(one);
      if (++comparisons_ > kMaxComparisons) return refuse(token_.at, phrase("more than {} comparisons", kMaxComparisons));
      filter.push_back(std::move(*one));
      if (!is_word("and")) return filter;
      if (auto next = step(); !next) return pass(next);
    }
  }

  [[nodiscard]] bool is_word(std::string_view word) const { return token_.is == Token::Is::kName && token_.text == word; }
  [[nodiscard]] bool is_sign(char sign) const { return token_.is == Token::Is::kOther && text_[token_.at] == sign; }

  [[nodiscard]] Phrase shown() const {
    if (token_.is == Token::Is::kEnd) return phrase("the end");
    return verbatim(fmt::format("'{}'", text_.substr(token_.at, at_ - token_.at)));
  }

  [[nodiscard]] std::unexpected<Error> refuse(std::size_t at, Phrase what) const {
    const auto before = text_.substr(0, at);
    const auto position = 1 + std::ranges::count_if(before, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; });
    return fail(ErrorCode::kBadConfig, phrase("position {}: {}", position, what),
                phrase("Allowed are comparisons joined by AND: COLUMN = :user, COLUMN = :parameter, COLUMN IS [NOT] NULL, COLUMN with =, <>, <, <=, >, >= and a "
                       "constant ('text', 12.5, true, false), and COLUMN IN (SELECT COLUMN FROM TABLE WHERE comparisons)."));
  }

  Result<std::string> name(const Phrase& instead_of) {
    const bool bare = token_.is == Token::Is::kName && !is_keyword(token_.text);
    if (!bare && token_.is != Token::Is::kQuoted) return refuse(token_.at, phrase("{} instead of {}", shown(), instead_of));
    auto found = std::move(token_.text);
    if (auto next = step(); !next) return pass(next);
    return found;
  }

  Status expect_word(std::string_view word, std::string_view as_shown) {
    if (!is_word(word)) return refuse(token_.at, phrase("{} instead of {}", shown(), as_shown));
    return step();
  }
  Status expect_sign(char sign) {
    if (!is_sign(sign)) return refuse(token_.at, phrase("{} instead of {}", shown(), fmt::format("'{}'", sign)));
    return step();
  }

  /// Behind IN.
  Result<Membership> membership(std::size_t at) {
    if (++joins_ > kMaxJoins) return refuse(at, phrase("more than {} memberships", kMaxJoins));
    if (auto open = expect_sign('('); !open) return pass(open);
    if (auto select = expect_word("select", "SELECT"); !select) return pass(select);
    Membership one;
    auto column = name(phrase("a column"));
    if (!column) return pass(column);
    one.column = std::move(*column);
    if (auto from = expect_word("from", "FROM"); !from) return pass(from);
    auto table = name(phrase("a table"));
    if (!table) return pass(table);
    one.table = std::move(*table);
    if (is_sign('.')) {
      if (auto next = step(); !next) return pass(next);
      one.schema = std::move(one.table);
      auto second = name(phrase("a table"));
      if (!second) return pass(second);
      one.table = std::move(*second);
    }
    if (is_word("where")) {
      if (auto next = step(); !next) return pass(next);
      auto filter = comparisons();
      if (!filter) return pass(filter);
      one.filter = std::move(*filter);
    }
    if (!is_sign(')')) return refuse(token_.at, phrase("{} instead of AND or {}", shown(), "')'"));
    if (auto next = step(); !next) return pass(next);
    return one;
  }

  Result<Comparison> comparison() {
    Comparison one;
    auto column = name(phrase("a column"));
    if (!column) return pass(column);
    one.column = std::move(*column);
    if (is_word("in")) {
      const auto at = token_.at;
      if (auto next = step(); !next) return pass(next);
      auto in = membership(at);
      if (!in) return pass(in);
      one.op = Op::kIn;
      one.in.push_back(std::move(*in));
      return one;
    }
    if (is_word("is")) {
      if (auto done = null_test(one); !done) return pass(done);
      return one;
    }
    const auto sign = std::ranges::find(kSigns, token_.is == Token::Is::kSign ? std::string_view(token_.text) : "", &std::pair<std::string_view, Op>::first);
    if (sign == kSigns.end()) return refuse(token_.at, phrase("{} instead of a comparison", shown()));
    one.op = sign->second;
    if (auto next = step(); !next) return pass(next);
    if (auto done = operand(one); !done) return pass(done);
    return one;
  }

  Status null_test(Comparison& one) {
    if (auto next = step(); !next) return pass(next);
    one.op = Op::kIsNull;
    if (is_word("not")) {
      one.op = Op::kIsNotNull;
      if (auto next = step(); !next) return pass(next);
    }
    if (!is_word("null")) return refuse(token_.at, phrase("{} instead of NULL", shown()));
    return step();
  }

  Status operand(Comparison& one) {
    const bool constant = token_.is == Token::Is::kText || token_.is == Token::Is::kNumber || is_word("true") || is_word("false");
    if (token_.is == Token::Is::kParameter) {
      if (one.op != Op::kEqual) return refuse(token_.at, phrase("{} stands with another comparison than =", shown()));
      one.with = token_.text == "user" ? With::kUser : With::kParameter;
      if (one.with == With::kParameter) one.operand = std::move(token_.text);
    } else if (constant) {
      one.operand = std::move(token_.text);
    } else {
      return refuse(token_.at, phrase("{} instead of a constant, :user or a :parameter", shown()));
    }
    return step();
  }

  /// The next token.
  Status step() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    token_ = {Token::Is::kEnd, {}, at_};
    if (at_ == text_.size()) return {};
    const char c = text_[at_];
    if (c == '\'' || c == '"') return quoted(c);
    if (begins_name(c)) return word(Token::Is::kName, true);
    if (c == ':') {
      ++at_;
      if (at_ == text_.size() || !begins_name(text_[at_])) return refuse(token_.at, phrase("':' without the name of a parameter"));
      return word(Token::Is::kParameter, false);
    }
    if (is_digit(c) || ((c == '-' || c == '+' || c == '.') && at_ + 1 < text_.size() && (is_digit(text_[at_ + 1]) || text_[at_ + 1] == '.'))) return number();
    for (const auto& [sign, op] : kSigns) {
      if (!text_.substr(at_).starts_with(sign)) continue;
      at_ += sign.size();
      token_.is = Token::Is::kSign;
      token_.text = sign;
      return {};
    }
    token_.is = Token::Is::kOther;
    at_ += utf8_length(text_.substr(at_));
    return {};
  }

  Status word(Token::Is is, bool fold) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && in_name(text_[at_])) ++at_;
    const auto found = text_.substr(begin, at_ - begin);
    token_.is = is;
    token_.text = fold ? small(found) : std::string(found);
    return {};
  }

  Status quoted(char quote) {
    token_.is = quote == '"' ? Token::Is::kQuoted : Token::Is::kText;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == quote) {
        ++at_;
        if (at_ == text_.size() || text_[at_] != quote) {
          if (quote == '"' && token_.text.empty()) return refuse(token_.at, phrase("a column without a name"));
          return {};
        }
      }
      token_.text += text_[at_];
    }
    return refuse(token_.at, phrase("a quote that has no end"));
  }

  /// As PostgreSQL reads one; a sign of its own before it.
  Status number() {
    const std::size_t begin = at_;
    std::size_t digits = 0;
    const auto run = [&] {
      while (at_ < text_.size() && is_digit(text_[at_])) ++at_, ++digits;
    };
    if (text_[at_] == '-' || text_[at_] == '+') ++at_;
    run();
    if (at_ < text_.size() && text_[at_] == '.') ++at_;
    run();
    bool whole = digits > 0;
    if (whole && at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) ++at_;
      digits = 0;
      run();
      whole = digits > 0;
    }
    if (!whole || (at_ < text_.size() && (in_name(text_[at_]) || text_[at_] == '.'))) return refuse(token_.at, phrase("not a number"));
    token_.is = Token::Is::kNumber;
    token_.text = std::string(text_.substr(begin, at_ - begin));
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Token token_;
  std::size_t comparisons_ = 0, joins_ = 0;
};

std::string in_quotes(std::string_view text, char quote) {
  std::string result(1, quote);
  for (const char c : text) {
    if (c == quote) result += quote;
    result += c;
  }
  return result + quote;
}

std::string column_text(const std::string& name) {
  const bool bare = !name.empty() && begins_name(name[0]) && std::ranges::all_of(name, in_name) && small(name) == name && !is_keyword(name);
  return bare ? name : in_quotes(name, '"');
}

std::string to_string(const Membership& one) {
  auto text = "SELECT " + column_text(one.column) + " FROM " + (one.schema == "public" ? "" : column_text(one.schema) + ".") + column_text(one.table);
  if (!one.filter.empty()) text += " WHERE " + verbund::sync::to_string(one.filter);
  return text;
}

std::string to_string(const Comparison& one) {
  const auto column = column_text(one.column);
  if (one.op == Op::kIsNull) return column + " IS NULL";
  if (one.op == Op::kIsNotNull) return column + " IS NOT NULL";
  if (one.op == Op::kIn) return column + " IN (" + to_string(one.in.front()) + ")";
  const auto sign = std::ranges::find(kSigns, one.op, &std::pair<std::string_view, Op>::second)->first;
  const auto operand = one.with == With::kUser        ? std::string(":user")
                       : one.with == With::kParameter ? ":" + one.operand
                                                      : in_quotes(one.operand, '\'');
  return fmt::format("{} {} {}", column, sign, operand);
}

}  // namespace

Result<Filter> parse_filter(std::string_view text) {
  const auto too_long = [] { return fail(ErrorCode::kBadConfig, phrase("a filter is longer than {} bytes", kMaxFilterBytes)); };
  if (text.size() > kMaxFilterBytes) return too_long();
  const auto odd = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && !is_blank(c)) || c == 0x7f; };
  if (!is_utf8(text) || std::ranges::any_of(text, odd)) return fail(ErrorCode::kBadConfig, phrase("a filter has bytes that are no text"));
  auto filter = Parser(text).parse();
  if (filter && to_string(*filter).size() > kMaxFilterBytes) return too_long();
  return filter;
}

std::string to_string(const Filter& filter) {
  std::string text;
  for (const auto& one : filter) {
    if (!text.empty()) text += " AND ";
    text += to_string(one);
  }
  return text;
}

bool operator==(const Membership& left, const Membership& right) {
  return left.schema == right.schema && left.table == right.table && left.column == right.column && left.filter == right.filter;
}

std::vector<const Comparison*> every_comparison(const Filter& filter) {
  std::vector<const Comparison*> all;
  for (const auto& one : filter) {
    all.push_back(&one);
    for (const auto& membership : one.in) {
      for (const auto* inner : every_comparison(membership.filter)) all.push_back(inner);
    }
  }
  return all;
}

}  // namespace verbund::sync
