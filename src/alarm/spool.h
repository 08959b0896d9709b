#pragma once
/// Mails that wait for delivery: DIR/alarm/spool, a file per person and mail. Several processes may put; one delivers at a time.
/// Inside this folder only; one thread.
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/time.h"

namespace verbund::alarm {

/// First line: JSON of this; then the mail as it is sent.
struct Waiting {
  std::string to, message_id;
  WallTime written{}, next{};
  int attempts = 0;
  Phrase error;                 ///< of the last attempt; msgid empty: none yet
  bool refused = false;         ///< trying again changes nothing until a person has
  std::string text;             ///< RFC 5322
};

std::string file_of(const Waiting& waiting);
std::optional<Waiting> waiting_of(std::string_view file);

/// 1 min, 2, 4, … 1 h.
seconds pause_after(int attempts);

inline constexpr std::size_t kMaxWaiting = 1'000;
/// Tried for so long, then put aside (DIR/alarm/undelivered).
inline constexpr std::chrono::hours kTriedFor{14 * 24};
/// A pass ends after so many attempts in a row that found no server: each may last as long as the limit of a mail.
inline constexpr int kGiveUpPassAfter = 3;

/// What the spool comes to after a pass.
struct SpoolState {
  int waiting = 0;              ///< in the spool
  int late = 0;                 ///< of these: waiting for over an hour, or refused
  int given_up = 0;             ///< put aside, and nobody has removed them yet
  WallTime oldest{};            ///< of the late ones
  Phrase error;                 ///< of the oldest late one
};

class Spool {
 public:
  /// `directory`: DIR/alarm.
  explicit Spool(std::filesystem::path directory) : directory_(std::move(directory)) {}
  /// On disk when it returns; one that waits already (message_id and person) is not put twice. Errors: kNotDelivered (full), kIo, kDiskFull.
  Status put(const Waiting& waiting) const;
  /// Sends what is due by `send`. Nothing: another process delivers just now. Errors: kIo.
  Result<std::optional<SpoolState>> deliver(const std::function<Status(const Waiting&)>& send, const Clock& clock, Log& log) const;
  [[nodiscard]] Result<std::vector<std::filesystem::path>> files() const;

 private:
  struct Pass;
  Status attempt(const std::filesystem::path& file, Pass& pass) const;
  Status settle(const std::filesystem::path& file, Waiting waiting, const Error& error, Pass& pass) const;
  std::filesystem::path directory_;
};

}  // namespace verbund::alarm
