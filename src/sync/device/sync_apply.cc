// A session into the database: rows, cursor and what became of the device's changes, all in one transaction.
#include <algorithm>
#include <set>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/messages.h"
#include "sync/device/repair.h"
#include "sync/device/sync_run.h"

namespace verbund::sync::device {
namespace {

using sqlite::quote_text;
using sqlite::quote_name;
using sqlite::Statement;

constexpr std::uint64_t kProgressRows = 10'000;

std::string places(std::size_t count) {
  std::string list;
  for (std::size_t at = 1; at <= count; ++at) list += fmt::format("{}?{}", at == 1 ? "" : ", ", at);
  return list;
}

std::string upsert_statement(const TableLayout& layout) {
  std::string key, sets;
  for (const auto place : layout.key) key += (key.empty() ? "" : ", ") + quote_name(layout.columns[place].name);
  for (std::size_t at = 0; at < layout.columns.size(); ++at) {
    if (std::ranges::find(layout.key, at) != layout.key.end()) continue;
    sets += fmt::format("{}{} = ?{}", sets.empty() ? "" : ", ", quote_name(layout.columns[at].name), at + 1);
  }
  return fmt::format("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO {}", quote_name(layout.table), column_list(layout, ""), places(layout.columns.size()), key, sets.empty() ? "NOTHING" : "UPDATE SET " + sets);
}

/// Rows of one session, statement by statement.
class RowTaker {
 public:
  /// `fresh`: columns of which the device has no value yet.
  RowTaker(sqlite::Database& database, const TableLayout& layout, const std::vector<std::uint32_t>& fresh) : database_(database), layout_(layout), fresh_(fresh) {}

  Status open(bool refresh) {
    auto any = database_.value("SELECT EXISTS (SELECT 1 FROM " + change_table(layout_) + ")");
    if (!any) return pass(any);
    has_changes_ = *any == "1";
    auto rows = database_.value("SELECT EXISTS (SELECT 1 FROM " + quote_name(layout_.table) + ")");
    if (!rows) return pass(rows);
    notes_seen_ = refresh && *rows == "1";
    if (notes_seen_) {
      std::string keys;
      for (std::size_t at = 0; at < layout_.key.size(); ++at) keys += fmt::format("{}k{}", at == 0 ? "" : ", ", at);
      if (auto made = database_.execute(fmt::format("DROP TABLE IF EXISTS temp.verbund_seen; CREATE TEMP TABLE verbund_seen ({0}, PRIMARY KEY ({0})) WITHOUT ROWID", keys)); !made) return made;
    }
    for (const auto& [statement, sql] : {std::pair{&upsert_, upsert_statement(layout_)},
                                         std::pair{&remove_, fmt::format("DELETE FROM {} WHERE {}", quote_name(layout_.table), key_condition(layout_))},
                                         std::pair{&missed_, fmt::format("UPDATE {} SET missed = 1 WHERE {}", change_table(layout_), change_key_condition(layout_))},
                                         std::pair{&pending_, fmt::format("SELECT 1 FROM {} WHERE {}", change_table(layout_), change_key_condition(layout_))}}) {
      auto made = database_.prepare(sql);
      if (!made) return pass(made);
      *statement = std::move(*made);
    }
    if (has_changes_ && !fresh_.empty()) {
      if (auto made = prepare_fill(); !made) return made;
    }
    if (!notes_seen_) return {};
    auto seen = database_.prepare(fmt::format("INSERT OR IGNORE INTO temp.verbund_seen VALUES ({})", places(layout_.key.size())));
    if (!seen) return pass(seen);
    seen_ = std::move(*seen);
    return {};
  }

  Status take(const DownRow& row, SessionReport& report) {
    if (row.op == DownRow::Op::kSlot) {
      slots_.insert(static_cast<std::size_t>(std::get<std::int64_t>(row.values.front())));
      return {};
    }
    const auto key = row.op == DownRow::Op::kUpsert && (has_changes_ || notes_seen_) ? key_of(layout_, row.values) : row.op == DownRow::Op::kUpsert ? std::vector<Value>{} : row.values;
    if (notes_seen_) {
      if (auto noted = with_key(seen_, key).run(); !noted) return noted;
    }
    if (has_changes_) {
      auto changed = with_key(pending_, key).step();
      if (!changed) return pass(changed);
      pending_.reset();
      if (*changed) {
        ++report.kept;
        if (auto filled = fill(row, key); !filled) return filled;
        return with_key(missed_, key).run();
      }
    }
    if (row.op == DownRow::Op::kKeep) return {};
    if (row.op == DownRow::Op::kDelete) {
      ++report.deleted;
      return with_key(remove_, key).run();
    }
    ++report.upserted;
    for (std::size_t at = 0; at < row.values.size(); ++at) bind_value(upsert_, static_cast<int>(at) + 1, row.values[at]);
    return upsert_.run();
  }

  /// After a refresh: what was not among its rows, but for what the application has changed. `sums`: that the device has sent; only slots that were told are meant.
  Status drop_unseen(SessionReport& report, const std::optional<RowSums>& sums) {
    // Changed rows that were not sent stay for now, whatever has become of them at the server.
    if (auto missed = database_.execute(fmt::format("UPDATE {} SET missed = 1", change_table(layout_))); !missed) return missed;
    if (!notes_seen_) return {};
    std::string seen, changed, meant;
    if (sums) {
      std::vector<bool> differ(sums->slots());
      for (const auto slot : slots_) {
        if (slot >= differ.size()) return fail(ErrorCode::kBadMessage, phrase("read a row block: {}", "a slot has no number"));
        differ[slot] = true;
      }
      if (auto listed = list_keys(database_, layout_, *sums, differ); !listed) return listed;
      for (std::size_t at = 0; at < layout_.key.size(); ++at) meant += fmt::format("{}m.k{} = +t.{}", at == 0 ? "" : " AND ", at, quote_name(layout_.columns[layout_.key[at]].name));
      meant = fmt::format(" AND EXISTS (SELECT 1 FROM temp.verbund_slots m WHERE {})", meant);
    }
    for (std::size_t at = 0; at < layout_.key.size(); ++at) {
      // The sign takes the column's affinity away, under which the other's index would be of no use: every row would be compared with every other.
      const auto column = "+t." + quote_name(layout_.columns[layout_.key[at]].name);
      seen += fmt::format("{}s.k{} = {}", at == 0 ? "" : " AND ", at, column);
      changed += fmt::format("{}c.k{} = {}", at == 0 ? "" : " AND ", at, column);
    }
    auto done = database_.execute(fmt::format("DELETE FROM {} AS t WHERE NOT EXISTS (SELECT 1 FROM temp.verbund_seen s WHERE {}) AND NOT EXISTS (SELECT 1 FROM {} c WHERE {}){}", quote_name(layout_.table), seen,
                                              change_table(layout_), changed, meant));
    if (!done) return done;
    report.deleted += static_cast<std::uint64_t>(database_.changes());
    return database_.execute("DROP TABLE temp.verbund_seen; DROP TABLE IF EXISTS temp.verbund_slots");
  }

 private:
  static Statement& with_key(Statement& statement, const std::vector<Value>& key, std::size_t from = 0) {
    for (std::size_t at = 0; at < key.size(); ++at) bind_value(statement, static_cast<int>(from + at) + 1, key[at]);
    return statement;
  }

  Status prepare_fill() {
    std::string columns, was, key, change_key;
    for (const auto place : fresh_) {
      columns += fmt::format("{}{} = ?", columns.empty() ? "" : ", ", quote_name(layout_.columns[place].name));
      was += fmt::format("{}w{} = ?", was.empty() ? "" : ", ", place);
    }
    for (std::size_t at = 0; at < layout_.key.size(); ++at) {
      key += fmt::format(" AND {} = ?", quote_name(layout_.columns[layout_.key[at]].name));
      change_key += fmt::format(" AND k{} = ?", at);
    }
    auto row = database_.prepare(fmt::format("UPDATE {} SET {} WHERE true{}", quote_name(layout_.table), columns, key));
    if (!row) return pass(row);
    auto change = database_.prepare(fmt::format("UPDATE {} SET {} WHERE op <> 'I'{}", change_table(layout_), was, change_key));
    if (!change) return pass(change);
    fill_row_ = std::move(*row);
    fill_change_ = std::move(*change);
    return {};
  }

  /// The application's row stays as it is, but in columns that it could not know it has the server's values.
  Status fill(const DownRow& row, const std::vector<Value>& key) {
    if (fresh_.empty() || row.op != DownRow::Op::kUpsert) return {};
    for (auto* statement : {&fill_change_, &fill_row_}) {
      for (std::size_t at = 0; at < fresh_.size(); ++at) bind_value(*statement, static_cast<int>(at) + 1, row.values[fresh_[at]]);
      if (auto done = with_key(*statement, key, fresh_.size()).run(); !done) return done;
      if (database_.changes() == 0) return {};
    }
    return {};
  }

  sqlite::Database& database_;
  const TableLayout& layout_;
  const std::vector<std::uint32_t>& fresh_;
  bool has_changes_ = false, notes_seen_ = false;
  std::set<std::size_t> slots_;
  Statement upsert_{nullptr}, remove_{nullptr}, pending_{nullptr}, missed_{nullptr}, seen_{nullptr}, fill_row_{nullptr}, fill_change_{nullptr};
};

std::string rights_of(const Session& session) {
  return fmt::format("{}{}{}{}", session.may_read ? "r" : "", session.may_insert ? "i" : "", session.may_update ? "u" : "", session.may_delete ? "d" : "");
}

}  // namespace

Status SyncRun::apply_rows(const Session& session, Inbox& inbox, const std::vector<std::uint32_t>& fresh, SessionReport& report) {
  const bool repair = session.mode == Session::Mode::kRepair;
  const bool refresh = repair || session.mode == Session::Mode::kRefresh;
  std::optional<RowSums> sums;
  if (repair) {
    const auto cursor = std::ranges::find(request_.cursors, session.subscription, &DeviceCursor::subscription);
    if (cursor == request_.cursors.end() || !cursor->sums) return fail(ErrorCode::kBadMessage, phrase("table {}: the server repairs it and was not told what the device has", session.layout.table));
    sums = cursor->sums;
  }
  RowTaker taker(database_, session.layout, fresh);
  if (auto opened = taker.open(refresh); !opened) return opened;
  std::uint64_t rows = 0;
  DownRow row;
  for (;;) {
    auto block = inbox.next();
    if (!block) return pass(block);
    if (!*block) break;
    auto reader = BlockReader::open(**block, BlockHead::Kind::kDown);
    if (!reader) return pass(reader);
    for (;;) {
      auto more = reader->next(row, session.layout.columns.size(), session.layout.key.size());
      if (!more) return pass(more);
      if (!*more) break;
      if (auto taken = taker.take(row, report); !taken) return pass(taken, phrase("table {}", session.layout.table));
      if (++rows % kProgressRows == 0 && events_.on_progress) events_.on_progress(session.subscription, rows);
    }
  }
  if (events_.on_progress) events_.on_progress(session.subscription, rows);
  return refresh ? taker.drop_unseen(report, sums) : Status{};
}

/// References of this table's rows; deferred ones would fail at the commit without a name. What the application has changed since this sync began, or what of its changes
/// is not decided, may leave a row without its parent until the next sync decides.
Status SyncRun::check_references(const Session& session) {
  if (session.layout.references.empty()) return {};
  auto all = known_subscriptions(database_);
  if (!all) return pass(all);
  auto open = database_.value("SELECT EXISTS (SELECT 1 FROM verbund_upload u WHERE u.rows > (SELECT count(*) FROM verbund_outcome o WHERE o.upload = u.number))");
  if (!open) return pass(open);
  if (*open == "1") return {};
  auto broken = database_.prepare(fmt::format("PRAGMA foreign_key_check({})", quote_name(session.layout.table)));
  if (!broken) return pass(broken);
  for (;;) {
    auto more = broken->step();
    if (!more) return pass(more);
    if (!*more) return {};
    const std::string parent(broken->text(2));
    std::uint64_t changed = 0;
    for (const auto& [name, each] : *all) {
      if (each.layout.table != parent && name != session.subscription) continue;
      auto count = count_changes(database_, each.layout);
      if (!count) return pass(count);
      changed += *count;
    }
    if (changed == 0) return fail(ErrorCode::kConstraint, phrase("table {}: a row refers to one of {} that is not there", session.layout.table, parent));
  }
}

/// `before`: the layout that the table has; none: it is new. `inbox`: none, no rows came.
Status SyncRun::write_table(const Session& session, const TableLayout* before, Inbox* inbox, SessionReport& report) {
  if (before != nullptr) {
    if (auto kept_apart = reject_what_does_not_fit(session.subscription, session.layout, *before); !kept_apart) return kept_apart;
  }
  if (auto made = make_table(database_, session.layout, before == nullptr ? std::nullopt : std::optional(*before)); !made) return made;
  if (inbox != nullptr) {
    const bool refresh = session.mode == Session::Mode::kRefresh;
    const auto fresh = before == nullptr ? std::vector<std::uint32_t>() : fresh_columns(session.layout, *before);
    if (auto dropped = refresh ? drop_triggers(database_, session.layout) : Status{}; !dropped) return dropped;
    if (auto taken = apply_rows(session, *inbox, fresh, report); !taken) return taken;
    if (auto made = refresh ? make_triggers(database_, session.layout) : Status{}; !made) return made;
  }
  return check_references(session);
}

Status SyncRun::note_subscription(const Session& session, const SyncReply& reply) {
  auto noted = database_.prepare("INSERT INTO verbund_subscription (name, table_name, csn, shape, layout, rights) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO UPDATE SET"
                                 " table_name = ?2, csn = ?3, shape = ?4, layout = ?5, rights = ?6, last_error = ''");
  if (!noted) return pass(noted);
  return noted->text(1, session.subscription).text(2, session.layout.table).integer(3, static_cast<std::int64_t>(reply.csn.value)).text(4, session.shape)
      .text(5, boost::json::serialize(to_json(session.layout))).text(6, rights_of(session)).run();
}

Status SyncRun::apply(const Session& session, const SyncReply& reply, SessionReport& report) {
  auto all = known_subscriptions(database_);
  if (!all) return pass(all);
  const auto before = all->find(session.subscription);
  const bool has_rows = session.mode != Session::Mode::kNothing;
  const bool first = before == all->end();
  const auto fetch = [&](std::uint32_t number, const std::stop_token& stop) -> Result<std::optional<std::string>> {
    auto answer = transport_.call({"GET", fmt::format("/api/device/syncs/{}/{}/{}", request_.number, escaped_part(session.subscription), number), authorization_, {}}, stop);
    if (!answer) return pass(answer);
    if (answer->status == 202) return std::optional<std::string>();
    if (answer->status != 200) return std::unexpected(error_of(*answer));
    return std::optional(std::move(answer->body));
  };
  const auto kept = inbox_file(file_);
  const auto name = fmt::format("{} {} {} {}", request_.number, reply.csn.value, session.shape, session.subscription);
  std::optional<Inbox> inbox;
  if (has_rows) inbox.emplace(kept, name, fetch, stop_);
  if (has_rows && !first) {
    // Nobody is to wait for a slow line with the write lock held: everything is here before it is taken.
    for (;;) {
      auto block = inbox->next();
      if (!block) return pass(block);
      if (!*block) break;
    }
    inbox.emplace(kept, name, fetch, stop_);
  }
  auto transaction = database_.begin();
  if (!transaction) return pass(transaction);
  if (auto marked = database_.execute("UPDATE verbund_device SET applying = 1"); !marked) return marked;
  if (auto written = write_table(session, first ? nullptr : &before->second.layout, has_rows ? &*inbox : nullptr, report); !written) return written;
  if (auto noted = note_subscription(session, reply); !noted) return noted;
  if (auto forgotten = forget_asked(database_, session.subscription); !forgotten) return forgotten;
  if (auto told = note_outcomes(session, reply); !told) return told;
  if (auto over = database_.execute("UPDATE verbund_device SET applying = 0"); !over) return over;
  if (auto committed = transaction->commit(); !committed) return committed;
  if (inbox) inbox->forget();
  return {};
}

}  // namespace verbund::sync::device
