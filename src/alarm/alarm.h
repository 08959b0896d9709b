#pragma once
/// What needs a person: states that begin, last and end, told by mail and on paper until somebody has been reached.
/// Files in DIR/alarm: `states.jsonl`, `spool/` (a mail per person in a file until it is delivered), `undelivered/` (given up after
/// fourteen days; for people to read and remove). Survives restarts and kill -9. Threads: one; several processes may use one directory.
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "alarm/config.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/time.h"
#include "platform/mail/smtp.h"

namespace verbund::alarm {

struct State {
  std::string key;                           ///< the same as long as the trouble lasts
  Phrase text;
  std::vector<std::string> to;               ///< mail addresses; empty: the administrators
  WallTime since{};                          ///< zero: when it was first held
};

/// The sources that this folder itself holds: mails that don't arrive, paper that does not come.
inline constexpr std::string_view kMailSource = "mail", kPaperSource = "paper";

class Alarm {
 public:
  /// `directory`: DIR/alarm, made when missing (0700). `log` outlives the object. Errors: kIo.
  static Result<Alarm> open(std::filesystem::path directory, Config config, Log& log);

  /// The states that hold now, of one source ("backup", "feed", "mirror"): new ones are told, those that are no more are told as ended,
  /// the rest is repeated once a day; who is new in `to` is told at once. Mails only go into the spool: call `deliver`. What begins is
  /// printed, too, when mail reaches nobody (none configured, or it is of source "mail"). Errors: kIo, kDiskFull, kDamaged.
  /// A process that is killed meanwhile may tell something twice, never not at all.
  Status hold(std::string_view source, const std::vector<State>& states, const Clock& clock);
  /// Of all sources, oldest first. States that can't be read are a state.
  [[nodiscard]] std::vector<State> current() const;
  [[nodiscard]] std::vector<State> current(std::string_view source) const;

  /// Puts a mail into the spool (fsynced), one per person: from then on it is delivered or its failure is itself a state ("mail"). Nobody
  /// in `to`: the administrators. Without message_id it gets one. Errors: kUsage (an address, a header), kNotDelivered (no [mail], nobody to
  /// be told, spool full), kIo, kDiskFull.
  Status mail(mail::Mail mail, const Clock& clock);
  /// Tries what is due in the spool, with growing pauses (1 min … 1 h). Returns how many are left. An undelivered mail that is older than
  /// an hour, or was refused for good, is a state of source "mail".
  Result<int> deliver(const Clock& clock);
  /// How many mails wait.
  [[nodiscard]] Result<int> waiting() const;

  /// To the printer queue, through `lp`; without a printer nothing is done. Errors: kProgramFailed (its words), kNotFound (no lp), kTimedOut.
  Status print(const std::filesystem::path& file, std::string_view title, const Clock& clock);
  /// Nothing without ping_url. Errors: kNotReachable, kUntrusted.
  Status ping(bool good);

  [[nodiscard]] const Config& config() const { return config_; }

 private:
  Alarm(std::filesystem::path directory, Config config, Log& log) : directory_(std::move(directory)), config_(std::move(config)), log_(&log) {}
  Status spool(const mail::Mail& mail, WallTime now) const;
  void put_on_paper(std::string_view source, const std::vector<State>& begun, const Clock& clock);

  std::filesystem::path directory_;
  Config config_;
  Log* log_;                                 // borrowed; a pointer so that an Alarm can be moved
};

/// What holds by the files in `directory` (DIR/alarm), oldest first, for whoever only looks; what can't be read is a state. `source` empty: all.
std::vector<State> states_in(const std::filesystem::path& directory, std::string_view source = {});

/// `ping_url`, or its form for a run that was not good.
std::string ping_address(const std::string& url, bool good);

}  // namespace verbund::alarm
