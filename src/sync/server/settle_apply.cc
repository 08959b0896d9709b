// The source's side of a settlement: one transaction per round, a savepoint per change.
#include <algorithm>

#include <fmt/format.h>

#include "base/messages.h"
#include "feed/tables.h"
#include "sync/server/settle.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

constexpr seconds kDatabaseWait{10};

/// As the feed reads values (docs/adr/0004-shadow-text.md); and nobody's open transaction holds a device up.
constexpr std::string_view kSettings =
    "SET LOCAL datestyle = 'ISO,YMD'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 3; SET LOCAL timezone = 'UTC'; SET LOCAL bytea_output = 'hex';"
    " SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '10s'";

std::string table_of(const Bound& bound) { return Connection::quote_identifier(bound.table.schema) + "." + Connection::quote_identifier(bound.table.name); }

/// `"id" = $3 AND …`; the key's values are appended to `values`.
std::string by_key(const Bound& bound, const std::string& key, std::vector<postgres::Parameter>& values) {
  const auto parts = bound.table.key.size() == 1 ? std::vector{key} : split_key(key);
  std::string sql;
  for (std::size_t at = 0; at < bound.table.key.size() && at < parts.size(); ++at) {
    values.emplace_back(parts[at]);
    sql += fmt::format("{}{} = ${}", sql.empty() ? "" : " AND ", Connection::quote_identifier(bound.table.columns[bound.table.key[at]].name), values.size());
  }
  return sql;
}

postgres::Statement insert_of(const Bound& bound, const Change& change) {
  postgres::Statement statement;
  std::string columns, places;
  const auto add = [&](const std::string& name, const postgres::Parameter& value) {
    statement.parameters.push_back(value);
    columns += (columns.empty() ? "" : ", ") + Connection::quote_identifier(name);
    places += fmt::format("{}${}", places.empty() ? "" : ", ", statement.parameters.size());
  };
  for (std::size_t at = 0; at < change.columns.size(); ++at) add(change.columns[at], change.after[at]);
  for (const auto& [name, value] : bound.rule.defaults) {
    if (std::ranges::find(change.columns, name) == change.columns.end()) add(name, value);
  }
  statement.sql = fmt::format("INSERT INTO {} ({}) VALUES ({})", table_of(bound), columns, places);
  return statement;
}

postgres::Statement update_of(const Bound& bound, const Change& change) {
  postgres::Statement statement;
  std::string sets;
  for (const auto place : change.changed) {
    statement.parameters.push_back(change.after[place]);
    sets += fmt::format("{}{} = ${}", sets.empty() ? "" : ", ", Connection::quote_identifier(change.columns[place]), statement.parameters.size());
  }
  // An update that changes nothing is told by the log all the same.
  if (sets.empty()) {
    const auto first = Connection::quote_identifier(bound.table.columns[bound.table.key.front()].name);
    sets = first + " = " + first;
  }
  statement.sql = fmt::format("UPDATE {} SET {} WHERE {}", table_of(bound), sets, by_key(bound, change.key, statement.parameters));
  return statement;
}

postgres::Statement delete_of(const Bound& bound, const Change& change) {
  postgres::Statement statement;
  statement.sql = fmt::format("DELETE FROM {} WHERE {}", table_of(bound), by_key(bound, change.key, statement.parameters));
  return statement;
}

postgres::Statement statement_of(const Bound& bound, const Change& change) {
  if (change.op == UpRow::Op::kInsert) return insert_of(bound, change);
  return change.op == UpRow::Op::kUpdate ? update_of(bound, change) : delete_of(bound, change);
}

/// The row before the change and after it.
std::vector<RecordLocks::Row> rows_of(const Change& change, const Bound& bound, const std::vector<std::optional<std::string>>* shadow) {
  RecordLocks::Row before, after;
  if (shadow != nullptr) {
    for (std::size_t at = 0; at < shadow->size(); ++at) before[bound.table.columns[at].name] = (*shadow)[at];
  }
  if (change.op == UpRow::Op::kDelete) return {before};
  after = before;
  if (change.op == UpRow::Op::kInsert) after.insert(bound.rule.defaults.begin(), bound.rule.defaults.end());
  for (std::size_t at = 0; at < change.columns.size(); ++at) {
    const bool sets = change.op == UpRow::Op::kInsert || std::ranges::find(change.changed, at) != change.changed.end();
    if (sets) after[change.columns[at]] = change.after[at];
  }
  if (shadow == nullptr || before == after) return {after};
  return {before, after};
}

std::string token_list(const std::vector<FencingToken>& tokens) {
  std::string list;
  for (const auto& token : tokens) list += (list.empty() ? "" : ",") + std::to_string(token.value);
  return list;
}

/// The locks of one author, until the end of the block or `now`.
class Held {
 public:
  Held(RecordLocks* locks, std::uint64_t author) : locks_(locks), author_(author) {}
  ~Held() { release(); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  void release() {
    if (auto* locks = std::exchange(locks_, nullptr)) locks->release(author_, written);
  }
  Lsn written;

 private:
  RecordLocks* locks_;
  std::uint64_t author_;
};

/// The word for what PostgreSQL refused; empty: it did not refuse the row, something else stood in the way.
std::string_view reason_of(std::string_view state) {
  if (state == "23505" || state == "23P01") return "unique";
  if (state == "23514") return "check";
  if (state == "23503") return "foreign_key";
  if (state == "23502") return "not_null";
  if (state == "42501" || state == "428C9" || state.starts_with("P0") || state.starts_with("44") || state.starts_with("23")) return "refused";
  if (state.starts_with("22") || state == "42804") return "value";
  return {};
}

}  // namespace

Result<std::uint64_t> Settlement::begin_apply(Connection& mid_tier, const std::vector<Judged>& items) {
  feed::TextArray ids;
  for (const auto& item : items) ids.add(std::to_string(item.change.id));
  auto begun = mid_tier.query(
      "WITH begun AS (INSERT INTO sync.apply (device, after_csn) SELECT $1::bigint, csn FROM feed.position RETURNING id),"
      " marked AS (UPDATE sync.change SET state = 'applying', apply_id = (SELECT id FROM begun) WHERE id = ANY($2::bigint[]) AND state = 'accepted') SELECT id FROM begun",
      {std::to_string(device_.id), ids.take()});
  if (!begun) return pass(begun, "sync.apply");
  if (begun->size() != 1) return fail(ErrorCode::kUnavailable, phrase("apply changes of a device: the feed has no position yet"));
  return parse_u64(begun->text(0, 0));
}

Result<std::size_t> Settlement::apply(Connection& mid_tier, std::vector<Judged>& items, Deadline deadline) {
  if (items.empty()) return 0;
  auto id = begin_apply(mid_tier, items);
  if (!id) return pass(id);
  auto source = surroundings_.source.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!source) return pass(source);
  const auto author = kApplyAuthors + *id;
  // Until the feed has told of the writes, or will not in time: who has a lock next sees them.
  Held held(surroundings_.locks, author);
  auto round = apply_once(mid_tier, **source, items, author);
  while (round && round->again) {
    auto without = apply_once(mid_tier, **source, items, author);
    if (without) without->decided += round->decided;
    round = std::move(without);
  }
  if (!round && round.error().code == ErrorCode::kConstraint) {
    held.release();
    return one_by_one(mid_tier, items, *id, deadline);
  }
  if (!round) return pass(round);
  if (round->written + round->unseen == 0) return round->decided;
  held.written = round->behind;
  if (!surroundings_.feed.wait_until_passed(round->behind, deadline)) return round->decided;
  if (round->written > 0) {
    auto confirmed = confirm(mid_tier, *id);
    if (!confirmed) return pass(confirmed);
  }
  return round->decided + round->written + round->unseen;
}

/// A constraint that is checked at the end of the transaction: of which change it was only shows when each stands alone.
Result<std::size_t> Settlement::one_by_one(Connection& mid_tier, std::vector<Judged>& items, std::uint64_t id, Deadline deadline) {
  auto again = mid_tier.query("UPDATE sync.change SET state = 'accepted', apply_id = NULL WHERE apply_id = $1::bigint AND state = 'applying'", {std::to_string(id)});
  if (!again) return pass(again, "sync.change");
  std::size_t decided = 0;
  for (auto& item : items) {
    if (item.over) continue;  // rejected or put back already
    std::vector<Judged> alone;
    alone.push_back(std::move(item));
    if (items.size() == 1) {
      if (auto done = reject(mid_tier, alone.front().change, "foreign_key", "", alone.front().bound, alone.front().shadow ? &*alone.front().shadow : nullptr); !done) return pass(done);
      return 1;
    }
    auto one = apply(mid_tier, alone, deadline);
    if (!one) return pass(one);
    decided += *one;
  }
  return decided;
}

Result<Settlement::Round> Settlement::apply_once(Connection& mid_tier, Connection& source, std::vector<Judged>& items, std::uint64_t author) {
  auto transaction = source.begin();
  if (!transaction) return pass(transaction);
  if (auto set = source.execute(kSettings); !set) return pass(set);
  auto named = source.query("SELECT pg_advisory_xact_lock($1::bigint), pg_logical_emit_message(true, 'verbund.by', $1::text)", {std::to_string(author)});
  if (!named) return pass(named, "pg_logical_emit_message");
  Round round;
  bool others_wait = false;
  for (auto& item : items) {
    if (item.over) continue;
    auto wrote = write(mid_tier, source, item, author);
    if (!wrote) return pass(wrote);
    item.over = *wrote != Wrote::kYes;
    others_wait = others_wait || *wrote == Wrote::kUnseen || *wrote == Wrote::kLater;
    if (*wrote == Wrote::kYes) ++round.written;
    if (*wrote == Wrote::kNo) ++round.decided;
    if (*wrote == Wrote::kUnseen) ++round.unseen;
  }
  auto without = without_membership(mid_tier, source, items, others_wait);
  if (!without) return pass(without);
  if (*without > 0) {
    transaction->rollback();
    round.written = 0;
    round.again = true;
    round.decided += *without;
    return round;
  }
  if (round.written > 0) {
    if (auto committed = transaction->commit(); !committed) return pass(committed, phrase("apply changes of {}", device_.name));
  } else {
    transaction->rollback();
  }
  auto rows = source.query("SELECT pg_current_wal_insert_lsn()");
  if (!rows) return pass(rows, "pg_current_wal_insert_lsn");
  auto lsn = parse_lsn(rows->text(0, 0));
  if (!lsn) return pass(lsn);
  round.behind = *lsn;
  return round;
}

/// What was written on credit, and the membership that the device wanted to bring is not there: how many. They are over.
Result<std::size_t> Settlement::without_membership(Connection& mid_tier, Connection& source, std::vector<Judged>& items, bool others_wait) {
  std::size_t found = 0;
  for (auto& item : items) {
    if (item.over || !item.on_credit) continue;
    const auto& bound = *item.bound;
    const auto table = [&](std::size_t at) {
      const auto& its = bound.selection.sources[at].table;
      return Connection::quote_identifier(its.schema) + "." + Connection::quote_identifier(its.name);
    };
    postgres::Statement look;
    look.sql = fmt::format("SELECT FROM {} s WHERE {} AND ({})", table(0), by_key(bound, item.change.key, look.parameters), bound.selection.condition("s", bound.bucket, table));
    auto rows = source.query(look.sql, look.parameters);
    if (!rows) return pass(rows, phrase("subscription {}", bound.rule.name));
    if (rows->size() > 0) continue;
    auto done = others_wait ? put_back(mid_tier, item.change, "source") : reject(mid_tier, item.change, "filter", "", item.bound, nullptr);
    if (!done) return pass(done);
    item.over = true;
    ++found;
  }
  return found;
}

Result<Settlement::Wrote> Settlement::write(Connection& mid_tier, Connection& source, Judged& item, std::uint64_t author) {
  auto taken = lock(source, item, author);
  if (!taken) return refused(mid_tier, source, item, taken.error());
  if (!taken->granted) {
    surroundings_.log.info("sync.change_held", {{"device", device_.id}, {"change", item.change.id}, {"why", taken->why}});
    if (auto back = put_back(mid_tier, item.change, "held"); !back) return pass(back);
    return Wrote::kLater;
  }
  auto expected = as_expected(source, item);
  if (!expected) return refused(mid_tier, source, item, expected.error());
  if (!*expected) {
    // Somebody has changed it and the feed has not told yet: it is judged again when it has.
    if (auto back = put_back(mid_tier, item.change, "source"); !back) return pass(back);
    return Wrote::kUnseen;
  }
  const postgres::Statement statements[] = {{"SAVEPOINT change", {}}, statement_of(*item.bound, item.change), {"RELEASE SAVEPOINT change", {}}};
  auto done = source.run(statements);
  if (!done) return refused(mid_tier, source, item, done.error());
  return Wrote::kYes;
}

Result<Settlement::Wrote> Settlement::refused(Connection& mid_tier, Connection& source, const Judged& item, const Error& error) {
  const auto reason = reason_of(source.last_sqlstate());
  if (!source.healthy()) return std::unexpected(error);
  if (auto back = source.execute("ROLLBACK TO SAVEPOINT change"); !back) return pass(back);
  if (!reason.empty()) {
    if (auto done = reject(mid_tier, item.change, reason, error.message, item.bound, item.shadow ? &*item.shadow : nullptr); !done) return pass(done);
    return Wrote::kNo;
  }
  surroundings_.log.info("sync.change_waits", {{"device", device_.id}, {"change", item.change.id}, {"error", error.message}});
  if (auto back = put_back(mid_tier, item.change, "source"); !back) return pass(back);
  return Wrote::kLater;
}

/// The locks of the records that the row belongs to, and will (B3); what the guard is to be shown is shown.
Result<RecordLocks::Taken> Settlement::lock(Connection& source, const Judged& item, std::uint64_t author) {
  if (surroundings_.locks == nullptr) return RecordLocks::Taken{};
  if (auto kept = source.execute("SAVEPOINT change"); !kept) return pass(kept);
  auto taken = surroundings_.locks->take(source, author, device_, item.bound->table, rows_of(item.change, *item.bound, item.shadow ? &item.shadow->values : nullptr));
  if (!taken || !taken->granted || taken->tokens.empty()) return taken;
  auto shown = source.query("SELECT set_config('verbund.token', $1, true)", {token_list(taken->tokens)});
  if (!shown) return pass(shown, "set_config");
  return taken;
}

/// Whether the source's row is still the shadow's; from here on it is locked.
Result<bool> Settlement::as_expected(Connection& source, const Judged& item) {
  std::string columns;
  for (const auto& column : item.bound->table.columns) columns += (columns.empty() ? "" : ", ") + Connection::quote_identifier(column.name);
  postgres::Statement look;
  look.sql = fmt::format("SELECT {} FROM {} WHERE {} FOR UPDATE", columns, table_of(*item.bound), by_key(*item.bound, item.change.key, look.parameters));
  const postgres::Statement statements[] = {{"SAVEPOINT change", {}}, std::move(look), {"RELEASE SAVEPOINT change", {}}};
  auto rows = source.run(statements);
  if (!rows) return pass(rows);
  const auto& found = (*rows)[1];
  if (!item.shadow || found.size() == 0) return !item.shadow && found.size() == 0;
  for (std::size_t at = 0; at < item.shadow->values.size(); ++at) {
    const auto column = static_cast<int>(at);
    const auto now = found.null(0, column) ? std::nullopt : std::optional<std::string>(found.text(0, column));
    if (now != item.shadow->values[at]) return false;
  }
  return true;
}

Status Settlement::put_back(Connection& mid_tier, const Change& change, std::string_view waits_for) {
  auto done = mid_tier.query("UPDATE sync.change SET state = 'accepted', apply_id = NULL, waits_for = $2 WHERE id = $1::bigint", {std::to_string(change.id), std::string(waits_for)});
  if (!done) return pass(done, "sync.change");
  return {};
}

}  // namespace verbund::sync::server
