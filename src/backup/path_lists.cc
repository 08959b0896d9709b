#include "backup/path_lists.h"

#include <algorithm>
#include <bit>

#include "backup/name_glob.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

/// A pattern after its braces are resolved. States of the match are bits: i = the first i parts are found.
struct Alternative {
  struct Part {
    bool any_folders = false;  ///< **
    NameGlob name;
  };
  std::vector<Part> parts;
  std::size_t entry = 0;

  [[nodiscard]] std::uint64_t past_any_folders(std::uint64_t states) const {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].any_folders && (states >> i & 1) != 0) states |= std::uint64_t{2} << i;
    }
    return states;
  }
  [[nodiscard]] std::uint64_t step(std::uint64_t states, std::u32string_view name) const {
    std::uint64_t next = 0;
    for (std::uint64_t left = states; left != 0; left &= left - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(left));
      if (i >= parts.size()) continue;
      if (parts[i].any_folders) next |= std::uint64_t{1} << i;
      else if (parts[i].name.matches(name)) next |= std::uint64_t{2} << i;
    }
    return past_any_folders(next);
  }
  [[nodiscard]] bool found(std::uint64_t states) const { return (states >> parts.size() & 1) != 0; }
};

std::unexpected<Error> bad(std::string_view pattern, Phrase cause, Phrase hint = {}) {
  return std::unexpected(make_error(ErrorCode::kBadConfig, std::move(cause), std::move(hint)).in(phrase("pattern {}", pattern)));
}

/// Index behind the class that starts at `at`, or `at` when it is not closed.
std::size_t behind_class(std::string_view text, std::size_t at) {
  std::size_t i = at + 1;
  if (i < text.size() && (text[i] == '!' || text[i] == '^')) ++i;
  const std::size_t close = text.find(']', i + 1);
  return close == std::string_view::npos ? at : close + 1;
}

struct Braces {
  std::size_t open = std::string_view::npos, close = std::string_view::npos;
  std::vector<std::size_t> commas;
};

/// The first pair that is not inside another or inside a class.
Result<Braces> first_braces(std::string_view text) {
  Braces braces;
  std::size_t depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[') {
      const std::size_t behind = behind_class(text, i);
      if (behind > i) i = behind - 1;
    } else if (text[i] == '{') {
      if (depth++ == 0) braces.open = i;
    } else if (text[i] == '}' && depth > 0) {
      if (--depth > 0) continue;
      braces.close = i;
      return braces;
    } else if (text[i] == ',' && depth == 1) {
      braces.commas.push_back(i);
    }
  }
  if (depth > 0) return bad(text, phrase("a brace that is not closed"), phrase("A brace that stands for itself is written in brackets."));
  return braces;
}

Result<std::vector<std::string>> without_braces(std::string_view pattern) {
  std::vector<std::string> open{std::string(pattern)}, done;
  while (!open.empty()) {
    const std::string text = std::move(open.back());
    open.pop_back();
    const auto braces = first_braces(text);
    if (!braces) return std::unexpected(braces.error());
    if (braces->close == std::string_view::npos) {
      done.push_back(text);
      continue;
    }
    std::vector<std::size_t> cuts{braces->open};
    cuts.insert(cuts.end(), braces->commas.begin(), braces->commas.end());
    cuts.push_back(braces->close);
    if (open.size() + done.size() + cuts.size() > kMaxAlternatives) return bad(pattern, phrase("more than {} alternatives", kMaxAlternatives));
    for (std::size_t i = cuts.size() - 1; i-- > 0;) {
      open.push_back(text.substr(0, braces->open) + text.substr(cuts[i] + 1, cuts[i + 1] - cuts[i] - 1) + text.substr(braces->close + 1));
    }
  }
  return done;
}

bool drive_letter(std::string_view part) {
  return part.size() == 2 && part[1] == ':' && ((part[0] >= 'a' && part[0] <= 'z') || (part[0] >= 'A' && part[0] <= 'Z'));
}

Result<std::vector<std::string>> split(std::string_view pattern) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= pattern.size()) {
    const std::size_t end = std::min(pattern.find_first_of("/\\", begin), pattern.size());
    const auto part = pattern.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return bad(pattern, phrase("\"..\" is not allowed"));
    if (parts.empty() && drive_letter(part)) {
      return bad(pattern, phrase("a drive letter"), phrase("Patterns are relative to the application's root."));
    }
    if (part.find('\0') != std::string_view::npos) return bad(pattern, phrase("a NUL character"));
    if (part == "**" && !parts.empty() && parts.back() == "**") continue;
    parts.emplace_back(part);
  }
  if (parts.size() > kMaxPatternParts) return bad(pattern, phrase("more than {} parts", kMaxPatternParts));
  return parts;
}

Result<Alternative> parse_alternative(std::string_view pattern, std::size_t entry, LetterCase letter_case) {
  const auto names = split(pattern);
  if (!names) return std::unexpected(names.error());
  if (names->empty()) return bad(pattern, phrase("names nothing"), phrase("The whole tree is \"**\"."));
  Alternative alternative;
  alternative.entry = entry;
  for (const std::string& name : *names) {
    auto glob = NameGlob::parse(name, letter_case);
    if (!glob) return std::unexpected(std::move(glob.error()).in(phrase("pattern {}", pattern)));
    alternative.parts.push_back({name == "**", std::move(*glob)});
  }
  return alternative;
}

/// How people see the pattern in reports: '/' between the parts, nothing in front.
std::string tidy(std::string_view pattern) {
  std::string out(pattern);
  std::ranges::replace(out, '\\', '/');
  out.erase(0, std::min(out.find_first_not_of('/'), out.size()));
  while (out.ends_with('/')) out.pop_back();
  return out;
}

constexpr std::string_view kOptional = "optional:";

ListEntry without_prefix(ListEntry entry) {
  if (!entry.pattern.starts_with(kOptional)) return entry;
  entry.pattern.erase(0, kOptional.size());
  entry.optional = true;
  return entry;
}

std::vector<std::u32string> parts_of(std::string_view path, LetterCase letter_case) {
  std::vector<std::u32string> parts;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    parts.push_back(letters(path.substr(0, end), letter_case));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return parts;
}

Status check_list(std::span<const ListEntry> entries, std::string_view name) {
  for (const ListEntry& entry : entries) {
    const auto compiled = PathSet::compile(std::span(&entry, 1), "0", LetterCase::kExact);
    if (!compiled) return std::unexpected(Error(compiled.error()).in(name));
  }
  return {};
}

}  // namespace

struct PathSet::Impl {
  bool everything = false;
  LetterCase letter_case = LetterCase::kExact;
  std::vector<ListEntry> entries;
  std::vector<Alternative> alternatives;
};

PathSet::PathSet() : impl_(std::make_shared<const Impl>()) {}

PathSet PathSet::everything() {
  auto impl = std::make_shared<Impl>();
  impl->everything = true;
  return PathSet(std::move(impl));
}

PathSet PathSet::literal(std::span<const std::string> paths, LetterCase letter_case) {
  auto impl = std::make_shared<Impl>();
  impl->letter_case = letter_case;
  for (const std::string& path : paths) {
    Alternative alternative;
    alternative.entry = impl->entries.size();
    std::string_view rest = path;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('/'), rest.size());
      if (end > 0) alternative.parts.push_back({false, NameGlob::literal(rest.substr(0, end), letter_case)});
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    impl->entries.push_back({tidy(path), false, {}});
    // A path that is too deep for a pattern matches nothing, and so is told as missing.
    if (!alternative.parts.empty() && alternative.parts.size() <= kMaxPatternParts) impl->alternatives.push_back(std::move(alternative));
  }
  return PathSet(std::move(impl));
}

Result<PathSet> PathSet::compile(std::span<const ListEntry> entries, std::string_view version, LetterCase letter_case) {
  auto impl = std::make_shared<Impl>();
  impl->letter_case = letter_case;
  for (const ListEntry& written : entries) {
    const ListEntry entry = without_prefix(written);
    auto in_force = version_matches(entry.versions, version);
    if (!in_force) return pass(in_force, phrase("pattern {}", entry.pattern));
    auto texts = without_braces(entry.pattern);
    if (!texts) return pass(texts);
    for (const std::string& text : *texts) {
      auto alternative = parse_alternative(text, impl->entries.size(), letter_case);
      if (!alternative) return pass(alternative);
      if (*in_force) impl->alternatives.push_back(std::move(*alternative));
    }
    if (*in_force) impl->entries.push_back({tidy(entry.pattern), entry.optional, entry.versions});
  }
  return PathSet(std::move(impl));
}

PathSet::Verdict PathSet::judge(std::string_view path, std::vector<bool>* hits) const {
  if (impl_->everything) return {true, true, 0};
  const auto parts = parts_of(path, impl_->letter_case);
  Verdict verdict;
  for (const Alternative& alternative : impl_->alternatives) {
    std::uint64_t states = alternative.past_any_folders(1);
    std::size_t depth = 0;
    while (!alternative.found(states) && states != 0 && depth < parts.size()) states = alternative.step(states, parts[depth++]);
    if (states == 0) continue;
    verdict.leads = true;
    if (!alternative.found(states)) continue;
    verdict.depth = verdict.covered ? std::min(verdict.depth, depth) : depth;
    verdict.covered = true;
    if (hits != nullptr) (*hits)[alternative.entry] = true;
  }
  return verdict;
}

const std::vector<ListEntry>& PathSet::entries() const { return impl_->entries; }
LetterCase PathSet::letter_case() const { return impl_->letter_case; }

Result<PathSet> saved_paths(const PathLists& lists, std::string_view version) {
  if (lists.saved.empty()) return PathSet::everything();
  return PathSet::compile(lists.saved, version, lists.letter_case);
}

Result<PathSet> excluded_paths(const PathLists& lists, std::string_view version) {
  return PathSet::compile(lists.excluded, version, lists.letter_case);
}

Result<PathSet> restored_paths(const PathLists& lists, std::string_view version) {
  return PathSet::compile(lists.restored, version, lists.letter_case);
}

std::string entry_text(const ListEntry& entry) { return entry.optional ? std::string(kOptional) + entry.pattern : entry.pattern; }

Status check_lists(const PathLists& lists) {
  if (auto saved = check_list(lists.saved, "saved"); !saved) return saved;
  if (auto excluded = check_list(lists.excluded, "excluded"); !excluded) return excluded;
  return check_list(lists.restored, "restored");
}

int compare_paths(std::string_view left, std::string_view right) {
  // '/' sorts before every other byte: then comparing the texts is comparing the names one by one.
  const auto weight = [](char c) { return c == '/' ? 0 : static_cast<int>(static_cast<unsigned char>(c)) + 1; };
  const auto [l, r] = std::ranges::mismatch(left, right);
  if (l == left.end() || r == right.end()) return l == left.end() ? (r == right.end() ? 0 : -1) : 1;
  return weight(*l) - weight(*r);
}

}  // namespace verbund::backup
