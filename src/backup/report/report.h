#pragma once
/// The run report ("Protokoll"): what a run came to, for people. Pure: values to texts; any thread.
///
/// A report knows names of files, which may be patients' names. They stand in the files on disk (Detail::kNames) and never in a mail
/// (Detail::kCounts): there only counts, and of every text that others have made only words that are known to be harmless.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backup/level.h"
#include "base/messages.h"
#include "base/time.h"

namespace verbund::backup {

struct Report {
  enum class Outcome { kOk, kIncomplete, kFailed, kMissed };
  Outcome outcome = Outcome::kFailed;
  std::string id;                        ///< of the set; "failed-20261122T013000Z" when there is none
  bool set_exists = false;
  std::string office, host, program_version;
  WallTime begun{}, ended{};
  std::string night;                     ///< the working day whose data it holds, "2026-11-21"; empty: not known
  std::string path;                      ///< of the set; empty: there is none
  bool sealed = false;                   ///< encrypted

  std::vector<Phrase> reasons;           ///< why it is not complete
  std::optional<Error> failure;
  std::vector<std::string> services_down;

  struct Phase {
    Phrase what;
    WallTime begun{};
    milliseconds took{0};
  };
  std::vector<Phase> phases;
  milliseconds took{0}, services_were_down{0};

  struct Size {
    std::string name;                    ///< database, or application and root
    bool database = false;
    std::uint64_t files = 0;             ///< of a folder
    std::uint64_t bytes = 0;             ///< before compression
    std::optional<std::uint64_t> before; ///< in the last run; absent: it was not in it
  };
  std::vector<Size> sizes;
  std::uint64_t stored_bytes = 0;        ///< what the set takes
  std::optional<std::uint64_t> stored_before;

  struct Folder {
    std::string application, root;
    std::vector<std::string> missing, changed, unreadable;
  };
  std::vector<Folder> folders;           ///< those with something to say

  Level wanted = Level::kNone, reached = Level::kNone;
  Phrase not_higher;

  // Around the run; empty or absent: not known.
  std::string medium_expected, medium_found;
  Phrase medium_problem;                 ///< also "a copy, not a backup: …"
  std::string next_medium, next_at;      ///< label; local time "2026-11-23T01:30:00"
  std::string off_site_at, off_site_target, drill_at;  ///< local times
  std::string responsible, deputy;
  std::vector<std::string> harmless;     ///< further words that may stand in a mail: names of tables, targets
};

enum class Detail { kNames, kCounts };

/// "OK: Praxis Weber, 22.11.2026, Montag 1": one line.
std::string subject_of(const Report& report, Language language);
std::string_view outcome_name(Report::Outcome outcome);   ///< "ok", "incomplete", "failed", "missed"
const char* outcome_msgid(Report::Outcome outcome);       ///< "OK", "INCOMPLETE", …

/// A page of text in parts, as all three forms show it.
struct Document {
  std::string title, subtitle;
  Report::Outcome outcome = Report::Outcome::kOk;
  std::string verdict, language;         ///< "de", "en"
  struct Section {
    std::string heading;
    std::vector<std::string> lines;
    std::vector<std::pair<std::string, std::string>> facts;
    std::vector<std::string> columns;    ///< of `rows`; those after the first are aligned to the right when `numbers`
    bool numbers = false;
    std::vector<std::vector<std::string>> rows;
  };
  std::vector<Section> sections;
  std::string footer;
};
Document document_of(const Report& report, Language language, Detail detail);

std::string text_of(const Document& document);
/// One file without anything from elsewhere; to be printed, too.
std::string html_of(const Document& document);
/// A4. Errors: kInternal (Pango or Cairo say no).
Result<std::string> pdf_of(const Document& document);

/// For programs, and for the next run's comparison. docs/formats/backup-report.md
std::string json_of(const Report& report);

/// The phrase with everything left out that is not known to be harmless: numbers, the system's words for errors, our own texts, `harmless`.
Phrase harmless_phrase(const Phrase& phrase, const std::vector<std::string>& harmless);

}  // namespace verbund::backup
