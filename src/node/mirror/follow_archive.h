#pragma once
/// Production keeps log for a mirror that does not stream: packed files of its own (mirror/shipping.h), from where the mirror's slot stands, for
/// as long as it is away or is sent the log in intervals; nothing while it streams. A slot that was lost is made anew when what it held is kept.
///
/// Threads: one of its own does all I/O; everything else from any.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/log.h"
#include "mirror/pair.h"
#include "mirror/shipping.h"
#include "platform/postgres/connection.h"

namespace verbund::node {

struct LogKeeperSettings {
  std::filesystem::path server;                                     ///< the owned server's directory
  std::function<Result<postgres::ConnectionSettings>()> superuser;  ///< any thread
  mirror::Member member = 2;
  std::uint64_t max_bytes = 0;                                      ///< packed
};

struct KeptLog {
  std::size_t segments = 0;
  std::uint64_t bytes = 0;
  std::string first, last;   ///< names; empty: none
  std::string error;         ///< why it can't be kept now
};

class LogKeeper {
 public:
  LogKeeper(LogKeeperSettings settings, const Clock& clock, Log& log);
  ~LogKeeper();
  void start();
  /// Above 0: the log's last file is closed at least so often. Counts from now.
  void set(seconds interval);
  /// The mirror has everything before, on its disk.
  void heard(Lsn received);
  /// There is another mirror: what the old one had is no longer known.
  void forget();
  /// It is this one from now on.
  void let_in(mirror::Member mirror) { member_ = mirror; }
  [[nodiscard]] KeptLog kept() const;
  [[nodiscard]] const mirror::LogArchive& archive() const { return archive_; }

 private:
  struct Slot {
    bool active = false, lost = false;
    Lsn restart, position;
    std::string current;      ///< the first file that is not whole on the disk: what was inserted need not be written yet
    std::uint32_t timeline = 0;
  };
  void run();
  Status round();
  Result<std::optional<Slot>> look();
  Status close_segment(const Slot& slot);
  Status advance();
  Status keep_closed(const Slot& slot);
  Status make_anew(const Slot& slot);
  Status drop_what_is_there(const Slot& slot);

  const LogKeeperSettings settings_;
  std::atomic<mirror::Member> member_;
  const Clock& clock_;
  Log& log_;
  mirror::LogArchive archive_;
  std::optional<postgres::Connection> connection_;  // the thread's
  Lsn closed_at_;                                   // the thread's: nothing was written since the last switch
  TimePoint closed_{};
  bool more_ = false;                               // the thread's: there is more to keep at once
  mutable std::mutex mutex_;                        // what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  seconds interval_{0};
  std::optional<Lsn> heard_;
  std::string error_;
  std::jthread thread_;
};

}  // namespace verbund::node
