#include "feed/keyless.h"

#include "base/messages.h"

namespace verbund::feed {
namespace {

using postgres::Connection;

/// PostgreSQL's NAMEDATALEN - 1.
constexpr std::size_t kMaxNameBytes = 63;

/// As one list for ALTER PUBLICATION … DROP TABLE; NULL: there are none. {}: the publication's name, as a literal or a
/// parameter. The rows that count are those of the partitions. pg_inherits is read directly: pg_partition_tree would lock them all,
/// and who changes two partitions at once would meet us there.
constexpr std::string_view kKeyless = R"(
  WITH RECURSIVE member(root, relation) AS (
    SELECT r.prrelid, r.prrelid FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
     WHERE p.pubname = {} AND (p.pubupdate OR p.pubdelete)
    UNION ALL
    SELECT m.root, i.inhrelid FROM member m JOIN pg_class c ON c.oid = m.relation AND c.relkind = 'p' JOIN pg_inherits i ON i.inhparent = c.oid)
  SELECT string_agg('ONLY ' || root::regclass::text, ', ')
    FROM (SELECT DISTINCT m.root FROM member m JOIN pg_class c ON c.oid = m.relation AND c.relkind = 'r'
           WHERE c.relreplident <> 'f' AND NOT EXISTS (
             SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
                AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END)) keyless)";

/// Whatever goes wrong in here is not the application's business.
std::string function_body(const std::string& publication) {
  return fmt::format(R"(
DECLARE
  tables text;
BEGIN
  tables := ({});
  IF tables IS NOT NULL THEN
    EXECUTE 'ALTER PUBLICATION ' || quote_ident({}) || ' DROP TABLE ' || tables;
  END IF;
EXCEPTION WHEN OTHERS THEN
  RAISE LOG 'verbund: tables without a key stay published for now: %', SQLERRM;
END
)",
                     fmt::format(fmt::runtime(kKeyless), Connection::quote_literal(publication)), Connection::quote_literal(publication));
}

/// What can take a key away, a type or a schema that drops a column of it included; and what publishes a table without one.
constexpr std::string_view kTags =
    "'ALTER TABLE', 'ALTER INDEX', 'CREATE PUBLICATION', 'ALTER PUBLICATION', 'DROP COLLATION', 'DROP DOMAIN', 'DROP EXTENSION', 'DROP FUNCTION',"
    " 'DROP INDEX', 'DROP OPERATOR CLASS', 'DROP OPERATOR FAMILY', 'DROP OWNED', 'DROP ROUTINE', 'DROP SCHEMA', 'DROP TABLE', 'DROP TYPE'";

struct KeyTrigger {
  bool exists = false;  ///< of this name, with a function of ours
  bool works = false;
  bool as_now = false;  ///< made by this version
  bool superuser = false;
};
Result<KeyTrigger> read_key_trigger(Connection& source, const std::string& publication) {
  auto rows = source.query(
      "SELECT r.rolsuper, p.oid IS NOT NULL, coalesce(e.evtenabled IN ('O', 'A') AND p.prosecdef AND o.rolsuper, false), coalesce(p.prosrc = $2, false)"
      "  FROM pg_roles r LEFT JOIN pg_event_trigger e ON e.evtname = $1"
      "  LEFT JOIN pg_proc p ON p.oid = e.evtfoid AND p.pronamespace = to_regnamespace($3) LEFT JOIN pg_roles o ON o.oid = p.proowner"
      " WHERE r.rolname = current_user",
      {key_trigger_name(publication), function_body(publication), kKeyTriggerSchema});
  if (!rows) return pass(rows, "event triggers of the source");
  if (rows->size() != 1) return KeyTrigger{};
  const auto is = [&](int column) { return rows->text(0, column) == "t"; };
  return KeyTrigger{is(1), is(2), is(3), is(0)};
}

}  // namespace

std::string key_trigger_name(const std::string& publication) {
  std::string name = "verbund_keys_of_" + publication;
  if (name.size() <= kMaxNameBytes) return name;
  std::size_t end = kMaxNameBytes;
  while ((name[end] & 0xC0) == 0x80) --end;  // not in the middle of a character
  return name.substr(0, end);
}

std::string key_trigger_sql(const std::string& publication) {
  const std::string name = Connection::quote_identifier(key_trigger_name(publication));
  const std::string function = fmt::format("{}.{}", kKeyTriggerSchema, name);
  return fmt::format(
      "CREATE SCHEMA IF NOT EXISTS {0}; CREATE OR REPLACE FUNCTION {1}() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER"
      " SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS {2};"
      " REVOKE ALL ON FUNCTION {1}() FROM PUBLIC; DROP EVENT TRIGGER IF EXISTS {3};"
      " CREATE EVENT TRIGGER {3} ON ddl_command_end WHEN TAG IN ({4}) EXECUTE FUNCTION {1}(); ALTER EVENT TRIGGER {3} ENABLE ALWAYS;"
      " COMMENT ON EVENT TRIGGER {3} IS 'Verbund: takes tables that lose their key out of the publication, or their UPDATE would fail. Remove: verbund detach'",
      kKeyTriggerSchema, function, Connection::quote_literal(function_body(publication)), name, kTags);
}

Result<bool> has_key_trigger(Connection& source, const std::string& publication) {
  auto now = read_key_trigger(source, publication);
  if (!now) return pass(now);
  return now->works && now->as_now;
}

Result<bool> keep_key_trigger(Connection& source, const std::string& publication, Log& log) {
  auto now = read_key_trigger(source, publication);
  if (!now) return pass(now);
  if (now->exists && now->as_now) return now->works;
  if (!now->superuser) return false;
  if (auto made = source.execute(key_trigger_sql(publication)); !made) {
    log.warning("feed.key_trigger_not_made", {{"publication", publication}, {"reason", made.error().message}});
    if (made.error().code == ErrorCode::kDatabaseDown) return pass(made);
    return false;
  }
  log.info("feed.key_trigger_made", {{"publication", publication}, {"event_trigger", key_trigger_name(publication)}});
  return true;
}

Status release_keyless(Connection& source, const std::string& publication, Log& log) {
  auto rows = source.query(fmt::format(fmt::runtime(kKeyless), "$1"), {publication});
  if (!rows) return pass(rows, phrase("publication {}", publication));
  if (rows->null(0, 0)) return {};
  // Who changes the table holds a lock on it, and will be through before the next look.
  auto out = source.execute(fmt::format("BEGIN; SET LOCAL lock_timeout = '500ms'; ALTER PUBLICATION {} DROP TABLE {}; COMMIT",
                                        Connection::quote_identifier(publication), rows->text(0, 0)));
  if (!out) {
    if (source.in_transaction()) static_cast<void>(source.execute("ROLLBACK"));
    return pass(out, phrase("publication {}", publication));
  }
  log.warning("feed.keyless_released", {{"publication", publication}, {"tables", rows->text(0, 0)}});
  return {};
}

}  // namespace verbund::feed
