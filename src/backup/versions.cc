#include <algorithm>
#include <array>
#include <cctype>

#include "backup/name_glob.h"
#include "backup/path_lists.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }

/// The run of digits, or of anything else, at the start.
std::string_view take_run(std::string_view& rest) {
  std::size_t length = 1;
  while (length < rest.size() && digit(rest[length]) == digit(rest[0])) ++length;
  const auto run = rest.substr(0, length);
  rest.remove_prefix(length);
  return run;
}

int sign(auto left, auto right) { return left < right ? -1 : (right < left ? 1 : 0); }

int compare_numbers(std::string_view left, std::string_view right) {
  left.remove_prefix(std::min(left.find_first_not_of('0'), left.size()));
  right.remove_prefix(std::min(right.find_first_not_of('0'), right.size()));
  if (left.size() != right.size()) return sign(left.size(), right.size());
  return sign(left, right);
}

int compare_runs(std::string_view left, std::string_view right) {
  if (digit(left[0]) && digit(right[0])) return compare_numbers(left, right);
  return sign(letters(left, LetterCase::kIgnored), letters(right, LetterCase::kIgnored));
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

/// Cuts off what stands before the first `separator`.
std::string_view take_until(std::string_view& rest, char separator) {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  const auto part = trimmed(rest.substr(0, end));
  rest = end < rest.size() ? rest.substr(end + 1) : std::string_view();
  return part;
}

std::string_view take_operator(std::string_view& term) {
  constexpr std::array<std::string_view, 7> kOperators{"<=", ">=", "!=", "==", "<", ">", "="};
  for (const auto known : kOperators) {
    if (!term.starts_with(known)) continue;
    term = trimmed(term.substr(known.size()));
    return known == "==" ? "=" : known;
  }
  return "=";
}

Result<bool> term_matches(std::string_view term, std::string_view version) {
  const auto relation = take_operator(term);
  const bool equality = relation == "=" || relation == "!=";
  const bool glob = term.find_first_of("*?[") != std::string_view::npos;
  if (term.empty() || (glob && !equality) || term.find_first_of("<>=!") != std::string_view::npos) {
    return fail(ErrorCode::kBadConfig, phrase("'{}{}' is no condition on a version", relation, term),
                phrase("For example: 7.*, >= 11, > 6, <= 7.2 (both), 7.* | 11g (either)."));
  }
  if (equality) {
    bool same = compare_versions(version, term) == 0;
    if (glob) {
      const auto pattern = NameGlob::parse(term, LetterCase::kIgnored);
      if (!pattern) return std::unexpected(pattern.error());
      same = pattern->matches(letters(version, LetterCase::kIgnored));
    }
    return same == (relation == "=");
  }
  const int order = compare_versions(version, term);
  if (relation == "<") return order < 0;
  if (relation == "<=") return order <= 0;
  return relation == ">" ? order > 0 : order >= 0;
}

}  // namespace

int compare_versions(std::string_view left, std::string_view right) {
  while (!left.empty() && !right.empty()) {
    if (const int order = compare_runs(take_run(left), take_run(right)); order != 0) return order;
  }
  return sign(right.empty(), left.empty());
}

Result<bool> version_matches(std::string_view condition, std::string_view version) {
  condition = trimmed(condition);
  if (condition.empty()) return true;
  version = trimmed(version);
  if (version.empty()) {
    return fail(ErrorCode::kBadConfig, phrase("'{}' depends on the program version, which is not known", condition),
                phrase("Say in the configuration how the version is found."));
  }
  // Every term is read, so that a mistake is found whatever today's version is.
  bool any = false;
  for (bool more = true; more;) {
    more = condition.find('|') != std::string_view::npos;
    auto terms = take_until(condition, '|');
    bool all = true;
    for (bool another = true; another;) {
      another = terms.find(',') != std::string_view::npos;
      const auto met = term_matches(take_until(terms, ','), version);
      if (!met) return met;
      all = all && *met;
    }
    any = any || all;
  }
  return any;
}

}  // namespace verbund::backup
