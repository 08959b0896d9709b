#include "feed/publication.h"

#include "base/messages.h"

namespace verbund::feed {
namespace {

using postgres::Connection;

std::set<std::string> wanted_tables(const Tables& tables) {
  std::set<std::string> names;
  for (const CapturedTable& table : tables.all) names.insert(quoted(table.schema, table.table));
  return names;
}

/// Those with all rows and columns.
Result<std::set<std::string>> published_tables(Connection& source, const std::string& name) {
  auto rows = source.query(
      "SELECT n.nspname, c.relname FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid"
      "  JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
      " WHERE p.pubname = $1 AND r.prqual IS NULL AND r.prattrs IS NULL",
      {name});
  if (!rows) return pass(rows, phrase("publication {}", name));
  std::set<std::string> names;
  for (int row = 0; row < rows->size(); ++row) names.insert(quoted(rows->text(row, 0), rows->text(row, 1)));
  return names;
}

struct Publication {
  bool exists = false;
  bool all_tables = false;
  bool whole = false;    ///< nobody has taken operations away
  bool by_root = false;
  std::int64_t members = 0;
};
Result<Publication> read_publication(Connection& source, const std::string& name) {
  auto rows = source.query(
      "SELECT puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot,"
      "       (SELECT count(*) FROM pg_publication_rel r WHERE r.prpubid = p.oid)"
      "     + (SELECT count(*) FROM pg_publication_namespace s WHERE s.pnpubid = p.oid) FROM pg_publication p WHERE pubname = $1",
      {name});
  if (!rows) return pass(rows, phrase("publication {}", name));
  if (rows->size() == 0) return Publication{};
  const auto is = [&](int column) { return rows->text(0, column) == "t"; };
  return Publication{true, is(0), is(1), is(2), std::atoll(std::string(rows->text(0, 3)).c_str())};
}

/// ONLY: children by inheritance are tables of their own. A partitioned table's partitions come with it all the same.
std::string only_list(const std::set<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "ONLY " : ", ONLY ") + name;
  return list;
}

}  // namespace

Status check_server(Connection& source) {
  auto rows = source.query(
      "SELECT current_setting('wal_level'), rolreplication OR rolsuper, current_user FROM pg_roles WHERE rolname = current_user");
  if (!rows) return pass(rows, "settings of the source server");
  if (rows->size() != 1 || rows->text(0, 0) != "logical") {
    return fail(ErrorCode::kServerSetting, phrase("feed: wal_level is {}, capture needs logical", rows->text(0, 0)),
                phrase("ALTER SYSTEM SET wal_level = 'logical'; then restart PostgreSQL."));
  }
  if (rows->text(0, 1) != "t") {
    return fail(ErrorCode::kServerSetting, phrase("feed: role {} may not replicate", rows->text(0, 2)),
                phrase("ALTER ROLE {} REPLICATION;", Connection::quote_identifier(rows->text(0, 2))));
  }
  return {};
}

Result<std::set<std::string>> keep_publication(Connection& source, const std::string& name, const Tables& tables, Log& log) {
  const std::string shown = Connection::quote_identifier(name);
  auto now = read_publication(source, name);
  if (!now) return pass(now);
  if (now->all_tables) {
    return fail(ErrorCode::kServerSetting, phrase("publication {} is FOR ALL TABLES", name),
                phrase("DROP PUBLICATION {}; the feed creates its own, of the configured tables alone.", shown));
  }
  const auto wanted = wanted_tables(tables);
  auto published = published_tables(source, name);
  if (!published) return pass(published);
  const bool as_wanted = now->exists && now->whole && *published == wanted && now->members == std::ssize(wanted);
  if (as_wanted && now->by_root) return std::set<std::string>{};
  const std::string create = fmt::format("CREATE PUBLICATION {}{}{} WITH (publish_via_partition_root = true)", shown,
                                         wanted.empty() ? "" : " FOR TABLE ", only_list(wanted));
  std::string change = create;
  if (now->exists && (wanted.empty() || !now->whole || now->members != std::ssize(*published))) {
    // One transaction: a reader of the log never meets a time without the publication.
    change = fmt::format("BEGIN; DROP PUBLICATION {}; {}; COMMIT", shown, create);
  } else if (now->exists) {
    change = fmt::format("BEGIN; ALTER PUBLICATION {0} SET TABLE {1}; ALTER PUBLICATION {0} SET (publish_via_partition_root = true); COMMIT",
                         shown, only_list(wanted));
  }
  if (auto done = source.execute(change); !done) {
    if (source.in_transaction()) static_cast<void>(source.execute("ROLLBACK"));
    if (done.error().code == ErrorCode::kForbidden) {
      done.error().code = ErrorCode::kServerSetting;
      done.error().advise(phrase("The role must own the captured tables and have CREATE on the database, or be a superuser."));
    }
    return pass(done, phrase("publication {}", name));
  }
  log.info("feed.published", {{"publication", name}, {"tables", wanted.size()}});
  if (!now->whole) return wanted;
  std::set<std::string> added;
  std::ranges::set_difference(wanted, *published, std::inserter(added, added.end()));
  return added;
}

}  // namespace verbund::feed
