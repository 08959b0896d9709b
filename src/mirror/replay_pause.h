#pragma once
/// A mirror that holds still while a backup reads it: what is paused, and when the pause has to end. Blocking but for PauseBound; one thread.
#include <cstdint>
#include <optional>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/postgres/connection.h"

namespace verbund::mirror {

struct ReplayPause {
  bool paused = false;
  Lsn replayed;
  std::uint64_t waiting_bytes = 0;  ///< received and not replayed: a promotion would have to
};
/// Of a server that is in no recovery: not paused.
Result<ReplayPause> read_pause(postgres::Connection& mirror);

/// Paused when it returns, at a moment at which no table is locked by what is being replayed: a reader would wait for it for as long as the
/// pause lasts. Errors: kTimedOut (resumed again), kServerSetting (a server that is no mirror).
Status pause_replay(postgres::Connection& superuser, Deadline deadline, const Clock& clock);
Status resume_replay(postgres::Connection& superuser);

/// A pause ends after this: a promotion must not wait for long, and the disk must not fill.
class PauseBound {
 public:
  static constexpr std::chrono::minutes kLongest{10};
  static constexpr std::uint64_t kMostBytes = 1ULL << 30U;
  /// Whether it has to end now.
  [[nodiscard]] bool over(const ReplayPause& pause, TimePoint now);

 private:
  std::optional<TimePoint> since_;
};

}  // namespace verbund::mirror
