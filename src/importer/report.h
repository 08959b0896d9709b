#pragma once
/// What an import did, per resource type: for people (de/en) and as JSON.
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/messages.h"
#include "base/result.h"
#include "base/time.h"
#include "importer/reasons.h"

namespace verbund::importer {

/// How often something happened and where first.
struct Occurrences {
  static constexpr std::size_t kMaxExamples = 3;
  std::uint64_t count = 0;
  std::vector<std::string> examples;  ///< "FILE" or "FILE: entry 17" or "FILE: line 17"
  void add(std::string_view where) {
    ++count;
    if (examples.size() < kMaxExamples) examples.emplace_back(where);
  }
};

struct TypeReport {
  std::uint64_t imported = 0;
  std::uint64_t updated = 0;
  std::uint64_t unchanged = 0;  ///< skipped because the database says the same
  std::map<Skip, Occurrences> skipped;
  std::map<Note, Occurrences> notes;  ///< imported, but not in full
  [[nodiscard]] std::uint64_t skipped_count() const;
};

/// A file, or line of a file, that was left out.
struct FileProblem {
  std::string file;
  std::string cause;  ///< in English
  Error error;        ///< the same for people, in their language
};

struct ImportReport {
  static constexpr std::size_t kMaxFileProblems = 1000;

  std::map<std::string, TypeReport> types;   ///< by FHIR resource type
  std::vector<FileProblem> file_problems;    ///< the first kMaxFileProblems
  std::uint64_t file_problem_count = 0;
  std::uint64_t files = 0;                   ///< read to their end
  std::uint64_t bytes = 0;                   ///< on disk
  milliseconds elapsed{0};
  std::map<Tolerated, Occurrences> tolerated;  ///< GDT and BDT, lenient
  bool dry_run = false;                        ///< nothing of it was written

  void file_problem(std::string file, Phrase cause);
  /// Says what `error` says, in the reader's language.
  void file_problem(std::string file, const Error& error);
  /// All types together.
  [[nodiscard]] TypeReport total() const;
  /// kIncomplete when a file or a resource of a known type was left out; nothing when all is in. Resource types that the
  /// practice has no table for do not count: every export has them. Nor do rows that a mapping wants to leave as they are.
  [[nodiscard]] std::optional<ErrorCode> outcome() const;
  [[nodiscard]] std::string to_text(Language language) const;
  [[nodiscard]] std::string to_json() const;
};

}  // namespace verbund::importer
