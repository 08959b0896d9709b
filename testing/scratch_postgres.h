#pragma once
/// One private PostgreSQL server per test process, in a scratch directory, reached through its socket only.
/// fsync=off, wal_level=logical. Any thread. Functions throw std::runtime_error when they fail (see README.md).
#include <filesystem>
#include <mutex>
#include <string_view>

#include "platform/os/clock.h"
#include "platform/postgres/connection.h"
#include "platform/postgres/owned_server.h"

namespace verbund::testing {

class ScratchPostgres {
 public:
  /// Started at the first call, stopped and removed when the process exits.
  static ScratchPostgres& shared();

  /// Creates a fresh, empty database; its name starts with `name` and is unique. Settings are those of the superuser.
  postgres::ConnectionSettings database(std::string_view name);
  /// The superuser in the database `postgres`.
  [[nodiscard]] postgres::ConnectionSettings superuser() const;

  /// Stops (fast) what runs and starts again; also after kill_immediate.
  void restart();
  /// kill -9 of the postmaster, as a crash would. Its backends die with it or are cleared up by `restart`.
  void kill_immediate();
  [[nodiscard]] int postmaster_pid() const { return server_.running_pid(); }

  /// Every database's files, socket and log are below it.
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

  ScratchPostgres(const ScratchPostgres&) = delete;
  ScratchPostgres& operator=(const ScratchPostgres&) = delete;
  ~ScratchPostgres();

 private:
  ScratchPostgres();
  void start();

  std::filesystem::path directory_;
  os::SystemClock clock_;
  postgres::OwnedServer server_;
  std::mutex mutex_;
  int next_database_ = 1;
};

}  // namespace verbund::testing
