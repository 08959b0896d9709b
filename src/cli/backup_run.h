#pragma once
/// A run of the office from the lock to its report, by hand (`backup run`) or at night (`backup night`). Main thread.
#include "backup/media/medium_run.h"
#include "cli/backup.h"

namespace verbund::cli {

/// Whether a run that was called off (SIGINT) has a report: by hand somebody wants to read it; at night it is still due, and begun again.
enum class CalledOff { kReported, kStillDue };

struct RanNow {
  int exit_code = 0;
  std::optional<Error> busy;           ///< a run, a restore or another command is at work: nothing was done, nobody was told
  std::filesystem::path set;           ///< published and not found damaged; empty: none
};
/// What becomes of it is printed, reported and sent.
RanNow run_now(const Globals& globals, const OfficeAtHand& at_hand, backup::RunOptions options, CalledOff called_off);

}  // namespace verbund::cli
