#include "node/adapters/row_records.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "base/messages.h"
#include "records/key_text.h"

namespace verbund::node {
namespace {

using postgres::Connection;

std::string quoted(const std::string& schema, const std::string& table) {
  return Connection::quote_identifier(schema) + "." + Connection::quote_identifier(table);
}

std::string joined_on(std::string_view left, const std::vector<std::string>& left_columns, std::string_view right, const std::vector<std::string>& right_columns) {
  std::string sql;
  for (std::size_t at = 0; at < left_columns.size(); ++at) {
    sql += fmt::format("{}{}.{} = {}.{}", at == 0 ? "" : " AND ", left, Connection::quote_identifier(left_columns[at]), right, Connection::quote_identifier(right_columns[at]));
  }
  return sql;
}

/// The root's key of the row that the first foreign key's values ($1, …) lead to.
std::string key_over(const records::RecordType& type, std::span<const records::ForeignKey> path) {
  std::string joins = quoted(path.front().parent_schema, path.front().parent_table) + " t0";
  for (std::size_t at = 1; at < path.size(); ++at) {
    const auto before = fmt::format("t{}", at - 1), here = fmt::format("t{}", at);
    joins += fmt::format(" JOIN {} {} ON {}", quoted(path[at].parent_schema, path[at].parent_table), here, joined_on(before, path[at].columns, here, path[at].parent_columns));
  }
  std::string key, where;
  for (const auto& column : type.key) key += fmt::format("{}t{}.{}::text", key.empty() ? "" : ", ", path.size() - 1, Connection::quote_identifier(column));
  const auto& first = path.front().parent_columns;
  for (std::size_t at = 0; at < first.size(); ++at) where += fmt::format("{}t0.{} = ${}", at == 0 ? "" : " AND ", Connection::quote_identifier(first[at]), at + 1);
  return fmt::format("SELECT {} FROM {} WHERE {}", key, joins, where);
}

}  // namespace

RowRecords::RowRecords(const records::RecordTypes& types) {
  for (const auto& type : types.all()) {
    ways_[{type.schema, type.table}].push_back({type.type, type.key, {}});
    for (const auto& child : type.children) {
      add(type, child.schema, child.table, child.path);
      // A table on the way is part of the record, too.
      for (std::size_t at = 1; at < child.path.size(); ++at) {
        add(type, child.path[at - 1].parent_schema, child.path[at - 1].parent_table, std::span(child.path).subspan(at));
      }
    }
  }
}

void RowRecords::add(const records::RecordType& type, const std::string& schema, const std::string& table, std::span<const records::ForeignKey> path) {
  Way way{type.type, path.front().columns, key_over(type, path)};
  if (path.size() == 1 && path.front().parent_columns == type.key) way.parent_key.clear();
  auto& ways = ways_[{schema, table}];
  const bool known = std::ranges::any_of(ways, [&](const Way& one) { return one.type == way.type && one.columns == way.columns && one.parent_key == way.parent_key; });
  if (!known) ways.push_back(std::move(way));
}

Result<std::vector<RecordKey>> RowRecords::of(Connection& source, const std::string& schema, const std::string& table, const Row& row) const {
  std::vector<RecordKey> keys;
  const auto found = ways_.find({schema, table});
  if (found == ways_.end()) return keys;
  for (const auto& way : found->second) {
    std::vector<std::string> parts;
    for (const auto& column : way.columns) {
      const auto value = row.find(column);
      if (value != row.end() && value->second) parts.push_back(*value->second);
    }
    if (parts.size() != way.columns.size()) continue;
    if (!way.parent_key.empty()) {
      auto rows = source.query(way.parent_key, std::vector<postgres::Parameter>(parts.begin(), parts.end()));
      if (!rows) return pass(rows, phrase("records of {}", table));
      if (rows->size() == 0) continue;
      parts.clear();
      for (int column = 0; column < rows->columns(); ++column) parts.emplace_back(rows->text(0, column));
    }
    RecordKey key{way.type, records::join_key(parts)};
    if (std::ranges::find(keys, key) == keys.end()) keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace verbund::node
