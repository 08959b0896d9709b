#include "sync/device/tables.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::sync::device {
namespace {

using sqlite::Database;
using sqlite::quote_text;
using sqlite::quote_name;

constexpr std::string_view kOwnTables = R"sql(
CREATE TABLE IF NOT EXISTS verbund_device (
  only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
  version INTEGER NOT NULL,
  id TEXT NOT NULL, secret TEXT NOT NULL, user_name TEXT NOT NULL, server TEXT NOT NULL, trust TEXT NOT NULL,
  history TEXT NOT NULL DEFAULT '',
  applying INTEGER NOT NULL DEFAULT 0,
  number INTEGER NOT NULL DEFAULT 0,
  request TEXT NOT NULL DEFAULT '',
  upload INTEGER NOT NULL DEFAULT 0,
  last_sync TEXT NOT NULL DEFAULT '',
  last_result TEXT NOT NULL DEFAULT '',
  next_in_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS verbund_subscription (
  name TEXT PRIMARY KEY, table_name TEXT NOT NULL UNIQUE, csn INTEGER NOT NULL, shape TEXT NOT NULL, layout TEXT NOT NULL, rights TEXT NOT NULL, last_error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS verbund_upload (
  number INTEGER PRIMARY KEY, hash TEXT NOT NULL, parts TEXT NOT NULL, rows INTEGER NOT NULL, sent INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS verbund_upload_block (
  number INTEGER NOT NULL, block INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (number, block)
) STRICT;
CREATE TABLE IF NOT EXISTS verbund_outcome (
  upload INTEGER NOT NULL, row INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (upload, row)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verbund_reject (
  id INTEGER PRIMARY KEY, upload INTEGER NOT NULL, row INTEGER NOT NULL, subscription TEXT NOT NULL, table_name TEXT NOT NULL, op TEXT NOT NULL, key TEXT NOT NULL, reason TEXT NOT NULL,
  text TEXT NOT NULL, mine TEXT, theirs TEXT, at TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open', UNIQUE (upload, row)
) STRICT;
)sql";

std::string keys(const TableLayout& layout, std::string_view prefix) {
  std::string list;
  for (std::size_t at = 0; at < layout.key.size(); ++at) list += fmt::format("{}{}{}", at == 0 ? "" : ", ", prefix, quote_name(layout.columns[layout.key[at]].name));
  return list;
}

/// The change table's row of the table's row ROW.
std::string same_key(const TableLayout& layout, std::string_view row) {
  std::string sql;
  for (std::size_t at = 0; at < layout.key.size(); ++at) sql += fmt::format("{}k{} = {}.{}", at == 0 ? "" : " AND ", at, row, quote_name(layout.columns[layout.key[at]].name));
  return sql;
}

std::string create_statement(const TableLayout& layout, std::string_view name) {
  std::string sql = fmt::format("CREATE TABLE {} (", quote_name(name));
  for (const auto& column : layout.columns) sql += fmt::format("{} {}{}, ", quote_name(column.name), sqlite_type(column.kind), column.not_null ? " NOT NULL" : "");
  sql += fmt::format("PRIMARY KEY ({})", keys(layout, ""));
  for (const auto& reference : layout.references) {
    std::string from, to;
    for (const auto& column : reference.columns) from += (from.empty() ? "" : ", ") + quote_name(column);
    for (const auto& column : reference.parent_columns) to += (to.empty() ? "" : ", ") + quote_name(column);
    sql += fmt::format(", FOREIGN KEY ({}) REFERENCES {} ({}){} DEFERRABLE INITIALLY DEFERRED", from, quote_name(reference.table), to, reference.on_delete.empty() ? "" : " ON DELETE " + reference.on_delete);
  }
  return sql + ") STRICT, WITHOUT ROWID;\n";
}

std::string create_changes(const TableLayout& layout, std::string_view name) {
  std::string sql = fmt::format("CREATE TABLE {} (op TEXT NOT NULL, base INTEGER NOT NULL, missed INTEGER NOT NULL DEFAULT 0", quote_name(name));
  for (std::size_t at = 0; at < layout.key.size(); ++at) sql += fmt::format(", k{} ANY NOT NULL", at);
  for (std::size_t at = 0; at < layout.columns.size(); ++at) sql += fmt::format(", w{} ANY", at);
  return sql + fmt::format(", PRIMARY KEY ({})) STRICT, WITHOUT ROWID;\n", change_keys(layout));
}

/// Statements of triggers. No ON CONFLICT: the statement that fires them has a say in what that means.
struct Notes {
  const TableLayout& layout;
  std::string changes = change_table(layout);
  std::string base = fmt::format("(SELECT csn FROM verbund_subscription WHERE table_name = {})", quote_text(layout.table));

  [[nodiscard]] std::string unknown(std::string_view row) const { return fmt::format("NOT EXISTS (SELECT 1 FROM {} WHERE {})", changes, same_key(layout, row)); }
  /// As `op`, with the row as it was.
  [[nodiscard]] std::string note(std::string_view op, std::string_view row, std::string_view from) const {
    return fmt::format("INSERT INTO {} (op, base, {}{}) SELECT '{}', {}, {}{} {} AND {};\n", changes, change_keys(layout), was_columns(layout), op, base, keys(layout, std::string(row) + "."),
                       [&] {
                         std::string list;
                         for (const auto& column : layout.columns) list += fmt::format(", {}.{}", row, quote_name(column.name));
                         return list;
                       }(),
                       from, unknown(row));
  }
  [[nodiscard]] std::string inserted() const {
    return fmt::format("UPDATE {0} SET op = CASE op WHEN 'D' THEN 'U' ELSE 'I' END WHERE {1} AND op IN ('D', 'N');\nINSERT INTO {0} (op, base, {2}) SELECT 'I', 0, {3} WHERE {4};\n", changes, same_key(layout, "NEW"), change_keys(layout),
                       keys(layout, "NEW."), unknown("NEW"));
  }
  /// What was new is as if it had never been, unless the server's row was passed over for it: that is asked for (N).
  [[nodiscard]] std::string deleted() const {
    return fmt::format("UPDATE {0} SET op = CASE WHEN op = 'I' AND missed = 0 THEN 'X' WHEN op IN ('I', 'N') THEN 'N' ELSE 'D' END WHERE {1};\n{2}DELETE FROM {0} WHERE {1} AND op = 'X';\n", changes, same_key(layout, "OLD"), note("D", "OLD", "WHERE true"));
  }
};

std::string trigger_name(const TableLayout& layout, std::string_view what) { return quote_name(fmt::format("verbund_{}_{}", what, layout.table)); }

constexpr std::array<std::string_view, 6> kTriggers{"before_insert", "insert", "update", "before_rekey", "rekey", "delete"};

const LayoutColumn* carried_column(const LayoutColumn& column, const TableLayout& before) {
  const auto was = std::ranges::find(before.columns, column.name, &LayoutColumn::name);
  return was == before.columns.end() || was->kind != column.kind ? nullptr : &*was;
}

/// What a row has in `column` until the server's comes: `source`, what it had; empty: nothing.
std::string carried(const LayoutColumn& column, const std::string& source) {
  const std::string_view empty = column.kind == Kind::kBytes ? "x''" : column.kind == Kind::kText ? "''" : "0";
  if (source.empty()) return std::string(column.not_null ? empty : "NULL");
  return column.not_null ? fmt::format("coalesce({}, {})", source, empty) : source;
}

/// Changes, with their columns under new places. A column that arrives is the same before and after: the application has said nothing about it.
std::string carry_changes(const TableLayout& layout, const TableLayout& before, std::string_view old_name) {
  std::string to = "op, base, missed", from = "op, base, missed";
  for (std::size_t at = 0; at < layout.key.size(); ++at) {
    to += fmt::format(", k{}", at);
    from += fmt::format(", k{}", at);
  }
  for (std::size_t at = 0; at < layout.columns.size(); ++at) {
    const auto* was = carried_column(layout.columns[at], before);
    to += fmt::format(", w{}", at);
    from += ", " + carried(layout.columns[at], was == nullptr ? std::string() : fmt::format("w{}", was - before.columns.data()));
  }
  return fmt::format("INSERT INTO {} ({}) SELECT {} FROM {};\n", change_table(layout), to, from, quote_name(old_name));
}

std::string carry_rows(const TableLayout& layout, const TableLayout& before, std::string_view old_name) {
  std::string from;
  for (const auto& column : layout.columns) {
    const auto* was = carried_column(column, before);
    from += (from.empty() ? "" : ", ") + carried(column, was == nullptr ? std::string() : quote_name(column.name));
  }
  return fmt::format("INSERT INTO {} ({}) SELECT {} FROM {};\n", quote_name(layout.table), column_list(layout, ""), from, quote_name(old_name));
}

}  // namespace

std::string change_table(const TableLayout& layout) { return quote_name("verbund_changes_" + layout.table); }

std::string change_key_condition(const TableLayout& layout) {
  std::string sql;
  for (std::size_t at = 0; at < layout.key.size(); ++at) sql += fmt::format("{}k{} = ?{}", at == 0 ? "" : " AND ", at, at + 1);
  return sql;
}

std::string key_condition(const TableLayout& layout) {
  std::string sql;
  for (std::size_t at = 0; at < layout.key.size(); ++at) sql += fmt::format("{}{} = ?{}", at == 0 ? "" : " AND ", quote_name(layout.columns[layout.key[at]].name), at + 1);
  return sql;
}

std::string column_list(const TableLayout& layout, std::string_view prefix) {
  std::string list;
  for (const auto& column : layout.columns) list += fmt::format("{}{}{}", list.empty() ? "" : ", ", prefix, quote_name(column.name));
  return list;
}

void bind_value(sqlite::Statement& statement, int at, const Value& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    statement.integer(at, *whole);
  } else if (const auto* number = std::get_if<double>(&value)) {
    statement.real(at, *number);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    statement.text(at, *text);
  } else if (const auto* blob = std::get_if<Blob>(&value)) {
    statement.blob(at, blob->bytes);
  } else {
    statement.null(at);
  }
}

Value column_value(const sqlite::Statement& statement, int column) {
  using Type = sqlite::Statement::Type;
  switch (statement.type(column)) {
    case Type::kInteger:
      return statement.integer(column);
    case Type::kReal:
      return statement.real(column);
    case Type::kText:
      return std::string(statement.text(column));
    case Type::kBlob:
      return Blob{std::string(statement.text(column))};
    case Type::kNull:
      break;
  }
  return {};
}

std::vector<Value> key_of(const TableLayout& layout, const std::vector<Value>& values) {
  std::vector<Value> key;
  for (const auto place : layout.key) key.push_back(values[place]);
  return key;
}

std::vector<std::uint32_t> fresh_columns(const TableLayout& layout, const TableLayout& before) {
  std::vector<std::uint32_t> fresh;
  for (std::uint32_t at = 0; at < layout.columns.size(); ++at) {
    if (carried_column(layout.columns[at], before) == nullptr) fresh.push_back(at);
  }
  return fresh;
}

bool same_key_columns(const TableLayout& left, const TableLayout& right) {
  return std::ranges::equal(left.key, right.key, [&](std::uint32_t a, std::uint32_t b) { return left.columns[a].name == right.columns[b].name && left.columns[a].kind == right.columns[b].kind; });
}

Status make_own_tables(Database& database) { return database.execute(kOwnTables); }

Status make_triggers(Database& database, const TableLayout& layout) {
  const Notes notes{layout};
  const auto table = quote_name(layout.table);
  std::string differs;
  for (const auto place : layout.key) differs += fmt::format("{0}OLD.{1} IS NOT NEW.{1}", differs.empty() ? "" : " OR ", quote_name(layout.columns[place].name));
  const auto trigger = [&](std::string_view what, std::string_view when, std::string_view condition, const std::string& body) {
    return fmt::format("CREATE TRIGGER {} {} ON {} WHEN (SELECT applying FROM verbund_device) = 0{} BEGIN\n{}END;\n", trigger_name(layout, what), when, table, condition, body);
  };
  std::string same;
  for (const auto place : layout.key) same += fmt::format("{0}t.{1} = NEW.{1}", same.empty() ? "" : " AND ", quote_name(layout.columns[place].name));
  // OR REPLACE deletes without telling: the row that goes is noted before.
  const auto replaced = notes.note("U", "t", fmt::format("FROM {} t WHERE {}", table, same));
  return database.execute(trigger("before_insert", "BEFORE INSERT", "", replaced) + trigger("insert", "AFTER INSERT", "", notes.inserted()) +
                          trigger("update", "AFTER UPDATE", fmt::format(" AND NOT ({})", differs), notes.note("U", "OLD", "WHERE true")) +
                          trigger("before_rekey", "BEFORE UPDATE", fmt::format(" AND ({})", differs), replaced) +
                          trigger("rekey", "AFTER UPDATE", fmt::format(" AND ({})", differs), notes.deleted() + notes.inserted()) +
                          trigger("delete", "AFTER DELETE", "", notes.deleted()));
}

Status drop_triggers(Database& database, const TableLayout& layout) {
  std::string sql;
  for (const auto what : kTriggers) sql += fmt::format("DROP TRIGGER IF EXISTS {};\n", trigger_name(layout, what));
  return database.execute(sql);
}

Status make_table(Database& database, const TableLayout& layout, const std::optional<TableLayout>& before) {
  if (before && *before == layout) return {};
  if (!before) {
    auto there = database.value(fmt::format("SELECT type FROM sqlite_schema WHERE name = {}", quote_text(layout.table)));
    if (!there) return pass(there);
    if (!there->empty()) return fail(ErrorCode::kAlreadyExists, phrase("table {} of the device: there is a {} of that name already", layout.table, *there));
    if (auto made = database.execute(create_statement(layout, layout.table) + create_changes(layout, "verbund_changes_" + layout.table)); !made) return made;
    return make_triggers(database, layout);
  }
  if (auto dropped = drop_triggers(database, *before); !dropped) return dropped;
  const std::string old_rows = "verbund_old_" + layout.table, old_changes = "verbund_old_changes_" + layout.table;
  std::string sql = fmt::format("PRAGMA legacy_alter_table = ON;\nALTER TABLE {} RENAME TO {};\nALTER TABLE {} RENAME TO {};\nPRAGMA legacy_alter_table = OFF;\n", quote_name(before->table), quote_name(old_rows),
                                change_table(*before), quote_name(old_changes));
  sql += create_statement(layout, layout.table) + create_changes(layout, "verbund_changes_" + layout.table);
  if (same_key_columns(layout, *before)) sql += carry_rows(layout, *before, old_rows) + carry_changes(layout, *before, old_changes);
  sql += fmt::format("DROP TABLE {};\nDROP TABLE {};\n", quote_name(old_rows), quote_name(old_changes));
  if (auto done = database.execute(sql); !done) return done;
  return make_triggers(database, layout);
}

Status drop_table(Database& database, const TableLayout& layout) {
  return database.execute(fmt::format("DROP TABLE IF EXISTS {};\nDROP TABLE IF EXISTS {};\n", quote_name(layout.table), change_table(layout)));
}

}  // namespace verbund::sync::device
