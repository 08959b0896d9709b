#pragma once
/// Inside backup only: databases of a server by their names, created, exchanged, dropped. One thread.
#include "backup/database.h"
#include "platform/postgres/connection.h"

namespace verbund::backup {

/// `name` with `suffix` behind, cut where PostgreSQL would cut it (63 bytes) or a character would break. Pure.
std::string name_with(std::string_view name, std::string_view suffix);

Result<bool> database_exists(postgres::Connection& system, const std::string& name);
/// Ends its sessions first.
Status drop_database(postgres::Connection& system, const std::string& name);

/// Logical replication slots of a database.
struct DatabaseSlots {
  std::vector<std::string> own, foreign;
};
Result<DatabaseSlots> slots_of(postgres::Connection& system, const std::string& database, const std::string& own);

struct Swap {
  std::string database, beside;
  std::string old_name;                 ///< empty: there is no old one
  std::vector<std::string> properties;  ///< see ScriptNeeds
  std::string owner;                    ///< empty: as the properties say
  std::string own_slot;                 ///< see RestoreOptions
};
/// All in one transaction, except for the slots: without them their reader compares (src/feed). Sessions of the old one are ended.
/// Errors: kInUse (they don't end), those of the properties.
Status swap_databases(postgres::Connection& system, const postgres::ConnectionSettings& settings, const Swap& swap);

}  // namespace verbund::backup
