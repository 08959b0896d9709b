#pragma once
/// What needs a person: states that begin, last and end, told by mail and on paper until somebody has been reached.
/// Files in DIR/alarm: `states.jsonl`, `spool/` (a mail per file until it is delivered). Survives restarts.
/// Threads: one; several processes may use one directory (a lock file).
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/messages.h"
#include "base/time.h"
#include "platform/mail/smtp.h"

namespace verbund::alarm {

struct Config {
  std::optional<mail::SmtpSettings> smtp;    ///< [mail] of config/verbund.toml; absent: nobody is told by mail, and `status` says so
  std::vector<std::string> administrators;   ///< who is told when nobody else is named
  std::string printer;                       ///< queue of `lp`; empty: nothing is printed
  std::string office;                        ///< name of the practice, in subjects
  std::string ping_url;                      ///< dead man's switch: asked for after each good run (…/fail after others); empty: none
  Language language = Language::kGerman;
};

struct State {
  std::string key;                           ///< the same as long as the trouble lasts
  Phrase text;
  std::vector<std::string> to;               ///< mail addresses
  WallTime since{};
};

class Alarm {
 public:
  static Result<Alarm> open(std::filesystem::path directory, Config config, Log& log);

  /// The states that hold now, of one source ("backup", "feed", "mirror"): new ones are told, those that are no more are told as ended,
  /// the rest is repeated once a day; who is new in `to` is told at once.
  Status hold(std::string_view source, const std::vector<State>& states, const Clock& clock);
  [[nodiscard]] std::vector<State> current() const;

  /// Puts a mail into the spool (fsynced): from then on it is delivered or its failure is itself a state ("mail").
  Status mail(mail::Mail mail, const Clock& clock);
  /// Tries what is due in the spool, with growing pauses (1 min … 1 h). Returns how many are left. An undelivered mail that is older than
  /// an hour is a state of source "mail".
  Result<int> deliver(const Clock& clock);

  /// To the printer queue, through `lp`. Errors: kProgramFailed (its words), kNotFound (no lp).
  Status print(const std::filesystem::path& file, std::string_view title, const Clock& clock);
  /// Errors: kNotReachable.
  Status ping(bool good, const Clock& clock);
};

}  // namespace verbund::alarm
