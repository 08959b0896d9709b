#include "backup/swap.h"

#include <stop_token>
#include <thread>

#include "base/messages.h"
#include "base/utf8.h"

namespace verbund::backup {
namespace {

using postgres::Connection;

constexpr std::size_t kMaxNameBytes = 63;
constexpr milliseconds kEndAgain{50};
constexpr int kSwapTries = 3;

Status end_sessions(Connection& system, const std::string& database) {
  auto ended = system.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", {database});
  return ended ? Status{} : pass(ended, phrase("end the sessions of {}", database));
}

/// Ends whoever is connected or comes in meanwhile: RENAME waits for them to go, and lets nobody new in once it waits.
class SessionEnder {
 public:
  SessionEnder(const postgres::ConnectionSettings& settings, std::string database)
      : thread_([settings, database = std::move(database)](const std::stop_token& stop) {
          auto connection = Connection::open(settings);
          // Without it RENAME says that there are sessions.
          while (connection && !stop.stop_requested() && end_sessions(*connection, database)) std::this_thread::sleep_for(kEndAgain);
        }) {}

 private:
  std::jthread thread_;
};

Status rename(Connection& system, const std::string& from, const std::string& to) {
  return system.execute(fmt::format("ALTER DATABASE {} RENAME TO {}", Connection::quote_identifier(from), Connection::quote_identifier(to)));
}

/// Of the database whose name it is in this transaction, which lets nobody in to make one anew.
Status drop_own_slots(Connection& system, const std::string& database, const std::string& own) {
  auto slots = slots_of(system, database, own);
  if (!slots) return pass(slots);
  for (const std::string& slot : slots->own) {
    auto dropped = system.query("SELECT pg_drop_replication_slot($1)", {slot});
    if (!dropped) return pass(dropped, phrase("drop replication slot {}", slot));
  }
  return {};
}

Status rename_both(Connection& system, const Swap& swap) {
  if (!swap.old_name.empty()) {
    if (auto done = rename(system, swap.database, swap.old_name); !done) return done;
    if (auto dropped = drop_own_slots(system, swap.old_name, swap.own_slot); !dropped) return dropped;
  }
  if (auto done = rename(system, swap.beside, swap.database); !done) return done;
  const std::string name = Connection::quote_identifier(swap.database);
  if (auto done = system.execute(fmt::format("COMMENT ON DATABASE {} IS NULL", name)); !done) return done;
  for (const std::string& statement : swap.properties) {
    auto done = system.execute(fmt::format(fmt::runtime(statement), name));
    if (!done) return pass(done, "owner, settings and rights of the database");
  }
  if (swap.owner.empty()) return {};
  return system.execute(fmt::format("ALTER DATABASE {} OWNER TO {}", name, Connection::quote_identifier(swap.owner)));
}

Status swap_once(Connection& system, std::span<const Swap> swaps) {
  auto transaction = system.begin();
  if (!transaction) return pass(transaction);
  for (const Swap& swap : swaps) {
    if (auto done = rename_both(system, swap); !done) return pass(done, phrase("exchange database {}", swap.database));
  }
  return transaction->commit();
}

}  // namespace

std::string name_with(std::string_view name, std::string_view suffix) {
  const std::size_t room = kMaxNameBytes - std::min(suffix.size(), kMaxNameBytes);
  std::string_view kept = name.substr(0, room);
  if (kept.size() < name.size()) kept = kept.substr(0, valid_utf8_prefix(kept));
  return std::string(kept) + std::string(suffix);
}

std::string beside_name(std::string_view database) { return name_with(database, "_restoring"); }

Result<bool> database_exists(Connection& system, const std::string& name) {
  auto rows = system.query("SELECT FROM pg_database WHERE datname = $1", {name});
  if (!rows) return pass(rows, "databases of the server");
  return rows->size() > 0;
}

Result<bool> empty_database(postgres::ConnectionSettings server, const std::string& name) {
  server.database = name;
  auto connection = postgres::Connection::open(server);
  if (!connection) return pass(connection);
  // 16384: FirstNormalObjectId of access/transam.h; what CREATE DATABASE copies from template0 lies below.
  auto rows = connection->query(
      "SELECT NOT EXISTS (SELECT FROM pg_class WHERE oid >= 16384) AND NOT EXISTS (SELECT FROM pg_proc WHERE oid >= 16384)"
      " AND NOT EXISTS (SELECT FROM pg_namespace WHERE oid >= 16384) AND NOT EXISTS (SELECT FROM pg_largeobject_metadata)");
  if (!rows) return pass(rows);
  return rows->text(0, 0) == "t";
}

Status drop_database(Connection& system, const std::string& name) {
  auto dropped = system.execute(fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", Connection::quote_identifier(name)));
  return dropped ? Status{} : pass(dropped, phrase("drop database {}", name));
}

Result<DatabaseSlots> slots_of(Connection& system, const std::string& database, const std::string& own) {
  auto rows = system.query("SELECT slot_name, $2 <> '' AND (slot_name = $2 OR starts_with(slot_name, $2 || '_')) FROM pg_replication_slots WHERE database = $1",
                           {database, own});
  if (!rows) return pass(rows, "replication slots");
  DatabaseSlots slots;
  for (int row = 0; row < rows->size(); ++row) (rows->text(row, 1) == "t" ? slots.own : slots.foreign).emplace_back(rows->text(row, 0));
  return slots;
}

Status swap_databases(Connection& system, const postgres::ConnectionSettings& settings, std::span<const Swap> swaps) {
  std::vector<std::unique_ptr<SessionEnder>> enders;
  for (const Swap& swap : swaps) {
    if (!swap.old_name.empty()) enders.push_back(std::make_unique<SessionEnder>(settings, swap.database));
  }
  for (int tries = 1;; ++tries) {
    auto swapped = swap_once(system, swaps);
    const bool busy = !swapped && system.last_sqlstate() == "55006";
    if (swapped || (busy && tries == kSwapTries) || !busy) {
      if (busy) swapped.error().code = ErrorCode::kInUse;
      return swapped;
    }
  }
}

}  // namespace verbund::backup
