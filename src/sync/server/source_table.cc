#include "sync/server/source_table.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/messages.h"
#include "feed/layout.h"
#include "feed/tables.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

std::string quote(std::string_view name) { return Connection::quote_identifier(name); }

constexpr std::string_view kTable = R"sql(
  SELECT id, shadow, layout, coalesce(paused, '') FROM feed.source_table WHERE schema_name = $1 AND table_name = $2)sql";

constexpr std::string_view kColumns = R"sql(
  SELECT a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute a
   WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped)sql";

constexpr std::string_view kForeignKeys = R"sql(
  SELECT (SELECT array_agg(a.attname ORDER BY k.n)::text FROM unnest(c.conkey) WITH ORDINALITY k(number, n) JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number),
         n.nspname, p.relname,
         (SELECT array_agg(a.attname ORDER BY k.n)::text FROM unnest(c.confkey) WITH ORDINALITY k(number, n) JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number),
         c.confdeltype
    FROM pg_constraint c JOIN pg_class p ON p.oid = c.confrelid JOIN pg_namespace n ON n.oid = p.relnamespace
   WHERE c.conrelid = to_regclass($1) AND c.contype = 'f' ORDER BY c.conname)sql";

std::string_view action_of(std::string_view letter) {
  if (letter == "c") return "CASCADE";
  if (letter == "n") return "SET NULL";
  if (letter == "d") return "SET DEFAULT";
  if (letter == "r") return "RESTRICT";
  return "NO ACTION";
}

Result<std::vector<std::string>> names_of(std::string_view array) {
  auto read = feed::read_array(array);
  if (!read) return pass(read);
  std::vector<std::string> names;
  for (auto& name : *read) names.push_back(std::move(name).value_or(""));
  return names;
}

Status load_columns(Connection& source, SourceTable& table, const std::string& relation) {
  auto rows = source.query(kColumns, {relation});
  if (!rows) return pass(rows, phrase("columns of {}", relation));
  for (int row = 0; row < rows->size(); ++row) {
    const auto number = std::stoi(std::string(rows->text(row, 0)));
    const auto found = std::ranges::find(table.columns, number, &SourceTable::Column::number);
    if (found == table.columns.end()) continue;
    found->type_name = std::string(rows->text(row, 1));
    found->not_null = rows->text(row, 2) == "t";
  }
  return {};
}

Status load_foreign_keys(Connection& source, SourceTable& table, const std::string& relation) {
  auto rows = source.query(kForeignKeys, {relation});
  if (!rows) return pass(rows, phrase("references of {}", relation));
  for (int row = 0; row < rows->size(); ++row) {
    auto columns = names_of(rows->text(row, 0));
    auto parents = names_of(rows->text(row, 3));
    if (!columns || !parents) return fail(ErrorCode::kInternal, fmt::format("references of {}: not readable", relation));
    table.foreign_keys.push_back({std::move(*columns), std::string(rows->text(row, 1)), std::string(rows->text(row, 2)), std::move(*parents), std::string(action_of(rows->text(row, 4)))});
  }
  return {};
}

}  // namespace

std::vector<std::string> split_key(std::string_view key) {
  std::vector<std::string> parts(1);
  for (std::size_t at = 0; at < key.size(); ++at) {
    if (key[at] == '\\' && at + 1 < key.size()) {
      parts.back().push_back(key[++at]);
    } else if (key[at] == ',') {
      parts.emplace_back();
    } else {
      parts.back().push_back(key[at]);
    }
  }
  return parts;
}

Result<SourceTable> load_table(Connection& mid_tier, Connection& source, const std::string& schema, const std::string& name) {
  auto rows = mid_tier.query(kTable, {schema, name});
  if (!rows) return pass(rows, phrase("table {}", name));
  if (rows->size() != 1) return fail(ErrorCode::kNotFound, phrase("table {} is not captured by the feed", name), phrase("`verbund feed tables` says why."));
  SourceTable table;
  table.id = std::stoi(std::string(rows->text(0, 0)));
  table.schema = schema;
  table.name = name;
  table.shadow = std::string(rows->text(0, 1));
  table.paused = std::string(rows->text(0, 3));
  const auto layout = feed::parse_layout(rows->text(0, 2));
  if (!layout) return fail(ErrorCode::kInternal, fmt::format("table {}: its layout can't be read", name));
  for (const auto& column : layout->columns) table.columns.push_back({column.name, column.number, column.type, {}, false});
  for (const int number : layout->key) {
    const auto found = std::ranges::find(table.columns, number, &SourceTable::Column::number);
    if (found != table.columns.end()) table.key.push_back(static_cast<std::size_t>(found - table.columns.begin()));
  }
  const auto relation = quote(schema) + "." + quote(name);
  if (auto loaded = load_columns(source, table, relation); !loaded) return pass(loaded);
  if (auto loaded = load_foreign_keys(source, table, relation); !loaded) return pass(loaded);
  return table;
}

}  // namespace verbund::sync::server
