#pragma once
/// A private PostgreSQL server in a directory: finding the binaries, initdb, settings, start, stop, clearing up after
/// kill -9. Mechanism only: when to start and stop is decided by the agent (mirror/), the only caller.
///
/// Threads: one at a time; running_pid, connection and data_directory from any.
/// PostgreSQL refuses root: started as root, the server runs as the first existing of the users `postgres`, `verbund`,
/// `nobody`, who must be able to enter the directory (kServerSetting names the directory that forbids it).
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/os/process.h"
#include "platform/postgres/connection.h"

namespace verbund::postgres {

/// The server that this one is a physical mirror of.
struct Followed {
  ConnectionSettings server;  ///< a role with REPLICATION and pg_monitor, in a database that it may connect to
  std::string slot;           ///< physical, of this mirror alone
};

/// Connections of mirrors: over TCP, with TLS and a password, for their roles alone.
struct MirrorAccess {
  std::string certificate_pem, key_pem;   ///< of this server
  std::vector<std::string> roles;         ///< who may replicate, and read in the database postgres
};

struct OwnedServerSettings {
  std::filesystem::path directory;    ///< holds data/, run/ (socket), log/
  std::uint16_t port = 5432;          ///< also names the socket
  std::string listen_addresses;       ///< empty: socket only
  std::string superuser = "verbund";
  std::string superuser_password;
  std::map<std::string, std::string> settings;  ///< lines of postgresql.conf that override our defaults
  std::optional<MirrorAccess> mirrors;          ///< `mirror_addresses` are listened on for them
  std::string mirror_addresses;       ///< besides listen_addresses, which alone are for everybody
  std::optional<Followed> follows;    ///< it starts in recovery and receives; made by copy_from, not by initialise
  bool sync_initdb = true;            ///< false for scratch servers only: initdb does not wait for the disk
};

enum class StopMode { kFast, kImmediate };

/// A server that does not run.
struct Stopped {
  bool clean = false;                  ///< it was production and was shut down: what follows is known
  std::uint32_t timeline = 0;          ///< of its last checkpoint
  Lsn last_record, end;                ///< where its log's last record begins, and where the log ends
  std::uint64_t next_transaction = 0;  ///< all below have ended
};

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
  /// Instead of initialise, with `follows`: pg_basebackup of that server, pg_verifybackup, both as programs of the same version.
  /// Atomic as initialise. `step` is called about ten times a second with what has been copied; false from it ends the copy (kCancelled).
  /// Errors: kAlreadyExists (there are data), kDatabaseDown, kUnauthenticated, kDiskFull (before it begins), kProgramFailed with its words.
  enum class CopyStep { kCopy, kVerify };
  using CopyProgress = std::function<bool(CopyStep step, std::uint64_t done_bytes, std::uint64_t total_bytes)>;
  Status copy_from(const CopyProgress& step);
  /// Whether there is room for it beside what is here. Errors: kDiskFull, kDatabaseDown, kUnauthenticated.
  Status room_to_copy() const;
  /// Writes verbund.conf anew (wal_level=logical, max_wal_senders, max_replication_slots, wal_keep, …).
  Status write_settings();
  /// Starts and waits until it takes connections. A server of this very directory that already runs (orphan after
  /// kill -9 of the node) is recognised by postmaster.pid, its start time and its executable, and is stopped first;
  /// a stale pid file is removed. Errors: kInUse (port taken), kServerSetting (with the last lines of its log).
  /// At the deadline kTimedOut: the server goes on starting (crash recovery may take its time), see await_ready.
  Status start(Deadline deadline);
  /// Waits until a server that was started takes connections. Errors: kTimedOut, and those of start when it died.
  Status await_ready(Deadline deadline);
  Status stop(StopMode mode, Deadline deadline);
  /// Of a server that does not run. Errors: kProgramFailed.
  [[nodiscard]] Result<Stopped> stopped_at() const;
  /// Its data are those of a mirror: started, it recovers and goes on receiving.
  [[nodiscard]] bool mirror_data() const;
  /// With `follows`: from its next start on. Only for data whose log ends where the other's history lets it go on.
  Status become_mirror();
  /// Other settings (directory and port stay): written at once, read anew by a server that runs.
  Status use(OwnedServerSettings settings);
  /// Stopped: recovers data that were not shut down (in single-user mode: nobody can connect), then reads every page (pg_checksums). Errors:
  /// kDamaged (names the first pages that are not as they were written), kProgramFailed, kCancelled.
  Status check_pages(const std::function<bool()>& go_on);
  /// With `follows`, stopped: pg_rewind to that server's history, then become_mirror. Errors: kProgramFailed (its words).
  Status rewind(const std::function<bool()>& go_on);
  /// What lies in the log of `timeline` from `from` on, as far as it can be read (pg_waldump, a record a line). Errors: kProgramFailed
  /// (none of it can be read), kTooLarge (more than kMaxReaderBytes of text).
  [[nodiscard]] Result<std::string> log_from(std::uint32_t timeline, Lsn from) const;
  /// Stops what is left of an earlier life: a postmaster of this directory, then backends that outlived a killed
  /// postmaster; removes a stale pid file. `start` calls it.
  Status clear_up(Deadline deadline);
  /// Pid of the postmaster of this very directory, 0 when it does not run.
  [[nodiscard]] int running_pid() const;
  /// Settings to connect to `database` as superuser through the socket.
  [[nodiscard]] ConnectionSettings connection(std::string database) const;
  [[nodiscard]] std::filesystem::path data_directory() const;

 private:
  [[nodiscard]] std::filesystem::path log_directory() const;
  [[nodiscard]] Error died(std::string_view what) const;
  Status await(int pid, Deadline deadline);
  Status prepare_directories() const;
  /// data.new, empty, of the server's user; an initdb or a server that still works in an older one is ended (a copy dies with the
  /// thread that made it).
  Status fresh_target(const std::filesystem::path& target) const;
  /// Becomes the data directory.
  Status publish(const std::filesystem::path& target) const;
  [[nodiscard]] std::filesystem::path password_file() const { return settings_.directory / "production.pass"; }
  [[nodiscard]] std::string follow_conninfo() const;
  Status write_password_file() const;
  /// PostgreSQL refuses to be a mirror with less of these than production has: as pg_control says, where it is more than ours.
  Status raise_to_production(const std::filesystem::path& target, std::map<std::string, std::string>& values) const;
  Result<std::uint64_t> bytes_to_copy(Connection& production) const;
  /// A short program that reads; argv[0] is its bare name. At most kMaxReaderBytes of what it says.
  Result<os::Outcome> run_reader(std::vector<std::string> argv) const;
  /// The same; it must have gone well.
  Result<std::string> read_of(std::vector<std::string> argv) const;
  static constexpr std::size_t kMaxReaderBytes = 64 * 1024 * 1024;
  Status run_program(std::vector<std::string> argv, const std::function<bool()>& go_on) const;
  Status run_initdb(const std::filesystem::path& target) const;
  Status configure(const std::filesystem::path& target) const;
  Status write_settings_into(const std::filesystem::path& target) const;
  Status write_mirror_access(const std::filesystem::path& target, std::map<std::string, std::string>& values) const;
  Status write_owned(const std::filesystem::path& path, std::string_view content) const;

  OwnedServerSettings settings_;
  Log& log_;
  const Clock& clock_;
  int child_ = 0;  ///< postmaster that this object started, to be reaped
};

}  // namespace verbund::postgres
