#pragma once
/// Inside backup only: databases of a server by their names, created, exchanged, dropped. One thread.
#include <span>

#include "backup/database.h"
#include "platform/postgres/connection.h"

namespace verbund::backup {

/// `name` with `suffix` behind, cut where PostgreSQL would cut it (63 bytes) or a character would break. Pure.
std::string name_with(std::string_view name, std::string_view suffix);

/// Where a restore of `database` is made: NAME_restoring. Pure.
std::string beside_name(std::string_view database);

Result<bool> database_exists(postgres::Connection& system, const std::string& name);
/// Ends its sessions first.
Status drop_database(postgres::Connection& system, const std::string& name);
/// Whether database `name` of the server has no relation, function, schema or large object beyond those of template0.
Result<bool> empty_database(postgres::ConnectionSettings server, const std::string& name);

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
/// All of them in one transaction, except for the slots: without them their reader compares (src/feed). Sessions of the old ones are
/// ended. Errors: kInUse (they don't end), those of the properties.
Status swap_databases(postgres::Connection& system, const postgres::ConnectionSettings& settings, std::span<const Swap> swaps);

/// Comment on a database that lies beside, whole, until the whole office is exchanged (office_swap.h).
inline constexpr const char* kWaitingMark = "verbund: restored, waits for the rest of the office";
/// restore_database up to its exchange, which is the caller's: what lies beside bears kWaitingMark.
struct Beside {
  Swap swap;
  std::vector<std::string> warnings;
};
Result<Beside> restore_beside(const Programs& programs, const postgres::ConnectionSettings& superuser, const std::filesystem::path& archive,
                              const RestoreOptions& options, Progress& progress);

}  // namespace verbund::backup
