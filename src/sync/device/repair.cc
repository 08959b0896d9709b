#include "sync/device/repair.h"

#include <functional>

#include <fmt/format.h>

#include "sync/device/tables.h"
#include "sync/model/rows.h"

namespace verbund::sync::device {
namespace {

using sqlite::quote_name;
using sqlite::quote_text;

std::string key_columns(const TableLayout& layout) {
  std::string list;
  for (const auto place : layout.key) list += (list.empty() ? "" : ", ") + quote_name(layout.columns[place].name);
  return list;
}

}  // namespace

Result<RowSums> sums_of(sqlite::Database& database, const TableLayout& layout) {
  auto count = database.value("SELECT count(*) FROM " + quote_name(layout.table));
  if (!count) return pass(count);
  RowSums sums(RowSums::slots_for(parse_u64(*count).value_or(0)));
  auto rows = database.prepare(fmt::format("SELECT {} FROM {}", column_list(layout, ""), quote_name(layout.table)));
  if (!rows) return pass(rows);
  std::string key, row;
  for (;;) {
    auto more = rows->step();
    if (!more) return pass(more);
    if (!*more) return sums;
    row.clear();
    key.clear();
    for (std::size_t at = 0; at < layout.columns.size(); ++at) append_value(row, column_value(*rows, static_cast<int>(at)));
    for (const auto place : layout.key) append_value(key, column_value(*rows, static_cast<int>(place)));
    sums.add(key, row);
  }
}

Status note_asked(sqlite::Database& database, const std::string& subscription) {
  return database.execute(fmt::format("CREATE TABLE IF NOT EXISTS verbund_repair (subscription TEXT PRIMARY KEY) STRICT; INSERT OR IGNORE INTO verbund_repair VALUES ({})", quote_text(subscription)));
}

Status forget_asked(sqlite::Database& database, const std::string& subscription) {
  auto all = asked(database);
  if (!all) return pass(all);
  if (!all->contains(subscription)) return {};
  return database.execute("DELETE FROM verbund_repair WHERE subscription = " + quote_text(subscription));
}

Result<std::set<std::string>> asked(sqlite::Database& database) {
  std::set<std::string> all;
  auto there = database.value("SELECT 1 FROM sqlite_schema WHERE name = 'verbund_repair'");
  if (!there) return pass(there);
  if (*there != "1") return all;
  auto names = database.prepare("SELECT subscription FROM verbund_repair");
  if (!names) return pass(names);
  for (;;) {
    auto more = names->step();
    if (!more) return pass(more);
    if (!*more) return all;
    all.emplace(names->text(0));
  }
}

Status list_keys(sqlite::Database& database, const TableLayout& layout, const RowSums& sums, const std::vector<bool>& differ) {
  std::string places;
  for (std::size_t at = 0; at < layout.key.size(); ++at) places += at == 0 ? "?" : ", ?";
  if (auto made = database.execute(fmt::format("DROP TABLE IF EXISTS temp.verbund_slots; CREATE TEMP TABLE verbund_slots ({0}, PRIMARY KEY ({0})) WITHOUT ROWID", change_keys(layout))); !made) return made;
  auto rows = database.prepare(fmt::format("SELECT {} FROM {}", key_columns(layout), quote_name(layout.table)));
  if (!rows) return pass(rows);
  auto insert = database.prepare(fmt::format("INSERT INTO temp.verbund_slots VALUES ({})", places));
  if (!insert) return pass(insert);
  std::string key;
  for (;;) {
    auto more = rows->step();
    if (!more) return pass(more);
    if (!*more) return {};
    key.clear();
    for (std::size_t at = 0; at < layout.key.size(); ++at) append_value(key, column_value(*rows, static_cast<int>(at)));
    if (!differ[sums.slot_of(key)]) continue;
    for (std::size_t at = 0; at < layout.key.size(); ++at) bind_value(*insert, static_cast<int>(at) + 1, column_value(*rows, static_cast<int>(at)));
    if (auto done = insert->run(); !done) return done;
  }
}

}  // namespace verbund::sync::device
