// One whole record: the root row and the rows of its children, in one snapshot.
#include <fmt/format.h>

#include "base/messages.h"
#include "records/catalog.h"
#include "records/key_text.h"
#include "records/statements.h"

namespace verbund::records {
namespace {

using postgres::Connection;
using postgres::Parameter;
using postgres::Rows;

std::unexpected<Error> no_such(const RecordKey& key) {
  return fail(ErrorCode::kNotFound, phrase("read a record: there is no {}", to_string(key)));
}

std::string shown_name(const std::string& schema, const std::string& table) {
  return schema == "public" ? table : schema + '.' + table;
}

/// `alias`.key = $1, …, each parameter cast to the column's type.
std::string key_condition(const RecordType& type, std::string_view alias) {
  std::string sql;
  for (std::size_t i = 0; i < type.key.size(); ++i) {
    sql += fmt::format("{}{}.{} = ${}::{}", i > 0 ? " AND " : "", alias, Connection::quote_identifier(type.key[i]), i + 1,
                       type.key_types[i]);
  }
  return sql;
}

/// Rows of the child (t0) whose path of foreign keys ends at the root row; one more than kMaxChildRows.
std::string child_statement(const RecordType& type, const ChildTable& child) {
  std::string joins;
  for (std::size_t i = 0; i < child.path.size(); ++i) {
    const ForeignKey& step = child.path[i];
    std::string on;
    for (std::size_t column = 0; column < step.columns.size(); ++column) {
      on += fmt::format("{}t{}.{} = t{}.{}", column > 0 ? " AND " : "", i + 1,
                        Connection::quote_identifier(step.parent_columns[column]), i,
                        Connection::quote_identifier(step.columns[column]));
    }
    joins += fmt::format(" JOIN {} AS t{} ON {}", quoted(TableName{step.parent_schema, step.parent_table}), i + 1, on);
  }
  std::string order;
  for (const auto& column : child.key) {
    order += fmt::format("{} t0.{}", order.empty() ? " ORDER BY" : ",", Connection::quote_identifier(column));
  }
  return fmt::format("SELECT t0.* FROM {} AS t0{} WHERE {}{} LIMIT {}", quoted(TableName{child.schema, child.table}), joins,
                     key_condition(type, fmt::format("t{}", child.path.size())), order, kMaxChildRows + 1);
}

/// Columns from `first` on.
RecordTable table_from(std::string name, const Rows& rows, int first) {
  RecordTable table{std::move(name), {}, {}, false};
  for (int column = first; column < rows.columns(); ++column) table.columns.emplace_back(rows.column_name(column));
  const int shown = std::min(rows.size(), static_cast<int>(kMaxChildRows));
  table.more = rows.size() > shown;
  for (int row = 0; row < shown; ++row) {
    auto& values = table.rows.emplace_back();
    for (int column = first; column < rows.columns(); ++column) {
      if (rows.null(row, column)) {
        values.emplace_back();
      } else {
        values.emplace_back(std::string(rows.text(row, column)));
      }
    }
  }
  return table;
}

}  // namespace

Result<WholeRecord> read(Connection& source, const RecordType& type, const RecordKey& key) {
  auto parts = split_key(key.id);
  if (!parts || parts->size() != type.key.size() || key.id.find('\0') != std::string::npos) return no_such(key);
  const std::vector<Parameter> parameters(parts->begin(), parts->end());
  auto transaction = begin_reading(source);
  if (!transaction) return pass(transaction);
  auto root = source.query(fmt::format("SELECT coalesce(({}\n)::text, ''), {}, r.* FROM {} AS r WHERE {}", type.label_sql,
                                       key_expression(type), table_of(type), key_condition(type, "r")),
                           parameters);
  if (!root && unreadable_value(source)) return no_such(key);
  if (!root) return pass(root, "read a record");
  if (root->size() == 0) return no_such(key);
  WholeRecord record{{type.type, std::string(root->text(0, 1))}, std::string(root->text(0, 0)), {}};
  record.tables.push_back(table_from(shown_name(type.schema, type.table), *root, 2));
  for (const auto& child : type.children) {
    auto rows = source.query(child_statement(type, child), parameters);
    if (!rows) return pass(rows, phrase("read a record: {}", shown_name(child.schema, child.table)));
    record.tables.push_back(table_from(shown_name(child.schema, child.table), *rows, 0));
  }
  if (auto done = transaction->commit(); !done) return pass(done);
  return record;
}

}  // namespace verbund::records
