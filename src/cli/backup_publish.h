#pragma once
/// The end of a run, for people: its report kept, sent, printed. Main thread.
#include "alarm/alarm.h"
#include "backup/media/medium_run.h"
#include "backup/report/publish.h"
#include "cli/backup.h"

namespace verbund::cli {

/// An installation with its post.
struct Desk {
  OfficeAtHand at_hand;
  alarm::Alarm alarm;
};
Result<Desk> desk_at_hand(const Globals& globals);

/// Makes the report of `done` (or of its error), keeps and sends it, tries the post once. What fails is told on standard error.
/// Returns the run's exit code; 50 when the run was good and nobody could be told.
int publish_run(const Globals& globals, const OfficeAtHand& at_hand, const Result<backup::MediaRun>& done, WallTime begun);

}  // namespace verbund::cli
