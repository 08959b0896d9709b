#pragma once
/// Lets production's commits wait for the mirror, and lets them go when it is away: carries out mirror/sync_engine.h.
///
/// Threads: one of its own does all I/O; everything else from any. `on_alarm` is called from that thread.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/counters.h"
#include "base/log.h"
#include "mirror/synchronous.h"

namespace verbund::node {

struct SyncKeeperSettings {
  std::filesystem::path server;                                        ///< the owned server's directory
  std::function<Result<postgres::ConnectionSettings>()> superuser;     ///< any thread
  mirror::Member member = 2;                                           ///< the mirror
  nanoseconds fall_back_after = seconds{3};
  /// When commits should wait and do not, and when that is over (empty). English; in German by retold().
  std::function<void(std::string)> on_alarm;
};

struct SyncSeen {
  bool wanted = false;
  mirror::SyncState state = mirror::SyncState::kAsynchronous;
  nanoseconds since{0};
  std::string reason;       ///< why commits do not wait though they should
  std::uint64_t waiting = 0;///< commits that wait this moment
  std::uint64_t fallen_back = 0;  ///< times in this life
};

class SyncKeeper {
 public:
  SyncKeeper(SyncKeeperSettings settings, const Clock& clock, Log& log, Counters& counters);
  ~SyncKeeper();  ///< stops; leaves the server as it is: what was promised holds over a restart
  /// Before anything writes: a server that was left waiting may have no mirror any more. Errors: kIo, kDamaged.
  Status start(bool wanted);
  void want(bool wanted);
  /// The mirror's node has said what it has received.
  void heard(bool follows);
  /// Another machine is to be the mirror: returns when commits wait for the old one no longer. Errors: kTimedOut.
  Status let_go();
  /// It is this one from now on; after let_go.
  void let_in(mirror::Member mirror);
  /// SyncEngine::promise: to be answered at once.
  std::optional<nanoseconds> promise();
  [[nodiscard]] SyncSeen seen() const;
  /// As `on_alarm` was told last.
  [[nodiscard]] std::string alarm() const;

 private:
  void run();
  void look();
  mirror::SyncAction take_wishes();
  void perform(mirror::SyncAction action);
  mirror::SyncAction handle(const mirror::sync::Event& event);
  Result<mirror::SyncFacts> facts();
  Result<mirror::sync::Event> carry_out(mirror::SyncAction action);
  void tell();

  const SyncKeeperSettings settings_;
  std::atomic<mirror::Member> member_;
  const Clock& clock_;
  Log& log_;
  Gauge& synchronous_;
  std::optional<postgres::Connection> connection_;  // the thread's
  mutable std::mutex mutex_;                        // what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  std::optional<mirror::sync::Wanted> wish_;
  bool replaced_ = false;
  std::optional<TimePoint> deaf_until_;             // while another machine is let in, the old one still says that it follows
  mirror::SyncEngine engine_;
  std::optional<TimePoint> follows_at_;
  std::uint64_t waiting_ = 0, fallen_back_ = 0;
  std::string told_;
  std::jthread thread_;
};

}  // namespace verbund::node
