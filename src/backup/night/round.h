#pragma once
/// The round: one look at what needs a person, told to whoever it concerns. Made again and again by somebody who does not depend on the
/// run (the node's own thread, a timer): a night in which nothing happens is told by this alone.
/// Blocking; one thread; several processes may make one at a time.
#include <optional>
#include <vector>

#include "alarm/alarm.h"
#include "backup/night/outlook.h"
#include "backup/rotation/duty.h"

namespace verbund::backup {

/// Alarm sources that a round holds; all states of each.
inline constexpr std::string_view kBackupSource = "backup", kTestMailSource = "test-mail", kOffSiteSource = "off-site", kLedgerSource = "ledger";

/// Whether a round tries the post, or leaves that to the next one.
enum class Post { kTried, kLeft };

struct Round {
  Outlook outlook;
  std::vector<Trouble> troubles;         ///< what the plan says is wrong, worst first
  std::optional<LocalTime> missed;       ///< the night whose MISSED report went out in this round
  int waiting = 0;                       ///< mails that no server has taken yet
  std::optional<Error> untold;           ///< the first thing that could not be told to anybody
};

/// In a pair (maker.h) what the nights need is told by the machine that makes them, but that one was missed by the other: whoever forgets it forgets to say so, too. Who is
/// not heard is not relied on. Production that stands in says so.
/// Enters a clock that was set back; turns troubles, places outside the house and the test mail into alarms; reports a missed night, once
/// for each night whoever is killed when; tries the post. Before the first round of an office that has a backup configured nothing was due.
/// A ledger that can't be read is an alarm itself, and what held before goes on. Errors: kInUse (another round, for long), kIo, kDiskFull.
Result<Round> make_round(const Office& office, alarm::Alarm& alarm, Post post, const Clock& clock, Log& log);

/// The nights (local_time_text) of whose missing people were told, newest last, `most` of them at most; and such as the other machine of a pair has told of.
Result<std::vector<std::string>> told_nights(const std::filesystem::path& installation, std::size_t most);
Status note_told_elsewhere(const std::filesystem::path& installation, const std::vector<std::string>& nights);

}  // namespace verbund::backup
