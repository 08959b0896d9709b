#pragma once
/// A device that was without its office for longer than its lease locks its data (docs/adr/0037): tables go, what has not gone up and what was rejected stays, sealed for the office,
/// which opens it again at the next contact. Of this folder alone. One thread.
#include <filesystem>
#include <string>

#include "base/time.h"
#include "platform/sqlite/database.h"
#include "sync/model/messages.h"

namespace verbund::sync::device {

struct Lease {
  std::string until;    ///< ISO 8601 in UTC; empty: the device has none
  bool locked = false;
};
Result<Lease> lease_of(sqlite::Database& database);

/// What a reply says of it; within the caller's transaction.
Status note_lease(sqlite::Database& database, const SyncReply& reply, WallTime now);
/// At each opening: locks when it is time. A clock that was set back by more than a day ends the lease. Killed anywhere, the next call goes on. Errors: those of SQLite; kInUse (the data are gone,
/// their space is not overwritten everywhere yet: another program holds the file), kIo.
Status keep_lease(sqlite::Database& database, const std::filesystem::path& file, WallTime now);
/// With the key that the office gives back. Errors: kDamaged (it does not open what is kept).
Status unlock(sqlite::Database& database, const std::filesystem::path& file, std::string_view secret, WallTime now);

}  // namespace verbund::sync::device
