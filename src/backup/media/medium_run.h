#pragma once
/// A run of the whole office to the medium of the day: which one, whether it may be written, room on it, the run itself, and what the
/// ledger says of it afterwards. Without media in the ledger: to the configured directory, and it is said what that is worth.
/// Blocking; one thread.
#include <string>
#include <vector>

#include "backup/media/drives.h"

namespace verbund::backup {

struct MediaRun {
  RunReport report;
  Night night;
  Due due;                           ///< msgid of `problem` empty and no medium: media are not in use
  std::string medium, label;         ///< written to; empty: a directory
  Phrase copy;                       ///< "a copy, not a backup: …"; msgid empty: it is a backup
  std::vector<std::string> removed;  ///< sets that went from the medium, by their ids
  std::vector<Phrase> said;          ///< what happened to the ledger
};

/// Errors: kWrongMedium, kMediumGone (exit 30, the right one's name in the hint), those of run_office. The ledger has the failed night
/// then, too. Rules: office.config.plan. `options.target` given: no medium is chosen; a medium of ours that stands there is noted all the same.
Result<MediaRun> run_with_media(const Office& office, const RunOptions& options, FeedGate& gate, Progress& progress, const Clock& clock, Log& log);

}  // namespace verbund::backup
