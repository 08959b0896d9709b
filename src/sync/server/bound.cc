#include "sync/server/bound.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "base/messages.h"
#include "feed/layout.h"
#include "feed/tables.h"
#include "platform/os/random.h"

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
  }
  return "=";
}

const SourceTable::Column* find_column(const SourceTable& table, std::string_view name) {
  const auto found = std::ranges::find(table.columns, name, &SourceTable::Column::name);
  return found == table.columns.end() ? nullptr : &*found;
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

/// Columns of the rule, or all; the key is always among them.
Status choose_columns(Bound& bound) {
  const auto& table = bound.table;
  for (std::size_t at = 0; at < table.columns.size(); ++at) {
    const auto& column = table.columns[at];
    const bool wanted = bound.rule.columns.empty() || std::ranges::find(bound.rule.columns, column.name) != bound.rule.columns.end();
    if (!wanted) continue;
    bound.places.push_back(at);
    bound.kinds.push_back(kind_of(column.type));
    bound.layout.columns.push_back({column.name, column.type_name, bound.kinds.back(), column.not_null});
  }
  for (const auto place : table.key) {
    const auto found = std::ranges::find(bound.places, place);
    if (found == bound.places.end()) {
      return fail(ErrorCode::kBadConfig, phrase("subscription {}: its columns lack {}, which is part of the primary key", bound.rule.name, table.columns[place].name));
    }
    bound.layout.key.push_back(static_cast<std::uint32_t>(found - bound.places.begin()));
  }
  for (const auto& name : bound.rule.columns) {
    if (find_column(table, name) == nullptr) return fail(ErrorCode::kBadConfig, phrase("subscription {}: {} has no column {} any more", bound.rule.name, table.name, name));
  }
  return {};
}

Status choose_bucket(Bound& bound, const Rules& rules, const DeviceIdentity& device) {
  const auto* user = rules.user(device.user);
  if (user == nullptr) return fail(ErrorCode::kForbidden, phrase("subscription {}: there is no user {}", bound.rule.name, device.user));
  for (const auto& comparison : bound.rule.filter) {
    if (find_column(bound.table, comparison.column) == nullptr) {
      return fail(ErrorCode::kBadConfig, phrase("subscription {}: {} has no column {} any more", bound.rule.name, bound.table.name, comparison.column));
    }
    if (comparison.with == Comparison::With::kConstant) continue;
    bound.bucket_columns.push_back(comparison.column);
    if (comparison.with == Comparison::With::kUser) {
      bound.bucket.push_back(device.user);
      continue;
    }
    auto value = rules.parameter(*user, comparison.operand);
    if (!value) return fail(ErrorCode::kForbidden, phrase("subscription {}: nobody has said what {} is for {}", bound.rule.name, ":" + comparison.operand, device.user));
    bound.bucket.push_back(std::move(*value));
  }
  return {};
}

/// A session's rows are of another shape when any of this is another.
std::string shape_of(const Bound& bound, const DeviceIdentity& device) {
  std::string all = fmt::format("{}\n{}\n{}\n", bound.rule.name, bound.version, device.generation);
  for (const auto& column : bound.layout.columns) all += fmt::format("{}:{}:{}\n", column.name, column.type, column.not_null);
  for (const auto& reference : bound.layout.references) all += fmt::format("{} {}\n", reference.table, fmt::join(reference.columns, ","));
  for (const auto& value : bound.bucket) all += fmt::format("{}:{}\n", value.size(), value);
  constexpr std::size_t kDigits = 32;
  return os::blake2b_hex(all).substr(0, kDigits);
}

/// The parent's rows are all on the device, so the reference holds there, too.
bool whole(const Bound& bound) { return bound.rule.filter.empty() && bound.down(); }

void add_references(Bound& bound, const std::vector<Bound>& all) {
  for (const auto& key : bound.table.foreign_keys) {
    for (const auto& parent : all) {
      if (parent.table.schema != key.schema || parent.table.name != key.table || !whole(parent)) continue;
      std::set<std::string> own(key.parent_columns.begin(), key.parent_columns.end()), primary;
      for (const auto place : parent.table.key) primary.insert(parent.table.columns[place].name);
      const bool carried = std::ranges::all_of(key.columns, [&](const std::string& name) { return std::ranges::find(bound.layout.columns, name, &LayoutColumn::name) != bound.layout.columns.end(); });
      if (own == primary && carried) bound.layout.references.push_back({key.columns, parent.layout.table, key.parent_columns, key.on_delete});
    }
  }
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

std::string array_parameter(const std::vector<std::string>& values) {
  feed::TextArray array;
  for (const auto& value : values) array.add(value);
  return array.take();
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

std::string Bound::shadow() const { return "feed." + quote(table.shadow); }

std::string Bound::constants(std::string_view alias) const {
  std::string sql = "true";
  for (const auto& comparison : rule.filter) {
    if (comparison.with == Comparison::With::kConstant) sql += " AND " + constant_sql(table, comparison, alias);
  }
  return sql;
}

std::string Bound::condition(std::string_view alias) const {
  std::string sql = constants(alias);
  for (std::size_t at = 0; at < bucket.size(); ++at) sql += fmt::format(" AND {}.{} = {}", alias, quote(bucket_columns[at]), Connection::quote_literal(bucket[at]));
  return sql;
}

Result<std::string> Bound::key_of(const std::vector<Value>& values) const {
  std::vector<std::string> parts;
  for (const auto place : layout.key) {
    auto text = text_of(kinds[place], values[place]);
    if (!text) return pass(text);
    if (!*text) return fail(ErrorCode::kBadMessage, phrase("read a row of a device: its key is NULL"));
    parts.push_back(std::move(**text));
  }
  const std::vector<std::string_view> views(parts.begin(), parts.end());
  return feed::join_key(views);
}

Result<std::vector<Value>> Bound::key_values(std::string_view key) const {
  const auto parts = layout.key.size() == 1 ? std::vector{std::string(key)} : split_key(key);
  if (parts.size() != layout.key.size()) return fail(ErrorCode::kInternal, fmt::format("key of {}: {} parts", table.name, parts.size()));
  std::vector<Value> values;
  for (std::size_t at = 0; at < parts.size(); ++at) {
    auto value = value_of(kinds[layout.key[at]], parts[at]);
    if (!value) return pass(value);
    values.push_back(std::move(*value));
  }
  return values;
}

Result<Bound> bind(const Subscription& rule, std::uint64_t version, SourceTable table, const Rules& rules, const DeviceIdentity& device) {
  Bound bound;
  bound.rule = rule;
  bound.version = version;
  bound.table = std::move(table);
  bound.layout.table = bound.table.name;
  if (auto chosen = choose_columns(bound); !chosen) return pass(chosen);
  if (auto chosen = choose_bucket(bound, rules, device); !chosen) return pass(chosen);
  return bound;
}

void relate(std::vector<Bound>& all, const DeviceIdentity& device) {
  for (auto& bound : all) add_references(bound, all);
  for (auto& bound : all) bound.shape = shape_of(bound, device);
  // Parents first; what refers to each other stays in its order.
  std::vector<Bound> ordered;
  std::set<std::pair<std::string, std::string>> waiting;
  for (const auto& bound : all) waiting.emplace(bound.table.schema, bound.table.name);
  while (!all.empty()) {
    auto next = std::ranges::find_if(all, [&](const Bound& bound) {
      return std::ranges::none_of(bound.table.foreign_keys, [&](const SourceTable::ForeignKey& key) {
        return (key.schema != bound.table.schema || key.table != bound.table.name) && waiting.contains({key.schema, key.table});
      });
    });
    if (next == all.end()) next = all.begin();
    waiting.erase({next->table.schema, next->table.name});
    ordered.push_back(std::move(*next));
    all.erase(next);
  }
  all = std::move(ordered);
}

}  // namespace verbund::sync::server
