#pragma once
/// What a device does when its office says that it is revoked: everything that came from there goes, and what was changed here with it. Of device.cc alone.
#include <filesystem>
#include <string>

#include "base/time.h"
#include "platform/sqlite/database.h"

namespace verbund::sync::device {

/// When it was revoked, ISO 8601 in UTC; empty: it was not.
Result<std::string> revoked_at(sqlite::Database& database);
/// First the secret and a note that stays, then tables, changes, uploads and rejects in one transaction, overwritten (PRAGMA secure_delete) and given back to the disk (VACUUM). Killed or held up
/// anywhere it is gone on with by the next call; after its end a call does nothing. Errors: kInUse (another program holds the file: the rows are gone, their space is not overwritten
/// everywhere yet), those of SQLite, kIo.
Status wipe(sqlite::Database& database, const std::filesystem::path& file, WallTime now);

}  // namespace verbund::sync::device
