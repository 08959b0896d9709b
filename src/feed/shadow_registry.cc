#include "base/messages.h"
#include "feed/shadow.h"

// Which shadows there are and what they look like; what stands in them: shadow.cc.
namespace verbund::feed {
namespace {

using postgres::Connection;

constexpr std::size_t kShownNameBytes = 40;

/// shadow_17_observation: readable, unique by the id, below PostgreSQL's 63 bytes, no quoting needed.
std::string shadow_name(int id, std::string_view table) {
  std::string name = fmt::format("shadow_{}_", id);
  for (const char c : table.substr(0, kShownNameBytes)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    name.push_back(plain ? c : '_');
  }
  return name;
}

/// No column of a source is called so while it gets its new name.
std::string passing_name(std::size_t number) { return fmt::format("verbund_renamed_{}", number); }

Status drop_indexes(Connection& mid_tier, const CapturedTable& table) {
  auto rows = mid_tier.query("SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = $1::regclass AND NOT i.indisprimary",
                             {quoted("feed", table.shadow)});
  if (!rows) return pass(rows);
  for (int row = 0; row < rows->size(); ++row) {
    if (auto dropped = mid_tier.execute(fmt::format("DROP INDEX {}", rows->text(row, 0))); !dropped) return dropped;
  }
  return {};
}

}  // namespace

Result<std::vector<KnownTable>> known_tables(Connection& mid_tier) {
  auto rows = mid_tier.query("SELECT id, schema_name, table_name, shadow, layout, since, relation, files, coalesce(paused, ''), retried, truncated"
                             "  FROM feed.source_table ORDER BY id");
  if (!rows) return pass(rows, "tables of the feed");
  std::vector<KnownTable> known;
  for (int row = 0; row < rows->size(); ++row) {
    const auto id = parse_u64(rows->text(row, 0));
    const auto since = parse_lsn(rows->text(row, 5));
    const auto relation = parse_u64(rows->text(row, 6));
    if (!id || !since || !relation) return fail(ErrorCode::kInternal, phrase("feed.source_table holds what it never should"));
    known.push_back({static_cast<int>(*id), std::string(rows->text(row, 1)), std::string(rows->text(row, 2)),
                     std::string(rows->text(row, 3)), std::string(rows->text(row, 4)), *since,
                     static_cast<std::uint32_t>(*relation), std::string(rows->text(row, 7)), std::string(rows->text(row, 8)),
                     rows->text(row, 9) == "t", rows->text(row, 10) == "t"});
  }
  return known;
}

Status create_shadow(Connection& mid_tier, CapturedTable& table, Lsn since) {
  auto made = mid_tier.query(
      "INSERT INTO feed.source_table (schema_name, table_name, shadow, layout, since, relation, files)"
      " VALUES ($1, $2, 'new ' || gen_random_uuid(), $3, $4::pg_lsn, $5::bigint, $6) RETURNING id",
      {table.schema, table.table, table.layout(), to_string(since), std::to_string(table.relation), table.files});
  if (!made) return pass(made, phrase("register {}", table.shown));
  table.id = static_cast<int>(parse_u64(made->text(0, 0)).value_or(0));
  table.shadow = shadow_name(table.id, table.table);
  table.since = since;
  auto named = mid_tier.query("UPDATE feed.source_table SET shadow = $1 WHERE id = $2::integer",
                              {table.shadow, std::to_string(table.id)});
  if (!named) return pass(named, phrase("register {}", table.shown));
  std::string columns = R"(verbund_key text COLLATE "C" PRIMARY KEY, verbund_csn bigint NOT NULL)";
  for (const Column& column : table.columns) {
    columns += fmt::format(R"(, {} text COLLATE "C")", Connection::quote_identifier(column.name));
  }
  if (auto created = mid_tier.execute(fmt::format("CREATE TABLE {} ({}) WITH (fillfactor = 90)", quoted("feed", table.shadow), columns)); !created) {
    return pass(created, phrase("shadow of {}", table.shown));
  }
  return mid_tier.execute(fmt::format("COMMENT ON TABLE {} IS {}", quoted("feed", table.shadow),
                                      Connection::quote_literal("Copy of " + quoted(table.schema, table.table))));
}

Status drop_shadow(Connection& mid_tier, const KnownTable& table) {
  if (auto dropped = mid_tier.execute(fmt::format("DROP TABLE IF EXISTS {}", quoted("feed", table.shadow))); !dropped) {
    return dropped;
  }
  auto forgotten = mid_tier.query("DELETE FROM feed.source_table WHERE id = $1::integer", {std::to_string(table.id)});
  if (!forgotten) return pass(forgotten);
  return {};
}

Status index_lookups(Connection& mid_tier, const Tables& tables) {
  for (std::size_t i = 0; i < tables.lookups.size(); ++i) {
    const Lookup& lookup = tables.lookups[i];
    if (lookup.by_key) continue;
    const CapturedTable& table = tables.all[lookup.table];
    std::string name = table.shadow.substr(0, table.shadow.find('_', table.shadow.find('_') + 1)) + "_on";
    for (const std::size_t column : lookup.columns) name += fmt::format("_{}", table.columns[column].number);
    auto made = mid_tier.execute(fmt::format("CREATE INDEX IF NOT EXISTS {} ON {} ({})", Connection::quote_identifier(name),
                                             quoted("feed", table.shadow), lookup_expression(table, lookup.columns)));
    if (!made) return pass(made, phrase("index of the shadow of {}", table.shown));
  }
  return {};
}

Status register_table(Connection& mid_tier, const CapturedTable& table) {
  auto done = mid_tier.query(
      "UPDATE feed.source_table SET former = CASE WHEN (schema_name, table_name) = ($2, $3) THEN former"
      "         ELSE array_append(former, quote_ident(schema_name) || '.' || quote_ident(table_name)) END,"
      "       schema_name = $2, table_name = $3, layout = $4, since = $5::pg_lsn, relation = $6::bigint, files = $7,"
      "       paused = NULL, paused_at = NULL, retried = false, truncated = false WHERE id = $1::integer",
      {std::to_string(table.id), table.schema, table.table, table.layout(), to_string(table.since), std::to_string(table.relation),
       table.files});
  if (!done) return pass(done, phrase("register {}", table.shown));
  return {};
}

Status forget_truncation(Connection& mid_tier, int id) {
  auto done = mid_tier.query("UPDATE feed.source_table SET truncated = false WHERE id = $1::integer", {std::to_string(id)});
  if (!done) return pass(done, "tables of the feed");
  return {};
}

Status pause_table(Connection& mid_tier, int id, const std::string& reason, bool retried) {
  auto done = mid_tier.query(
      "UPDATE feed.source_table SET paused = $2, paused_at = coalesce(paused_at, now()), retried = $3 WHERE id = $1::integer",
      {std::to_string(id), reason, retried ? "t" : "f"});
  if (!done) return pass(done, "pause a table");
  return {};
}

Status reshape_shadow(Connection& mid_tier, const CapturedTable& table, const Reshaping& change) {
  if (!change.changes_columns()) return {};
  const std::string shadow = quoted("feed", table.shadow);
  const auto name = Connection::quote_identifier;
  if (auto dropped = drop_indexes(mid_tier, table); !dropped) return dropped;
  std::string statements;
  for (const std::string& column : change.dropped) statements += fmt::format("ALTER TABLE {} DROP COLUMN {};", shadow, name(column));
  for (std::size_t i = 0; i < change.renamed.size(); ++i) {
    statements += fmt::format("ALTER TABLE {} RENAME {} TO {};", shadow, name(change.renamed[i].first), passing_name(i));
  }
  for (std::size_t i = 0; i < change.renamed.size(); ++i) {
    statements += fmt::format("ALTER TABLE {} RENAME {} TO {};", shadow, passing_name(i), name(change.renamed[i].second));
  }
  for (const std::size_t added : change.added) {
    const Column& column = table.columns[added];
    statements += fmt::format(R"(ALTER TABLE {} ADD COLUMN {} text COLLATE "C")", shadow, name(column.name));
    // PostgreSQL remembers it beside the rows, too, and rewrites none.
    statements += column.missing ? fmt::format(" DEFAULT {};ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT;",
                                               Connection::quote_literal(*column.missing), shadow, name(column.name))
                                 : ";";
  }
  if (auto done = mid_tier.execute(statements); !done) return pass(done, phrase("shadow of {}", table.shown));
  return {};
}

Result<Layout> shadow_layout(Connection& mid_tier, const std::string& shadow) {
  auto rows = mid_tier.query(
      "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 2 AND NOT attisdropped ORDER BY attnum",
      {quoted("feed", shadow)});
  if (!rows) return pass(rows, "columns of a shadow");
  Layout layout;
  for (int row = 0; row < rows->size(); ++row) layout.columns.push_back({0, 0, -1, std::string(rows->text(row, 0))});
  return layout;
}

}  // namespace verbund::feed
