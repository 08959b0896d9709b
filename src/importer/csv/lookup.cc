#include "importer/csv/lookup.h"

#include "base/messages.h"

namespace verbund::importer::csv {

Result<std::vector<PendingRow>> RowLookup::resolve(std::vector<PendingRow> rows) {
  for (std::size_t column = 0; column < target_.columns.size(); ++column) {
    if (target_.columns[column].lookup_sql.empty()) continue;
    if (auto done = resolve_column(column, rows); !done) return pass(done);
  }
  return rows;
}

Status RowLookup::resolve_column(std::size_t column, std::vector<PendingRow>& rows) {
  std::vector<PendingRow> found;
  found.reserve(rows.size());
  if (auto asked = ask(column, rows, found); !asked) return asked;
  rows = std::move(found);
  return {};
}

Status RowLookup::ask(std::size_t column, std::span<PendingRow> rows, std::vector<PendingRow>& found) {
  if (rows.empty()) return {};
  if (auto marked = connection_.execute("SAVEPOINT lookup"); !marked) return marked;
  std::vector<postgres::Parameter> texts;
  for (const auto& row : rows) texts.push_back(row.values[column]);
  auto keys = connection_.query(target_.columns[column].lookup_sql, {array_of(texts)});
  if (!keys) {
    if (!is_fault_of_a_row(connection_, keys.error())) return pass(keys);
    if (auto back = connection_.execute("ROLLBACK TO lookup; RELEASE lookup"); !back) return back;
    if (rows.size() == 1) {
      refused_(rows.front(), keys.error());
      return {};
    }
    const auto middle = rows.size() / 2;
    if (auto first = ask(column, rows.first(middle), found); !first) return first;
    return ask(column, rows.subspan(middle), found);
  }
  if (auto released = connection_.execute("RELEASE lookup"); !released) return released;
  for (int at = 0; at < keys->size(); ++at) {
    auto& row = rows[static_cast<std::size_t>(at)];  // in the order of ord
    const bool empty = !row.values[column];
    const auto hits = keys->text(at, 1);
    if (!empty && hits != "1") {
      const auto& name = target_.columns[column].name;
      const auto& where = target_.columns[column].looked_up_in;
      refused_(row, hits == "0" ? fail(ErrorCode::kBadInput, phrase("{}: {} has no row for it", name, where)).error()
                                : fail(ErrorCode::kBadInput, phrase("{}: {} has several rows for it", name, where)).error());
      continue;
    }
    if (!empty) row.values[column] = std::string(keys->text(at, 2));
    found.push_back(std::move(row));
  }
  return {};
}

}  // namespace verbund::importer::csv
