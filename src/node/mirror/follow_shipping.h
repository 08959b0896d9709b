#pragma once
/// The mirror gets the log in files, where it does not stream: in intervals, or because production's slot no longer has what it needs. Each is fetched in
/// pieces over production's node, goes on where it was interrupted, is unpacked, verified and laid ready for PostgreSQL (DIR/postgres/incoming, restore_command).
///
/// Threads: one of its own does all I/O; everything else from any.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/log.h"
#include "mirror/following.h"
#include "node/mirror/follow_settings.h"
#include "platform/net/client.h"
#include "platform/postgres/connection.h"

namespace verbund::node {

struct LogFetcherSettings {
  net::Endpoint production;                 ///< its node
  std::string secret;                       ///< of this mirror
  std::filesystem::path server;             ///< our owned server's directory
  postgres::ConnectionSettings database;    ///< our own server, as superuser
};

class LogFetcher {
 public:
  LogFetcher(LogFetcherSettings settings, const Clock& clock, Log& log);
  ~LogFetcher();  ///< stops
  Status start();
  void stop();
  /// Production has answered; our PostgreSQL says that it has received so much.
  void heard(const FollowMode& mode, const mirror::Received& received);
  /// `received` with the files that lie ready after it: they are on our disk, too.
  [[nodiscard]] mirror::Received with_files(mirror::Received received) const;
  /// Why the log does not come; empty: it does, or is not asked for.
  [[nodiscard]] std::string error() const;

 private:
  void run();
  Status round();
  Status apply(const FollowMode& mode);
  Status fetch_all(std::uint32_t timeline, Lsn from);
  Status fetch(const std::string& name, std::uint64_t bytes);
  Result<std::string> get(const std::string& path, const std::map<std::string, std::string>& query);
  Status forget_old();
  Result<postgres::Connection*> connection();
  [[nodiscard]] bool stopping() const;
  [[nodiscard]] std::filesystem::path incoming() const { return settings_.server / "incoming"; }

  const LogFetcherSettings settings_;
  net::HttpClient line_{settings_.production};  // of the thread
  const Clock& clock_;
  Log& log_;
  std::optional<postgres::Connection> connection_;  // the thread's
  std::optional<FollowMode> applied_;               // the thread's
  std::optional<TimePoint> alone_since_;            // the thread's: production answers and does not stream
  mutable std::mutex mutex_;                        // what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  FollowMode mode_;
  std::optional<mirror::Received> received_;
  std::string error_;
  std::stop_source stop_;
  std::jthread thread_;
};

}  // namespace verbund::node
