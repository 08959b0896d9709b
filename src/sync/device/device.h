#pragma once
/// A device: an SQLite file whose tables any program may read and write, kept in step with the office's server.
///
/// Threads: an object belongs to one thread at a time; `sync` uses a second one of its own to fetch ahead. Other programs may use the file meanwhile: they wait for
/// the moments in which a session is applied. Killed at any point, the next `sync` goes on from there.
/// Errors: kNotFound (no device in this file), kInUse (the file is locked by somebody else), kNotReachable, kUnauthenticated, kForbidden (disabled), kRevoked (by the
/// office: the device's data are gone, wipe.h), those of SQLite.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/time.h"
#include "platform/sqlite/database.h"
#include "sync/model/messages.h"
#include "sync/model/transport.h"

namespace verbund::sync::device {

/// Worst first: that of a whole sync is that of its worst session.
enum class SyncResult { kCanceled, kFailed, kSucceeded };
std::string_view name_of(SyncResult result);

struct SessionReport {
  std::string subscription;
  SyncResult result = SyncResult::kSucceeded;
  std::uint64_t upserted = 0, deleted = 0;
  std::uint64_t kept = 0;      ///< rows that the application has changed meanwhile: they stay until the next sync decides
  std::optional<Error> error;  ///< of kFailed
};

struct SyncReport {
  SyncResult result = SyncResult::kSucceeded;
  std::vector<SessionReport> sessions;
  std::uint64_t sent = 0;      ///< changes that went up; with those of an interrupted sync that came to its end
  std::uint64_t applied = 0, rejected = 0, waiting = 0;
  milliseconds next_in{0};     ///< in the background not before that
  std::optional<Error> error;  ///< why the whole sync came to nothing, or ended early
};

struct FolderStatus {
  std::string subscription, last_error;
  bool up = false;
  std::uint64_t files = 0;    ///< that are here as the office has them; of one that goes up: that the office has
  std::uint64_t waiting = 0;  ///< that are to come; of one that goes up: to go
};

struct DeviceStatus {
  std::string id, user, server;
  std::string last_sync, last_result;  ///< ISO 8601 in UTC, and name_of; empty: none yet
  std::uint64_t pending = 0;           ///< changes that no sync has taken yet
  std::uint64_t undecided = 0;         ///< that went up and are not decided
  std::uint64_t rejects = 0;           ///< open ones
  std::string revoked;                 ///< when the office revoked this device, ISO 8601 in UTC: its data are gone; empty: it has not
  std::string lease_until;             ///< then it locks its data unless it has synced before, ISO 8601 in UTC; empty: never
  bool locked = false;                 ///< its data are locked until its next sync
  struct Table {
    std::string subscription, table, last_error;
    std::uint64_t rows = 0, pending = 0;
  };
  std::vector<Table> tables;
  std::vector<FolderStatus> folders;
};

struct Reject {
  std::int64_t id = 0;
  std::string subscription, table, op, key, reason, text, mine, theirs, at, state;
};

struct SyncEvents {
  /// Rows of a session that have been taken so far; from `sync`'s thread.
  std::function<void(const std::string& subscription, std::uint64_t rows)> on_progress = {};
  std::function<void(const Reject&)> on_reject = {};
  /// So many devices are before this one: the office is busy with others that begin anew. From `sync`'s thread, each time the server was asked.
  std::function<void(std::uint64_t place)> on_waiting = {};
};

class Device {
 public:
  /// Where the device is to sync, and what it is called there: set by `enrol`.
  struct Identity {
    std::vector<std::string> servers;  ///< where the office may be found, in the order to try: that of the enrolment, and those that it has told since
    std::string trust;                 ///< what the transport needs to know the server again
  };
  static Result<Device> open(const std::filesystem::path& file, const Clock& clock);
  /// Makes the file's own tables and enrols; again: kAlreadyExists. The file may have tables of the application already.
  static Result<Device> enrol(const std::filesystem::path& file, const Identity& identity, const EnrolRequest& request, DeviceTransport& transport, const Clock& clock);

  [[nodiscard]] Result<Identity> identity();
  /// One sync of the set (empty: everything), and before it the one that was interrupted. What failed stands in the report; an error only when the file itself can't be used.
  Result<SyncReport> sync(DeviceTransport& transport, const std::string& set, const SyncEvents& events, std::stop_token stop);
  Result<DeviceStatus> status();
  Result<std::vector<Reject>> rejects(bool all);
  /// It has been seen.
  Status dismiss(std::int64_t reject);
  /// What was rejected becomes a change of the row as it is now.
  Status take_mine(std::int64_t reject);

 private:
  Device(sqlite::Database database, std::filesystem::path file, const Clock& clock) : database_(std::move(database)), file_(std::move(file)), clock_(&clock) {}

  sqlite::Database database_;
  std::filesystem::path file_;
  const Clock* clock_;
};

}  // namespace verbund::sync::device
