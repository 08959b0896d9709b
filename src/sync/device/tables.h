#pragma once
/// The application's tables on a device, and what follows their changes (docs/formats/device-database.md). One thread, within the caller's transaction.
#include <functional>
#include <optional>

#include "platform/sqlite/database.h"
#include "sync/model/layout.h"
#include "sync/model/rows.h"

namespace verbund::sync::device {

/// Makes the device's own tables where they are missing. Errors: kUnsupported (of a later version).
Status make_own_tables(sqlite::Database& database);

/// The table as the layout says, its change table and triggers. `before`: the layout that it has; rows and changes of columns that stay are kept. Errors:
/// kAlreadyExists (the application has a table of that name that is not ours).
Status make_table(sqlite::Database& database, const TableLayout& layout, const std::optional<TableLayout>& before);
/// Positions of the columns of which a device with `before` has no value: they are new, or of another kind.
std::vector<std::uint32_t> fresh_columns(const TableLayout& layout, const TableLayout& before);
/// Whether rows and changes of one are found by the keys of the other.
bool same_key_columns(const TableLayout& left, const TableLayout& right);
/// With its changes.
Status drop_table(sqlite::Database& database, const TableLayout& layout);

/// Without triggers a table is filled faster; what the application writes meanwhile waits for the transaction anyway.
Status make_triggers(sqlite::Database& database, const TableLayout& layout);
Status drop_triggers(sqlite::Database& database, const TableLayout& layout);

/// Changes of the application that no upload has taken yet, in the order of their keys; those that came to nothing are forgotten.
Status read_changes(sqlite::Database& database, const TableLayout& layout, const std::function<Status(const UpRow&)>& take);
Status forget_changes(sqlite::Database& database, const TableLayout& layout);
Result<std::uint64_t> count_changes(sqlite::Database& database, const TableLayout& layout);

/// `"k0" = ?1 AND …` over the columns of the change table, or of the application's table.
std::string change_key_condition(const TableLayout& layout);
std::string key_condition(const TableLayout& layout);
std::string change_table(const TableLayout& layout);  ///< quoted
std::string change_keys(const TableLayout& layout, std::string_view prefix = {});  ///< `k0, k1`: the key in the change table
std::string was_columns(const TableLayout& layout, std::string_view prefix = {});  ///< `, w0, w1`: there, the row as it was
std::string column_list(const TableLayout& layout, std::string_view prefix);

void bind_value(sqlite::Statement& statement, int at, const Value& value);
Value column_value(const sqlite::Statement& statement, int column);
std::vector<Value> key_of(const TableLayout& layout, const std::vector<Value>& values);

}  // namespace verbund::sync::device
