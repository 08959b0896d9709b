// Changes that no upload has taken and none can: their columns have changed, or the right to their table is gone. They are kept as rejects.
#include <algorithm>

#include <fmt/format.h>

#include "sync/device/sync_run.h"

namespace verbund::sync::device {
namespace {

using sqlite::quote_text;

/// A change of `before` that says something which `layout` has no place for.
bool does_not_fit(const UpRow& row, const TableLayout& layout, const TableLayout& before) {
  if (!same_key_columns(layout, before)) return true;
  for (std::size_t at = 0; at < before.columns.size() && row.op != UpRow::Op::kDelete; ++at) {
    const auto now = std::ranges::find(layout.columns, before.columns[at].name, &LayoutColumn::name);
    if (now == layout.columns.end() || now->kind == before.columns[at].kind) continue;
    if (row.op == UpRow::Op::kUpdate ? row.changed[at] : !std::holds_alternative<std::monostate>(row.values[at])) return true;
  }
  return false;
}

}  // namespace

/// Their rows are the server's again.
Status SyncRun::reject_changes(const std::string& subscription, const TableLayout& layout, std::string_view reason, const std::function<bool(const UpRow&)>& which) {
  auto insert = database_.prepare("INSERT INTO verbund_reject (upload, row, subscription, table_name, op, key, reason, text, mine, theirs, at) VALUES (0, (SELECT coalesce(max(row), 0) + 1 FROM verbund_reject"
                                  " WHERE upload = 0), ?, ?, ?, ?, ?, '', ?, '', ?)");
  if (!insert) return pass(insert);
  auto forget = database_.prepare(fmt::format("DELETE FROM {} WHERE {}", change_table(layout), change_key_condition(layout)));
  if (!forget) return pass(forget);
  std::vector<std::vector<Value>> settled;
  auto read = read_changes(database_, layout, [&](const UpRow& row) -> Status {
    const bool asks = row.op == UpRow::Op::kUpdate && std::ranges::find(row.changed, true) == row.changed.end();
    if (!which(row)) return {};
    settled.push_back(key_of(layout, row.op == UpRow::Op::kInsert ? row.values : row.before));
    if (asks) return {};
    return insert->text(1, subscription).text(2, layout.table).text(3, std::string(1, static_cast<char>(row.op))).text(4, key_json(settled.back())).text(5, reason)
        .text(6, row_json(layout, row.values)).text(7, to_iso8601(clock_.wall())).run();
  });
  if (!read) return read;
  for (const auto& key : settled) {
    for (std::size_t at = 0; at < key.size(); ++at) bind_value(*forget, static_cast<int>(at) + 1, key[at]);
    if (auto done = forget->run(); !done) return done;
  }
  return {};
}

Status SyncRun::reject_what_does_not_fit(const std::string& subscription, const TableLayout& layout, const TableLayout& before) {
  if (layout == before) return {};
  return reject_changes(subscription, before, "value", [&](const UpRow& row) { return does_not_fit(row, layout, before); });
}

/// What the user has no right to any more goes, with what was changed in it.
Status SyncRun::forget_others(const SyncReply& reply) {
  auto all = known_subscriptions(database_);
  if (!all) return pass(all);
  for (const auto& [name, each] : *all) {
    if (std::ranges::find(reply.sessions, name, &Session::subscription) != reply.sessions.end()) continue;
    auto transaction = database_.begin();
    if (!transaction) return pass(transaction);
    if (auto kept = reject_changes(name, each.layout, "right", [](const UpRow&) { return true; }); !kept) return kept;
    if (auto dropped = drop_table(database_, each.layout); !dropped) return dropped;
    if (auto gone = database_.execute(fmt::format("DELETE FROM verbund_subscription WHERE name = {}", quote_text(name))); !gone) return gone;
    if (auto committed = transaction->commit(); !committed) return committed;
  }
  return {};
}

}  // namespace verbund::sync::device
