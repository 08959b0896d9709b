#pragma once
/// A private PostgreSQL server in a directory: finding the binaries, initdb, settings, start, stop, clearing up after
/// kill -9. Mechanism only: when to start and stop is decided by the agent (mirror/), the only caller.
///
/// PostgreSQL refuses root: started as root, the server runs as the first existing of the users `postgres`, `verbund`,
/// `nobody`, who must be able to enter the directory (kServerSetting names the directory that forbids it).
#include <filesystem>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/postgres/connection.h"

namespace verbund::postgres {

struct OwnedServerSettings {
  std::filesystem::path directory;    ///< holds data/, run/ (socket), log/
  std::uint16_t port = 5432;          ///< also names the socket
  std::string listen_addresses;       ///< empty: socket only
  std::string superuser = "verbund";
  std::string superuser_password;
  std::map<std::string, std::string> settings;  ///< lines of postgresql.conf that override our defaults
};

enum class StopMode { kFast, kImmediate };

class OwnedServer {
 public:
  /// Directory of initdb, postgres, pg_ctl …: newest of Debian's versioned directories (15 or newer), or $PATH.
  static Result<std::filesystem::path> find_binaries();

  OwnedServer(OwnedServerSettings settings, Log& log, const Clock& clock);
  ~OwnedServer();  ///< does not stop the server

  [[nodiscard]] bool initialised() const;
  /// initdb with --data-checksums, scram-sha-256, UTF8, C.UTF-8 or ICU collation; password through a 0600 file.
  /// Atomic: built in data.new, then renamed. Writes pg_hba.conf (scram everywhere) and verbund.conf, included last.
  Status initialise();
  /// Writes verbund.conf anew (wal_level=logical, max_wal_senders, max_replication_slots, wal_keep, …).
  Status write_settings();
  /// Starts and waits until it takes connections. A server of this very directory that already runs (orphan after
  /// kill -9 of the node) is recognised by postmaster.pid, its start time and its executable, and is stopped first;
  /// a stale pid file is removed. Errors: kInUse (port taken), kServerSetting (with the last lines of its log).
  Status start(Deadline deadline);
  Status stop(StopMode mode, Deadline deadline);
  /// Pid of the postmaster, 0 when it does not run.
  [[nodiscard]] int running_pid() const;
  /// Settings to connect to `database` as superuser through the socket.
  [[nodiscard]] ConnectionSettings connection(std::string database) const;
  [[nodiscard]] std::filesystem::path data_directory() const;

 private:
  OwnedServerSettings settings_;
  Log& log_;
  const Clock& clock_;
};

}  // namespace verbund::postgres
