#pragma once
/// What of a pair needs a person. Pure; one thread.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mirror/drift.h"
#include "mirror/loss.h"

namespace verbund::mirror {

/// As this machine sees the pair now.
struct Watched {
  bool production = false;                   ///< this machine is
  std::string other = {};                         ///< name of the other one
  nanoseconds silent{0};                     ///< since the other one was heard, or since this node looks
  bool waits = false, fenced = false;        ///< it was production and may not work; only `silent` counts beside this
  nanoseconds stands{0};                     ///< for so long
  std::string database_error = {};                ///< a mirror's: why its own PostgreSQL does not answer
  nanoseconds database_silent{0};            ///< for so long
  std::optional<Behind> behind = {};
  std::optional<nanoseconds> ahead = {};     ///< for so long the mirror has had log that production has not
  nanoseconds interval{0};                   ///< of a mirror that is sent the log in intervals
  bool slot_lost = false;                    ///< the mirror needs a new copy
  std::optional<std::uint64_t> safe_bytes = {};   ///< until it does
  std::vector<Finding> findings = {};
  std::optional<nanoseconds> witness_silent = {};  ///< the pair has one: since it has answered
  std::optional<nanoseconds> took_over = {};      ///< without a person, and is without a mirror since: what may be lost of production's time
};

struct PairAlarm {
  std::string key;                           ///< the same as long as the trouble lasts
  Phrase text;
  friend bool operator==(const PairAlarm& a, const PairAlarm& b) { return a.key == b.key; }
};

/// An update, a restart: not worth a mail.
inline constexpr std::chrono::minutes kSilenceTolerated{5}, kBehindTolerated{15}, kWitnessSilenceTolerated{1}, kAheadTolerated{1};

/// Production tells what both know. The mirror tells what production can't: that it is silent, and then everything. That backups are missing
/// is told by the machine that does not make them: whoever forgets them forgets to say so, too.
std::vector<PairAlarm> alarms_of(const Watched& watched);

/// Holds an alarm on for a while after its cause has ended, so that one that comes and goes is told once.
class AlarmHold {
 public:
  static constexpr seconds kCalm{60};
  /// All that hold now, the older ones of the last minute with them.
  std::vector<PairAlarm> hold(std::vector<PairAlarm> now_there, TimePoint now);

 private:
  struct Held {
    PairAlarm alarm;
    TimePoint seen;
  };
  std::map<std::string, Held> held_;
};

}  // namespace verbund::mirror
