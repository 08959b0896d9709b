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

/// `DROP TABLE` of all that came from the office and of what the application has changed in it; the list of it goes, too.
Result<std::string> drop_statements(sqlite::Database& database);
/// Deleted pages are overwritten from here on.
Status overwrite_deleted(sqlite::Database& database);
/// What was deleted is nowhere in the file, its log or the inbox any more. Errors: kInUse (another program holds the file), kIo.
Status leave_no_traces(sqlite::Database& database, const std::filesystem::path& file);

}  // namespace verbund::sync::device
