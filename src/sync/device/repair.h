#pragma once
/// What a repair needs of the device's tables (docs/protocol/devices.md, "Repair"). One thread, within the caller's transaction.
#include <set>

#include "platform/sqlite/database.h"
#include "sync/model/layout.h"
#include "sync/model/sums.h"

namespace verbund::sync::device {

/// Sums over all rows of the application's table. Errors: those of SQLite.
Result<RowSums> sums_of(sqlite::Database& database, const TableLayout& layout);

/// The server has asked for the sums of this subscription: they go with the next sync, until a session of it has been applied.
Status note_asked(sqlite::Database& database, const std::string& subscription);
Status forget_asked(sqlite::Database& database, const std::string& subscription);
Result<std::set<std::string>> asked(sqlite::Database& database);

/// Makes temp.verbund_slots: the keys (k0, …) of all rows in the slots `differ`. `sums`: which slot a key has.
Status list_keys(sqlite::Database& database, const TableLayout& layout, const RowSums& sums, const std::vector<bool>& differ);

}  // namespace verbund::sync::device
