#pragma once
/// How far a set is proven: the ladder of DESIGN "Backup", step by step. Blocking.
#include <atomic>
#include <filesystem>

#include "backup/database.h"
#include "backup/set.h"
#include "base/log.h"
#include "base/time.h"

namespace verbund::backup {

struct VerifyOptions {
  Level level = Level::kRestored;
  const RecipientKey* key = nullptr;       ///< of a sealed set; without it nothing can be said of what is inside
  std::filesystem::path scratch;           ///< directory for L4, made and removed; its file system needs the room
  const std::atomic<bool>* interrupted = nullptr;
};
struct VerifyOutcome {
  Level reached = Level::kNone;
  Phrase not_higher;                       ///< why it stopped below `level` though nothing is wrong; msgid empty: it did not
};

/// L1 hashes, L2 structure and archives, L3 hashes read back from the medium, L4 restored into a scratch server, table hashes compared.
/// Errors: kDamaged (names everything that is), kMediumGone, kCancelled, kIo.
Result<VerifyOutcome> verify_set(const SetReader& set, const Programs& programs, const VerifyOptions& options, Progress& progress,
                                 const Clock& clock, Log& log);

/// L4 alone. Errors: kDamaged (tables that differ), kDiskFull (room is lacking: says how much), kProgramFailed, kCancelled.
Status restore_into_scratch(const SetReader& set, const Programs& programs, const VerifyOptions& options, Progress& progress,
                            const Clock& clock, Log& log);

/// "folders/practice-1.tar" → the index that lies beside it in the set.
std::string index_of(const std::string& archive);

/// The member, decompressed and decrypted, as a file. Errors: those of the stream; kCancelled.
Status extract(const SetReader& set, const std::string& member, const std::filesystem::path& file, const RecipientKey* key,
               const std::atomic<bool>* interrupted, Progress& progress);

}  // namespace verbund::backup
