#include "guard/catalog.h"

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/postgres/arrays.h"

namespace verbund::guard {
namespace {

using postgres::Connection;

/// The table itself and everything below it, with oid and whether it is a partition.
constexpr std::string_view kBelow =
    "WITH RECURSIVE below (oid, partition) AS ("
    "  SELECT c.oid, false FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    "   WHERE n.nspname = $1 AND c.relname = $2"
    "  UNION SELECT c.oid, c.relispartition FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid"
    "   JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE c.relkind IN ('r', 'p'))";

WallTime wall_of(std::string_view epoch_microseconds) {
  return WallTime{microseconds{static_cast<std::int64_t>(parse_u64(epoch_microseconds).value_or(0))}};
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

std::string Relation::quoted() const {
  return Connection::quote_identifier(schema) + '.' + Connection::quote_identifier(name);
}

Result<bool> has_guard(Connection& source) {
  auto found = source.query("SELECT to_regclass('verbund_guard.version') IS NOT NULL");
  if (!found) return pass(found, "look for the guard");
  return found->text(0, 0) == "t";
}

Result<ColumnTypes> column_types(Connection& source, const std::vector<Mapped>& tables) {
  std::vector<std::string> schemas, names;
  const auto add = [&](const std::string& schema, const std::string& name) {
    schemas.push_back(schema);
    names.push_back(name);
  };
  for (const auto& table : tables) {
    add(table.schema, table.table);
    for (const auto& way : table.ways) {
      for (const auto& step : way) add(step.parent_schema, step.parent_table);
    }
  }
  auto rows = source.query(
      "SELECT DISTINCT n.nspname, c.relname, a.attname, format_type(base.oid, NULL),"
      "       base.typtype = 'e' OR base.typnamespace = 'pg_catalog'::regnamespace, coalesce(l.collisdeterministic, true)"
      "  FROM unnest($1::text[], $2::text[]) AS w (schema_name, table_name)"
      "  JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema_name"
      "  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.table_name"
      "  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
      "  LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation"
      "  CROSS JOIN LATERAL (WITH RECURSIVE up AS ("
      "    SELECT t.oid, t.typtype, t.typbasetype, t.typnamespace FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid"
      "    UNION ALL SELECT t.oid, t.typtype, t.typbasetype, t.typnamespace FROM up JOIN pg_catalog.pg_type t ON t.oid = up.typbasetype"
      "     WHERE up.typtype = 'd') SELECT * FROM up WHERE typtype <> 'd') AS base",
      {postgres::array_literal(schemas), postgres::array_literal(names)});
  if (!rows) return pass(rows, "read the catalog");
  ColumnTypes types;
  for (int row = 0; row < rows->size(); ++row) {
    const auto text = [&](int column) { return std::string(rows->text(row, column)); };
    types[column_name(text(0), text(1), text(2))] = {text(3), text(4) == "t", text(5) == "t"};
  }
  return types;
}

Result<std::vector<Relation>> relations_of(Connection& source, const std::string& schema, const std::string& table) {
  auto rows = source.query(
      fmt::format("{} SELECT n.nspname, c.relname, b.partition,"
                  "  (SELECT string_agg(t.tgname, E'\\n') FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid)"
                  " FROM below b JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace", kBelow),
      {schema, table});
  if (!rows) return pass(rows, "read the catalog");
  if (rows->size() == 0) {
    return fail(ErrorCode::kNotFound, phrase("guard table {}: there is no such table", fmt::format("{}.{}", schema, table)));
  }
  std::vector<Relation> relations;
  for (int row = 0; row < rows->size(); ++row) {
    const auto triggers = split_lines(rows->text(row, 3));
    relations.push_back({std::string(rows->text(row, 0)), std::string(rows->text(row, 1)), rows->text(row, 2) == "t",
                         {triggers.begin(), triggers.end()}});
  }
  return relations;
}

Result<std::vector<std::string>> missing_rights(Connection& source, const records::RecordType& type) {
  std::vector<std::string> missing;
  auto general = source.query(
      "SELECT quote_ident(current_user), quote_ident(current_database()), has_database_privilege(current_database(), 'CREATE'),"
      "  pg_has_role(current_user, 'pg_signal_backend', 'USAGE')");
  if (!general) return pass(general, "read the node's rights");
  const std::string role(general->text(0, 0));
  if (general->text(0, 2) != "t") missing.push_back(fmt::format("GRANT CREATE ON DATABASE {} TO {};", general->text(0, 1), role));
  // To end connections that keep a lock row busy.
  if (general->text(0, 3) != "t") missing.push_back(fmt::format("GRANT pg_signal_backend TO {};", role));
  std::set<std::string> read;
  for (const auto& table : tables_of(type)) {
    auto rights = source.query(
        fmt::format("{} SELECT b.oid::regclass::text FROM below b WHERE NOT has_table_privilege(b.oid, 'TRIGGER')", kBelow),
        {table.schema, table.table});
    if (!rights) return pass(rights, "read the node's rights");
    for (int row = 0; row < rights->size(); ++row) {
      missing.push_back(fmt::format("GRANT TRIGGER ON {} TO {};", rights->text(row, 0), role));
    }
    for (const auto& way : table.ways) {
      for (const auto& step : way) {
        const auto parent = Relation{step.parent_schema, step.parent_table, false, {}}.quoted();
        if (!read.insert(parent).second) continue;
        auto readable = source.query("SELECT has_table_privilege(t, 'SELECT'), t::text FROM CAST($1 AS regclass) AS t", {parent});
        if (!readable) return pass(readable, "read the node's rights");
        if (readable->text(0, 0) != "t") missing.push_back(fmt::format("GRANT SELECT ON {} TO {};", readable->text(0, 1), role));
      }
    }
  }
  return missing;
}

Result<std::vector<GuardedType>> guarded_types(Connection& source) {
  auto exists = has_guard(source);
  if (!exists) return pass(exists);
  if (!*exists) return std::vector<GuardedType>{};
  auto rows = source.query(
      "SELECT g.type, g.mode, (extract(epoch FROM g.since) * 1000000)::bigint,"
      "  (SELECT count(*) FROM verbund_guard.lock l WHERE l.type = g.type),"
      "  (SELECT string_agg(t.schema_name || '.' || t.table_name, E'\\n' ORDER BY t.function) FROM verbund_guard.guarded_table t"
      "    WHERE t.type = g.type AND t.table_name <> ''),"
      "  (SELECT string_agg(t.schema_name || '.' || t.table_name, E'\\n' ORDER BY t.function) FROM verbund_guard.guarded_table t"
      "    WHERE t.type = g.type AND t.table_name <> '' AND NOT EXISTS ("
      "      SELECT FROM pg_catalog.pg_trigger r JOIN pg_catalog.pg_class c ON c.oid = r.tgrelid"
      "        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
      "       WHERE n.nspname = t.schema_name AND c.relname = t.table_name AND r.tgname = 'verbund_guard_' || t.function"
      "         AND r.tgenabled <> 'D'))"
      " FROM verbund_guard.guarded g ORDER BY g.type");
  if (!rows) return pass(rows, "read the guard's state");
  std::vector<GuardedType> types;
  for (int row = 0; row < rows->size(); ++row) {
    GuardedType type;
    type.type = rows->text(row, 0);
    type.mode = mode_from_wire(rows->text(row, 1)).value_or(Mode::kOff);
    type.since = wall_of(rows->text(row, 2));
    type.locks = parse_u64(rows->text(row, 3)).value_or(0);
    type.tables = split_lines(rows->text(row, 4));
    type.missing = split_lines(rows->text(row, 5));
    types.push_back(std::move(type));
  }
  return types;
}

Result<std::vector<WarningCount>> warnings(Connection& source) {
  auto exists = has_guard(source);
  if (!exists) return pass(exists);
  if (!*exists) return std::vector<WarningCount>{};
  if (auto counted = source.query("SELECT verbund_guard.count_warnings()"); !counted) return pass(counted, "count the guard's warnings");
  auto rows = source.query(
      "SELECT type, table_name, operation, application, user_name, transactions,"
      "  (extract(epoch FROM first) * 1000000)::bigint, (extract(epoch FROM last) * 1000000)::bigint"
      " FROM verbund_guard.warning_count ORDER BY transactions DESC, 1, 2, 3, 4, 5");
  if (!rows) return pass(rows, "read the guard's warnings");
  std::vector<WarningCount> counts;
  for (int row = 0; row < rows->size(); ++row) {
    const auto text = [&](int column) { return std::string(rows->text(row, column)); };
    counts.push_back({text(0), text(1), text(2), text(3), text(4), parse_u64(rows->text(row, 5)).value_or(0),
                      wall_of(rows->text(row, 6)), wall_of(rows->text(row, 7))});
  }
  return counts;
}

}  // namespace verbund::guard
