#include "feed/publication.h"

namespace verbund::feed {
namespace {

using postgres::Connection;

std::set<std::string> wanted_tables(const Tables& tables) {
  std::set<std::string> names;
  for (const CapturedTable& table : tables.all) names.insert(quoted(table.schema, table.table));
  return names;
}

Result<std::set<std::string>> published_tables(Connection& source, const std::string& name) {
  auto rows = source.query(
      "SELECT n.nspname, c.relname FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid"
      "  JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1",
      {name});
  if (!rows) return pass(rows, "publication " + name);
  std::set<std::string> names;
  for (int row = 0; row < rows->size(); ++row) names.insert(quoted(rows->text(row, 0), rows->text(row, 1)));
  return names;
}

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
    return fail(ErrorCode::kServerSetting, fmt::format("feed: wal_level is {}, capture needs logical", rows->text(0, 0)),
                "ALTER SYSTEM SET wal_level = 'logical'; then restart PostgreSQL.");
  }
  if (rows->text(0, 1) != "t") {
    return fail(ErrorCode::kServerSetting, fmt::format("feed: role {} may not replicate", rows->text(0, 2)),
                fmt::format("ALTER ROLE {} REPLICATION;", Connection::quote_identifier(rows->text(0, 2))));
  }
  return {};
}

Status keep_publication(Connection& source, const std::string& name, const Tables& tables, Log& log) {
  const std::string shown = Connection::quote_identifier(name);
  auto exists = source.query("SELECT puballtables FROM pg_publication WHERE pubname = $1", {name});
  if (!exists) return pass(exists, "publication " + name);
  const auto wanted = wanted_tables(tables);
  const std::string create =
      fmt::format("CREATE PUBLICATION {}{}{}", shown, wanted.empty() ? "" : " FOR TABLE ", only_list(wanted));
  std::string change;
  if (exists->size() == 0) {
    change = create;
  } else {
    if (exists->text(0, 0) == "t") {
      return fail(ErrorCode::kServerSetting, fmt::format("publication {} is FOR ALL TABLES", name),
                  fmt::format("DROP PUBLICATION {}; the feed creates its own, of the configured tables alone.", shown));
    }
    auto published = published_tables(source, name);
    if (!published) return pass(published);
    if (*published == wanted) return {};
    // One transaction: a reader of the log never meets a time without the publication.
    change = wanted.empty() ? fmt::format("BEGIN; DROP PUBLICATION {}; {}; COMMIT", shown, create)
                            : fmt::format("ALTER PUBLICATION {} SET TABLE {}", shown, only_list(wanted));
  }
  if (auto done = source.execute(change); !done) {
    if (done.error().code == ErrorCode::kForbidden) {
      done.error().code = ErrorCode::kServerSetting;
      done.error().hint = "The role must own the captured tables and have CREATE on the database, or be a superuser.";
    }
    return pass(done, "publication " + name);
  }
  log.info("feed.published", {{"publication", name}, {"tables", wanted.size()}});
  return {};
}

}  // namespace verbund::feed
