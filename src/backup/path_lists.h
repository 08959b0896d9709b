#pragma once
/// The two lists of an application (REQUIREMENTS C11): what is SAVED, and what alone is RESTORED; kept per program version.
/// Pure, any thread.
///
/// A pattern is written relative to the application's root, with '/' or '\' between the parts; one at the beginning is dropped.
/// It names a file, or a folder with everything beneath:
///   *  any characters of one name · ?  one character · [a-z] [!a-z]  one of them · {a,b}  either · **  any number of folders
/// A special character stands for itself in brackets: [*], [{]. Drive letters and ".." are refused.
/// "optional:" in front says that the entry may be missing, as ListEntry::optional does.
/// A condition on the program version: `7.*`, `>= 11`, `> 6, <= 7.2` (all of them), `7.* | 11g` (one of them); empty: every version.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verbund::backup {

/// Whether "BIN" is "bin": true of trees that live on Windows, or come from there by a share. Latin, Greek and Cyrillic letters.
enum class LetterCase { kExact, kIgnored };

struct ListEntry {
  std::string pattern;
  bool optional = false;  ///< it may be missing
  std::string versions;   ///< condition on the program version; empty: in force for every one
  friend bool operator==(const ListEntry&, const ListEntry&) = default;
};

struct PathLists {
  LetterCase letter_case = LetterCase::kExact;
  std::vector<ListEntry> saved;     ///< empty: the whole tree
  std::vector<ListEntry> excluded;  ///< taken out of what is saved; never missing
  std::vector<ListEntry> restored;  ///< empty: nothing is restored
  friend bool operator==(const PathLists&, const PathLists&) = default;
};

/// "optional:PATTERN" or "PATTERN": an entry as manifests and configurations hold it, without its versions.
std::string entry_text(const ListEntry& entry);

/// Every pattern and condition, whatever the version. Errors: kBadConfig, names list and entry.
Status check_lists(const PathLists& lists);

/// By runs: digits as numbers, the rest as text without regard to case. "7" < "7.2" < "7.10" < "11" < "11g".
int compare_versions(std::string_view left, std::string_view right);
/// Errors: kBadConfig (the condition can't be read; `version` is empty where it matters).
Result<bool> version_matches(std::string_view condition, std::string_view version);

/// "a/b/c" against "a/b": folder by folder, names by their bytes; a folder comes right before what it holds. The order of archives.
int compare_paths(std::string_view left, std::string_view right);

inline constexpr std::size_t kMaxPatternParts = 62;
inline constexpr std::size_t kMaxAlternatives = 4096;  ///< of one entry's braces

/// The entries of one list that are in force for a program version, ready to be asked. Cheap to copy.
class PathSet {
 public:
  /// Nothing.
  PathSet();
  /// Errors: kBadConfig, names the entry.
  static Result<PathSet> compile(std::span<const ListEntry> entries, std::string_view version, LetterCase letter_case);
  static PathSet everything();
  /// These paths themselves, special characters and all ("/" between the parts).
  static PathSet literal(std::span<const std::string> paths, LetterCase letter_case);

  struct Verdict {
    bool covered = false;   ///< the path, or a folder above it, is in the list
    bool leads = false;     ///< something beneath the path may be
    std::size_t depth = 0;  ///< covered: how many parts of the path the shortest match has; 0: the root itself
  };
  /// `path` relative to the root, "/" between the parts; empty: the root. Sets `hits[i]` when entries()[i] covers it.
  [[nodiscard]] Verdict judge(std::string_view path, std::vector<bool>* hits = nullptr) const;

  /// Those in force; patterns with '/' and nothing in front. Of everything(): none.
  [[nodiscard]] const std::vector<ListEntry>& entries() const;
  [[nodiscard]] LetterCase letter_case() const;

 private:
  struct Impl;
  explicit PathSet(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;  // shared: it never changes, and options that hold a set are copied
};

/// `saved` of the lists for this version: the whole tree when the list is empty.
Result<PathSet> saved_paths(const PathLists& lists, std::string_view version);
Result<PathSet> excluded_paths(const PathLists& lists, std::string_view version);
Result<PathSet> restored_paths(const PathLists& lists, std::string_view version);

/// Whether two names are the same under the rule.
bool same_name(std::string_view left, std::string_view right, LetterCase letter_case);

}  // namespace verbund::backup
