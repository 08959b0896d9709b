#include "sync/server/selection.h"

#include <algorithm>

#include <fmt/format.h>

namespace verbund::sync::server {
namespace {

using postgres::Connection;

std::string quote(std::string_view name) { return Connection::quote_identifier(name); }

/// Types whose order is not that of their texts.
std::string_view ordered_type(std::uint32_t oid) {
  switch (oid) {
    case 20: return "bigint";
    case 21: return "smallint";
    case 23: return "integer";
    case 700: return "real";
    case 701: return "double precision";
    case 1700: return "numeric";
    case 1082: return "date";
    case 1083: return "time";
    case 1114: return "timestamp";
    case 1184: return "timestamptz";
    case 1186: return "interval";
    case 2950: return "uuid";
    default: return {};
  }
}

std::string_view sql_of(Comparison::Op op) {
  switch (op) {
    case Comparison::Op::kEqual: return "=";
    case Comparison::Op::kNotEqual: return "<>";
    case Comparison::Op::kLess: return "<";
    case Comparison::Op::kLessOrEqual: return "<=";
    case Comparison::Op::kGreater: return ">";
    case Comparison::Op::kGreaterOrEqual: return ">=";
    case Comparison::Op::kIsNull: return "IS NULL";
    case Comparison::Op::kIsNotNull: return "IS NOT NULL";
    case Comparison::Op::kIn: break;  // a table of its own
  }
  return "=";
}

bool without_operand(const Comparison& comparison) { return comparison.op == Comparison::Op::kIsNull || comparison.op == Comparison::Op::kIsNotNull; }

std::string constant_sql(const SourceTable& table, const Comparison& comparison, std::string_view alias) {
  const auto column = fmt::format("{}.{}", alias, quote(comparison.column));
  if (without_operand(comparison)) return fmt::format("{} {}", column, sql_of(comparison.op));
  const auto* found = find_column(table, comparison.column);
  const auto type = found == nullptr ? std::string_view{} : ordered_type(found->type);
  const auto value = Connection::quote_literal(comparison.operand);
  if (type.empty()) return fmt::format("{} {} {}", column, sql_of(comparison.op), value);
  return fmt::format("({})::{} {} {}::{}", column, type, sql_of(comparison.op), value, type);
}

}  // namespace

const SourceTable::Column* find_column(const SourceTable& table, std::string_view name) {
  const auto found = std::ranges::find(table.columns, name, &SourceTable::Column::name);
  return found == table.columns.end() ? nullptr : &*found;
}

std::string Selection::shadow(std::size_t source) const { return "feed." + quote(sources[source].table.shadow); }

std::vector<std::string> Selection::own_bucket(std::size_t source) const {
  std::vector<std::string> columns;
  for (const auto& one : bucket_columns) {
    if (one.source == source) columns.push_back(one.column);
  }
  return columns;
}

std::vector<std::string> Selection::outer_columns(std::size_t source) const {
  std::vector<std::string> columns;
  for (std::size_t at = 1; at < sources.size(); ++at) {
    if (sources[at].of == source) columns.push_back(sources[at].outer);
  }
  return columns;
}

std::vector<std::string> Selection::deciding_columns(std::size_t source) const {
  std::vector<std::string> columns = outer_columns(source);
  if (source > 0) columns.push_back(sources[source].inner);
  for (const auto& comparison : sources[source].filter) columns.push_back(comparison.column);
  std::ranges::sort(columns);
  const auto twice = std::ranges::unique(columns);
  columns.erase(twice.begin(), twice.end());
  return columns;
}

std::string Selection::constants(std::size_t source, std::string_view alias) const {
  std::string sql = "true";
  for (const auto& comparison : sources[source].filter) {
    if (comparison.with == Comparison::With::kConstant) sql += " AND " + constant_sql(sources[source].table, comparison, alias);
  }
  return sql;
}

std::string Selection::within(std::size_t source, std::string_view alias, const std::vector<std::string>& bucket, const From& from) const {
  auto sql = constants(source, alias);
  for (std::size_t at = 0; at < bucket_columns.size(); ++at) {
    if (bucket_columns[at].source == source) sql += fmt::format(" AND {}.{} = {}", alias, quote(bucket_columns[at].column), Connection::quote_literal(bucket[at]));
  }
  for (std::size_t at = 1; at < sources.size(); ++at) {
    if (sources[at].of != source) continue;
    const auto inner = fmt::format("m{}", at);
    sql += fmt::format(" AND {}.{} IN (SELECT {}.{} FROM {} {} WHERE {})", alias, quote(sources[at].outer), inner, quote(sources[at].inner), from(at), inner, within(at, inner, bucket, from));
  }
  return sql;
}

std::string Selection::condition(std::string_view alias, const std::vector<std::string>& bucket, const From& from) const { return within(0, alias, bucket, from); }

std::string Selection::joined(std::size_t source, std::string_view relation) const {
  const auto rows_of = [&](std::size_t at) { return at == source && !relation.empty() ? std::string(relation) : shadow(at); };
  auto sql = fmt::format("FROM {} t0", rows_of(0));
  for (std::size_t at = 1; at < sources.size(); ++at) {
    sql += fmt::format(" JOIN {} t{} ON t{}.{} = t{}.{}", rows_of(at), at, at, quote(sources[at].inner), sources[at].of, quote(sources[at].outer));
  }
  sql += " WHERE true";
  for (std::size_t at = 0; at < sources.size(); ++at) {
    if (const auto its = constants(at, fmt::format("t{}", at)); its != "true") sql += " AND " + its;
  }
  return sql;
}

std::string Selection::reached(std::size_t source, std::string_view relation, std::string_view more) const {
  std::string bucket, known;
  for (const auto& one : bucket_columns) {
    const auto column = fmt::format("t{}.{}", one.source, quote(one.column));
    bucket += (bucket.empty() ? "" : ", ") + column;
    known += fmt::format(" AND {} IS NOT NULL", column);
  }
  return fmt::format("SELECT DISTINCT ARRAY[{}]::text[] AS bucket, t0.verbund_key AS key {}{}{}{}", bucket, joined(source, relation), known, more.empty() ? "" : " AND ", more);
}

std::string Selection::reaches(std::string_view bucket, std::string_view key, std::string_view more) const {
  auto sql = fmt::format("SELECT {} AND t0.verbund_key = {}", joined(0, {}), key);
  for (std::size_t at = 0; at < bucket_columns.size(); ++at) {
    sql += fmt::format(" AND t{}.{} = ({})[{}]", bucket_columns[at].source, quote(bucket_columns[at].column), bucket, at + 1);
  }
  return sql + (more.empty() ? "" : " AND ") + std::string(more);
}

}  // namespace verbund::sync::server
