#pragma once
/// What a drill (L5) has come to, and how the office learns of it: a file beside the sets, or a code that is typed there. Both are
/// proven by a secret that is in the set itself (DIR/secrets/drill): who has it has restored the set, or is the office.
/// Format: docs/formats/drill.md. Pure but for the functions that name a file; any thread. The secret: drill_secret (office.h).
#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/messages.h"
#include "base/result.h"

namespace verbund::backup {

struct DrillCheck {
  Phrase what;
  bool passed = false;
  Phrase detail;              ///< what was found; what is wrong
};

struct DrillRecord {
  std::string installation, set;
  std::uint64_t sequence = 0;
  std::chrono::sys_days day;  ///< where it was made
  std::string system;         ///< host name of the other system
  std::string by;             ///< who has signed it off
  bool passed = false;        ///< all checks, and the person says so
  bool same_system = false;   ///< made where the set was made: does not count
  std::vector<DrillCheck> checks;
  std::chrono::milliseconds took{0};
};

/// "2026-11-22"
std::string drill_day(std::chrono::sys_days day);
/// UTF-8 text, one field a line.
std::string drill_json(const DrillRecord& record);
/// Without the checks' phrases, whose English text they keep. Errors: kDamaged.
Result<DrillRecord> read_drill(std::string_view json);
/// What stands in FILE.proof: hex, over the file's bytes.
std::string drill_proof(std::string_view json, std::string_view secret);

/// Six groups of four letters: set number, day, whether it passed, and a check over all of it with system and person.
std::string drill_code(const DrillRecord& record, std::string_view secret);
/// The record (without set id and checks) that a typed code stands for. Blanks, dashes and case don't matter; O is taken for 0, I and L for 1.
/// `by` and `system` as they were said at the drill; case and blanks don't matter. Errors: kUsage (no code), kForbidden (another set's or
/// office's, or a wrong letter, person or system).
Result<DrillRecord> read_drill_code(std::string_view code, const std::string& installation, const std::string& by, const std::string& system,
                                    std::string_view secret);

/// `drill-2026-11-22.json` (…-2.json, when there is one) and its .proof. Errors: kIo, kDiskFull (a medium that can't be written to).
Result<std::filesystem::path> write_drill(const std::filesystem::path& directory, const DrillRecord& record, std::string_view secret);
/// Errors: kNotFound, kDamaged, kForbidden (the proof is not this office's).
Result<DrillRecord> load_drill(const std::filesystem::path& file, std::string_view secret);

/// Into DIR/backup/drills.jsonl, which only grows: what run report and alarms know of drills. Errors: kAlreadyExists (that drill is in
/// it), kIo, kDiskFull.
Status enter_drill(const std::filesystem::path& installation, const DrillRecord& record);
/// Oldest first; none: no drill was ever entered. Errors: kIo.
Result<std::vector<DrillRecord>> entered_drills(const std::filesystem::path& installation);

}  // namespace verbund::backup
