#pragma once
/// A backup on the mirror: replay stands still while its databases are read, so that all of them belong to one position and nothing that
/// production does ends the reading. Bounded (mirror/replay_pause.h), by whoever makes the backup and by the mirror's node.
///
/// DIR/mirror/paused is locked by whoever has paused: once nobody holds it its pause is nobody's.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "backup/barrier.h"
#include "base/log.h"
#include "mirror/replay_pause.h"
#include "platform/os/file.h"

namespace verbund::node {

/// For the process that makes the backup. A thread of its own looks once a second whether the pause may last.
class ReplayGate final : public backup::FeedGate {
 public:
  /// `superuser`: of this machine's server. `log` and `clock` outlive it.
  ReplayGate(std::filesystem::path directory, postgres::ConnectionSettings superuser, const Clock& clock, Log& log);
  ~ReplayGate() override;  ///< resumes
  Held hold(Deadline deadline, seconds span) override;
  /// Whether it still stands still; it goes on doing so until all is read.
  bool release() override;
  void copied() override;

 private:
  Result<Lsn> pause(Deadline deadline);
  void resume(std::string_view why);
  void watch();

  const std::filesystem::path file_;
  const postgres::ConnectionSettings superuser_;
  const Clock& clock_;
  Log& log_;
  std::mutex mutex_;                     // what follows
  std::condition_variable changed_;
  bool ended_ = false;
  std::optional<os::FileLock> lock_;     // there: we have paused
  std::optional<postgres::Connection> connection_;
  mirror::PauseBound bound_;
  std::jthread watch_;
};

/// For the mirror's node: ends a pause that lasts too long, and one whose backup was killed. One thread; blocks briefly.
class PauseGuard {
 public:
  PauseGuard(std::filesystem::path directory, postgres::ConnectionSettings superuser, const Clock& clock, Log& log);
  void look();

 private:
  const std::filesystem::path file_;
  const postgres::ConnectionSettings superuser_;
  const Clock& clock_;
  Log& log_;
  std::optional<postgres::Connection> connection_;
  mirror::PauseBound bound_;
};

}  // namespace verbund::node
