#include "importer/csv/table.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::importer::csv {
namespace {

using postgres::Connection;

struct TableRow {
  std::string oid, schema, name;
};

Result<TableRow> find_table(Connection& connection, const Mapping& mapping, const std::string& wanted) {
  auto rows = connection.query(
      "SELECT c.oid::text, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
      "WHERE c.relkind IN ('r', 'p') AND (n.nspname || '.' || c.relname = $1 OR (c.relname = $1 AND pg_table_is_visible(c.oid)))",
      {wanted});
  if (!rows) return pass(rows, "find the table");
  if (rows->size() > 0) return TableRow{std::string(rows->text(0, 0)), std::string(rows->text(0, 1)), std::string(rows->text(0, 2))};
  auto tables = connection.query(
      "SELECT coalesce(string_agg(name, ', '), '') FROM (SELECT n.nspname || '.' || c.relname AS name FROM pg_class c "
      "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' "
      "AND n.nspname <> 'information_schema' ORDER BY 1 LIMIT 30) AS tables");
  if (!tables) return pass(tables, "find the table");
  auto error = fail(ErrorCode::kNotFound, phrase("table {}: there is no such table", wanted), phrase("tables: {}", tables->text(0, 0)));
  return std::unexpected(std::move(error.error()).in(mapping.name));
}

struct CatalogColumn {
  TargetColumn column;
  bool written_by_database = false;
};

Result<std::vector<CatalogColumn>> read_columns(Connection& connection, const std::string& oid) {
  // -1 in place of the length: NULL would turn char(10) into char(1).
  auto rows = connection.query(
      "SELECT a.attname, format_type(a.atttypid, -1), "
      "CASE WHEN t.typname IN ('varchar', 'bpchar', 'bit', 'varbit') THEN format_type(a.atttypid, -1) ELSE format_type(a.atttypid, a.atttypmod) END, "
      "t.typcategory = 'D' AND t.typname NOT IN ('time', 'timetz'), t.typcategory = 'N', t.typname IN ('json', 'xml') OR t.typcategory = 'G', "
      "a.attgenerated <> '' OR a.attidentity = 'a' "
      "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
      {oid});
  if (!rows) return pass(rows, "read the table's columns");
  std::vector<CatalogColumn> out;
  for (int row = 0; row < rows->size(); ++row) {
    const auto text = [&](int column) { return std::string(rows->text(row, column)); };
    out.push_back({{text(0), text(1), text(2), text(3) == "t", text(4) == "t", text(5) == "t"}, text(6) == "t"});
  }
  return out;
}

Result<const CatalogColumn*> find_column(const std::vector<CatalogColumn>& known, const std::string& wanted, const Mapping& mapping,
                                         const std::string& table) {
  std::string names;
  for (const auto& column : known) {
    if (column.column.name == wanted) return &column;
    names += (names.empty() ? "" : ", ") + column.column.name;
  }
  auto error = fail(ErrorCode::kNotFound, phrase("column {}: table {} has no such column", wanted, table), phrase("columns: {}", names));
  return std::unexpected(std::move(error.error()).in(mapping.name));
}

Status choose_columns(const std::vector<CatalogColumn>& known, const Mapping& mapping, Target& target) {
  for (const auto& wanted : mapping.columns) {
    const auto searched = find_column(known, wanted.field, mapping, target.shown);
    if (!searched) return std::unexpected(searched.error());
    const auto* found = *searched;
    if (found->written_by_database) {
      auto error = fail(ErrorCode::kBadConfig, phrase("column {}: the database fills it by itself", wanted.field));
      return std::unexpected(std::move(error.error()).in(mapping.name));
    }
    target.columns.push_back(found->column);
    target.matched.push_back(std::find(mapping.match.begin(), mapping.match.end(), wanted.field) != mapping.match.end());
  }
  return {};
}

Status add_lookup(Connection& connection, const Mapping& mapping, const Lookup& lookup, TargetColumn& column) {
  auto table = find_table(connection, mapping, lookup.table);
  if (!table) return pass(table);
  auto known = read_columns(connection, table->oid);
  if (!known) return pass(known);
  const auto shown = fmt::format("{}.{}", table->schema, table->name);
  const auto by = find_column(*known, lookup.by, mapping, shown);
  if (!by) return std::unexpected(by.error());
  if (auto taken = find_column(*known, lookup.take, mapping, shown); !taken) return std::unexpected(taken.error());
  auto condition = fmt::format("l.{} = u.v::{}", Connection::quote_identifier(lookup.by), (*by)->column.type);
  for (const auto& [name, value] : lookup.where) {
    const auto further = find_column(*known, name, mapping, shown);
    if (!further) return std::unexpected(further.error());
    condition += fmt::format(" AND l.{} = {}::{}", Connection::quote_identifier(name), Connection::quote_literal(value), (*further)->column.type);
  }
  column.looked_up_in = shown;
  column.lookup_sql = fmt::format(
      "SELECT u.ord, (SELECT count(*) FROM (SELECT DISTINCT l.{0} FROM {1}.{2} AS l WHERE {3} LIMIT 2) AS keys), "
      "(SELECT l.{0}::text FROM {1}.{2} AS l WHERE {3} LIMIT 1) FROM unnest($1::text[]) WITH ORDINALITY AS u(v, ord) ORDER BY u.ord",
      Connection::quote_identifier(lookup.take), Connection::quote_identifier(table->schema), Connection::quote_identifier(table->name), condition);
  if (auto probed = connection.query(column.lookup_sql, {"{}"}); !probed) return std::unexpected(std::move(probed.error()).in(mapping.name));
  return {};
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) { return fmt::format("{}", fmt::join(parts, separator)); }

void write_statements(Target& target) {
  std::vector<std::string> arrays, names, quoted, typed, match, keys, there, given, assignments;
  for (std::size_t at = 0; at < target.columns.size(); ++at) {
    const auto& column = target.columns[at];
    const auto name = Connection::quote_identifier(column.name);
    arrays.push_back(fmt::format("${}::text[]", at + 1));
    names.push_back(fmt::format("c{}", at));
    quoted.push_back(name);
    typed.push_back(fmt::format("u.c{}::{}", at, column.type));
    if (target.matched[at]) {
      keys.push_back(typed.back());
      match.push_back(fmt::format("t.{} = u.c{}::{}", name, at, column.type));
      continue;
    }
    assignments.push_back(fmt::format("{} = {}", name, typed.back()));
    const std::string_view text = column.by_text ? "::text" : "";
    there.push_back(fmt::format("t.{}{}", name, text));
    given.push_back(fmt::format("u.c{}::{}{}", at, column.compared_as, text));
  }
  const auto source = fmt::format("unnest({}) WITH ORDINALITY AS u({}, ord)", joined(arrays, ", "), joined(names, ", "));
  target.insert_sql = fmt::format("INSERT INTO {} ({}) SELECT {} FROM {} ORDER BY u.ord", target.quoted, joined(quoted, ", "), joined(typed, ", "), source);
  if (match.empty()) return;
  target.find_sql = fmt::format(
      "SELECT u.ord, row_number() OVER (PARTITION BY {} ORDER BY u.ord) > 1, "
      "(SELECT count(*) FROM (SELECT FROM {} AS t WHERE {} LIMIT 2) AS hits) FROM {} ORDER BY u.ord",
      joined(keys, ", "), target.quoted, joined(match, " AND "), source);
  if (assignments.empty()) return;
  target.update_sql = fmt::format("UPDATE {} AS t SET {} FROM {} WHERE {} AND ({}) IS DISTINCT FROM ({}) RETURNING u.ord", target.quoted,
                                  joined(assignments, ", "), source, joined(match, " AND "), fmt::format("ROW({})", joined(there, ", ")),
                                  fmt::format("ROW({})", joined(given, ", ")));
}

/// No rows: PostgreSQL says whether it understands the statements.
Status probe(Connection& connection, const Mapping& mapping, const Target& target) {
  if (auto zone = connection.query("SELECT now() AT TIME ZONE $1", {mapping.time_zone}); !zone) {
    return std::unexpected(std::move(zone.error()).in(mapping.name));
  }
  const std::vector<postgres::Parameter> none(target.columns.size(), "{}");
  for (const auto* sql : {&target.find_sql, &target.insert_sql, &target.update_sql}) {
    if (sql->empty()) continue;
    auto tried = connection.query(*sql, none);
    if (!tried) return std::unexpected(std::move(tried.error()).in(mapping.name));
  }
  return {};
}

}  // namespace

Result<Target> find_target(Connection& connection, const Mapping& mapping) {
  auto table = find_table(connection, mapping, mapping.table);
  if (!table) return pass(table);
  auto known = read_columns(connection, table->oid);
  if (!known) return pass(known);
  Target target;
  target.shown = fmt::format("{}.{}", table->schema, table->name);
  target.quoted = fmt::format("{}.{}", Connection::quote_identifier(table->schema), Connection::quote_identifier(table->name));
  if (auto chosen = choose_columns(*known, mapping, target); !chosen) return pass(chosen);
  for (std::size_t at = 0; at < target.columns.size(); ++at) {
    if (!mapping.columns[at].lookup) continue;
    if (auto added = add_lookup(connection, mapping, *mapping.columns[at].lookup, target.columns[at]); !added) return pass(added);
  }
  write_statements(target);
  if (auto probed = probe(connection, mapping, target); !probed) return pass(probed);
  return target;
}

}  // namespace verbund::importer::csv
