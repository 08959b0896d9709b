// What the triggers have noted, as rows that go up.
#include <fmt/format.h>

#include "sync/device/tables.h"

namespace verbund::sync::device {
namespace {

using sqlite::Database;
using sqlite::quote_name;

/// Of the statement in `read_changes`; nothing: it has come to nothing. A change that has come to nothing but for which the server's row was passed over is an update
/// without changed columns: the answer is the row as it is.
std::optional<UpRow> read_change(const sqlite::Statement& statement, const TableLayout& layout) {
  constexpr int kFirst = 3;
  const auto columns = static_cast<int>(layout.columns.size());
  const char op = statement.text(0).front();
  UpRow row;
  row.base = Csn{static_cast<std::uint64_t>(statement.integer(1))};
  if (op == 'N') {
    row.op = UpRow::Op::kUpdate;
    row.before.resize(layout.columns.size());
    for (std::size_t at = 0; at < layout.key.size(); ++at) row.before[layout.key[at]] = column_value(statement, kFirst + 2 * columns + static_cast<int>(at));
    row.values = row.before;
    row.changed.assign(layout.columns.size(), false);
    return row;
  }
  row.op = static_cast<UpRow::Op>(op);
  bool changed = row.op != UpRow::Op::kUpdate;
  for (int at = 0; at < columns; ++at) {
    if (row.op != UpRow::Op::kInsert) row.before.push_back(column_value(statement, kFirst + at));
    if (row.op != UpRow::Op::kDelete) row.values.push_back(column_value(statement, kFirst + columns + at));
    if (row.op == UpRow::Op::kUpdate) row.changed.push_back(row.before.back() != row.values.back());
    changed = changed || (row.op == UpRow::Op::kUpdate && row.changed.back());
  }
  if (!changed && statement.integer(2) == 0) return std::nullopt;
  return row;
}

}  // namespace

std::string change_keys(const TableLayout& layout, std::string_view prefix) {
  std::string list;
  for (std::size_t at = 0; at < layout.key.size(); ++at) list += fmt::format("{}{}k{}", at == 0 ? "" : ", ", prefix, at);
  return list;
}

std::string was_columns(const TableLayout& layout, std::string_view prefix) {
  std::string list;
  for (std::size_t at = 0; at < layout.columns.size(); ++at) list += fmt::format(", {}w{}", prefix, at);
  return list;
}

Status read_changes(Database& database, const TableLayout& layout, const std::function<Status(const UpRow&)>& take) {
  std::string join, there;
  for (std::size_t at = 0; at < layout.key.size(); ++at) join += fmt::format("{}t.{} = c.k{}", at == 0 ? "" : " AND ", quote_name(layout.columns[layout.key[at]].name), at);
  // A row that is gone without a word was replaced through a unique index of the application's own.
  const auto gone = fmt::format("t.{} IS NULL", quote_name(layout.columns[layout.key.front()].name));
  const auto op = fmt::format("CASE WHEN c.op = 'U' AND {0} THEN 'D' WHEN c.op = 'I' AND {0} THEN 'N' ELSE c.op END", gone);
  // Deletions first: what they leave free may be taken by what is new.
  auto statement = database.prepare(fmt::format("SELECT {} AS verbund_op, c.base, c.missed{}, {}, {} FROM {} c LEFT JOIN {} t ON {} ORDER BY verbund_op <> 'D', {}", op, was_columns(layout, "c."),
                                                column_list(layout, "t."), change_keys(layout, "c."), change_table(layout), quote_name(layout.table), join, change_keys(layout, "c.")));
  if (!statement) return pass(statement);
  for (;;) {
    auto more = statement->step();
    if (!more) return pass(more);
    if (!*more) return {};
    auto row = read_change(*statement, layout);
    if (!row) continue;
    if (auto taken = take(*row); !taken) return taken;
  }
}

Status forget_changes(Database& database, const TableLayout& layout) { return database.execute("DELETE FROM " + change_table(layout)); }

Result<std::uint64_t> count_changes(Database& database, const TableLayout& layout) {
  auto count = database.value("SELECT count(*) FROM " + change_table(layout));
  if (!count) return pass(count);
  return std::stoull(*count);
}

}  // namespace verbund::sync::device
