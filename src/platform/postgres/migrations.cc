#include "platform/postgres/migrations.h"

#include "base/messages.h"

namespace verbund::postgres {
namespace {

/// Two nodes on one database take turns. The number is arbitrary but for ever the same ("vbmigr" in ASCII).
constexpr std::string_view kLock = "SELECT pg_advisory_xact_lock(130210094508658)";

constexpr std::string_view kTable =
    "CREATE TABLE IF NOT EXISTS public.verbund_migrations ("
    " owner text NOT NULL, number integer NOT NULL, name text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (owner, number))";

/// Highest number in the database; 0 before the first.
Result<int> highest(Connection& connection, std::string_view owner) {
  auto rows = connection.query("SELECT coalesce(max(number), 0) FROM public.verbund_migrations WHERE owner = $1",
                               {std::string(owner)});
  if (!rows) return pass(rows);
  const auto number = parse_u64(rows->text(0, 0));
  if (!number) return fail(ErrorCode::kInternal, phrase("migrations: a number in verbund_migrations is no number"));
  return static_cast<int>(*number);
}

/// The lock lives as long as one transaction, so a peer may slip in between two migrations: each looks again.
/// False: somebody else has run it.
Result<bool> run(Connection& connection, std::string_view owner, const Migration& migration) {
  auto transaction = connection.begin();
  if (!transaction) return pass(transaction);
  if (auto locked = connection.execute(kLock); !locked) return pass(locked);
  const auto present = highest(connection, owner);
  if (!present) return std::unexpected(present.error());
  if (*present >= migration.number) return false;
  if (auto done = connection.execute(migration.sql); !done) {
    return pass(done, phrase("migration {}/{}_{}", owner, fmt::format("{:03}", migration.number), migration.name));
  }
  auto noted = connection.query("INSERT INTO public.verbund_migrations (owner, number, name) VALUES ($1, $2, $3)",
                                {std::string(owner), std::to_string(migration.number), std::string(migration.name)});
  if (!noted) return pass(noted);
  if (auto committed = transaction->commit(); !committed) return pass(committed);
  return true;
}

Status migrate_one(Connection& connection, const MigrationSet& set, Log& log) {
  const auto present = highest(connection, set.owner);
  if (!present) return std::unexpected(present.error());
  const int known = set.migrations.empty() ? 0 : set.migrations.back().number;
  if (*present > known + 1) {
    return fail(ErrorCode::kUnsupported,
                phrase("migrate schema {}: the database is at {}, this program knows {}", set.owner, *present, known),
                phrase("Run a newer verbund on this database."));
  }
  for (const Migration& migration : set.migrations) {
    if (migration.number <= *present) continue;
    const auto ran = run(connection, set.owner, migration);
    if (!ran) return std::unexpected(ran.error());
    if (*ran) {
      log.info("migration.applied", {{"owner", set.owner}, {"number", migration.number}, {"name", migration.name}});
    }
  }
  return {};
}

Status create_table(Connection& connection) {
  // Looked for first, because a peer's standby or an ordinary user's second start may not create anything.
  auto found = connection.query("SELECT to_regclass('public.verbund_migrations') IS NOT NULL");
  if (!found) return pass(found);
  if (found->text(0, 0) == "t") return {};
  auto transaction = connection.begin();
  if (!transaction) return pass(transaction);
  if (auto locked = connection.execute(kLock); !locked) return locked;
  if (auto created = connection.execute(kTable); !created) return created;
  return transaction->commit();
}

}  // namespace

Status migrate(Connection& connection, std::span<const MigrationSet> sets, Log& log) {
  if (auto created = create_table(connection); !created) return pass(created, "migrate");
  for (const MigrationSet& set : sets) {
    if (auto done = migrate_one(connection, set, log); !done) return done;
  }
  return {};
}

}  // namespace verbund::postgres
