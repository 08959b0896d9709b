#include "sync/server/settle.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/messages.h"
#include "feed/tables.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

constexpr seconds kDatabaseWait{10};
constexpr std::string_view kMostAtOnce = "500";

using Texts = std::vector<std::optional<std::string>>;

Texts texts_of(const postgres::Rows& rows, int row, int column) {
  if (rows.null(row, column)) return {};
  auto read = feed::read_array(rows.text(row, column));
  return read ? std::move(*read) : Texts{};
}

std::string array_of(const Texts& values) {
  feed::TextArray array;
  for (const auto& value : values) array.add(value);
  return array.take();
}

Change read_change(const postgres::Rows& rows, int row) {
  const auto number = [&](int column) { return parse_u64(rows.text(row, column)).value_or(0); };
  Change change;
  change.id = number(0);
  change.upload = number(1);
  change.subscription = std::string(rows.text(row, 2));
  change.key = std::string(rows.text(row, 3));
  change.op = static_cast<UpRow::Op>(rows.text(row, 4).front());
  change.base = Csn{number(5)};
  for (auto& name : texts_of(rows, row, 6)) change.columns.push_back(std::move(name).value_or(""));
  for (const auto& place : texts_of(rows, row, 7)) change.changed.push_back(parse_u64(place.value_or("")).value_or(0));
  change.after = texts_of(rows, row, 8);
  change.before = texts_of(rows, row, 9);
  return change;
}

/// The layout's values of a row of the source table.
std::string layout_values(const Bound& bound, const Texts& values) {
  Texts chosen;
  for (const auto place : bound.places) chosen.push_back(values[place]);
  return array_of(chosen);
}

/// Columns in which what the device knew differs from what is there now.
std::vector<bool> theirs_of(const Change& change, const Bound& bound, const Texts& now) {
  std::vector<bool> differs(change.columns.size());
  for (std::size_t at = 0; at < change.columns.size() && at < change.before.size(); ++at) {
    const auto& columns = bound.table.columns;
    const auto found = std::ranges::find(columns, change.columns[at], &SourceTable::Column::name);
    if (found != columns.end()) differs[at] = now[static_cast<std::size_t>(found - columns.begin())] != change.before[at];
  }
  return differs;
}

/// Rows of a membership's table, and those that the device has sent and that are not decided: a patient comes together with who cares for her.
std::string shadow_and_brought(const Selection& selection, std::size_t source, std::uint64_t device) {
  std::string shadow, brought;
  for (const auto& column : selection.deciding_columns(source)) {
    shadow += (shadow.empty() ? "" : ", ") + Connection::quote_identifier(column);
    brought += (brought.empty() ? "" : ", ") + fmt::format("c.after[array_position(c.columns, {})]", Connection::quote_literal(column));
  }
  return fmt::format("(SELECT {} FROM {} UNION ALL SELECT {} FROM sync.change c WHERE c.device = {} AND c.table_id = {} AND c.op IN ('I', 'U') AND c.state IN ('accepted', 'applying'))", shadow,
                     selection.shadow(source), brought, device, selection.sources[source].table.id);
}

/// The row as it is now has in every column that the device has sent what it has sent.
bool is_as_wanted(const Change& change, const Bound& bound, const Texts& now) {
  if (change.op == UpRow::Op::kDelete) return false;
  const auto& columns = bound.table.columns;
  for (std::size_t at = 0; at < change.columns.size() && at < change.after.size(); ++at) {
    const auto found = std::ranges::find(columns, change.columns[at], &SourceTable::Column::name);
    if (found == columns.end() || now[static_cast<std::size_t>(found - columns.begin())] != change.after[at]) return false;
  }
  return true;
}

Rights rights_of(const Bound& bound) {
  if (bound.rule.kind == SubscriptionKind::kUpload) return {false, bound.rule.rights.insert, false, false};
  return bound.rule.direction == Direction::kDown ? Rights{bound.rule.rights.read, false, false, false} : bound.rule.rights;
}

}  // namespace

Status Settlement::run(Deadline deadline) {
  auto any = anything_open();
  if (!any) return pass(any);
  if (!*any) return {};
  auto open = recover(deadline);
  if (!open) return pass(open);
  for (;;) {
    auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
    if (!mid_tier) return pass(mid_tier);
    auto changes = undecided(**mid_tier);
    if (!changes) return pass(changes);
    if (changes->empty()) return {};
    std::size_t decided = 0;
    auto items = judged(**mid_tier, *changes, decided);
    if (!items) return pass(items);
    auto applied = apply(**mid_tier, *items, deadline);
    if (!applied) return pass(applied);
    if (decided + *applied == 0 || deadline.passed(surroundings_.clock)) return {};
  }
}

Result<bool> Settlement::anything_open() {
  auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!mid_tier) return pass(mid_tier);
  auto rows = (*mid_tier)->query("SELECT FROM sync.change WHERE device = $1::bigint AND state IN ('accepted', 'applying') LIMIT 1", {std::to_string(device_.id)});
  if (!rows) return pass(rows, "sync.change");
  return rows->size() > 0;
}

/// Applies that are open from before: of this process because the feed had not answered in time, or of one that ended.
Result<std::size_t> Settlement::recover(Deadline deadline) {
  auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!mid_tier) return pass(mid_tier);
  auto open = (*mid_tier)->query("SELECT DISTINCT apply_id FROM sync.change WHERE device = $1::bigint AND state = 'applying' ORDER BY 1", {std::to_string(device_.id)});
  if (!open) return pass(open, "sync.change");
  if (open->size() == 0) return 0;
  auto source = surroundings_.source.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!source) return pass(source);
  std::size_t decided = 0;
  for (int row = 0; row < open->size(); ++row) {
    const auto id = parse_u64(open->text(row, 0)).value_or(0);
    // Its transaction holds this lock as long as it is open, also when the process that began it is gone.
    auto over = (*source)->query("SELECT pg_try_advisory_lock_shared($1::bigint) AND pg_advisory_unlock_shared($1::bigint)", {std::to_string(static_cast<std::int64_t>(kApplyAuthors + id))});
    if (!over) return pass(over, "pg_try_advisory_lock_shared");
    if (over->text(0, 0) != "t") continue;
    auto lsn = (*source)->query("SELECT pg_current_wal_insert_lsn()");
    if (!lsn) return pass(lsn, "pg_current_wal_insert_lsn");
    auto position = parse_lsn(lsn->text(0, 0));
    if (!position) return pass(position);
    if (!surroundings_.feed.wait_until_passed(*position, deadline)) continue;
    auto confirmed = confirm(**mid_tier, id);
    if (!confirmed) return pass(confirmed);
    ++decided;
    if (*confirmed) continue;
    // Everything that committed has been seen, and it was not among it.
    auto again = (*mid_tier)->query("UPDATE sync.change SET state = 'accepted', apply_id = NULL WHERE apply_id = $1::bigint AND state = 'applying'", {std::to_string(id)});
    if (!again) return pass(again, "sync.change");
  }
  return decided;
}

Result<std::vector<Change>> Settlement::undecided(Connection& mid_tier) {
  auto rows = mid_tier.query(
      "SELECT id, upload, subscription, key, op, base, columns, changed, after, before FROM sync.change WHERE device = $1::bigint AND state = 'accepted' ORDER BY id LIMIT $2::integer",
      {std::to_string(device_.id), std::string(kMostAtOnce)});
  if (!rows) return pass(rows, "sync.change");
  std::vector<Change> changes;
  for (int row = 0; row < rows->size(); ++row) changes.push_back(read_change(*rows, row));
  // As foreign keys want it: children go before their parents, parents come before their children. Of one row each waits for the one before it anyway.
  const auto rank = [&](const Change& change) {
    const auto found = std::ranges::find_if(bounds_, [&](const Bound& bound) { return bound.rule.name == change.subscription; });
    const auto place = found - bounds_.begin();
    return change.op == UpRow::Op::kDelete ? -1 - place : place;
  };
  std::ranges::stable_sort(changes, {}, rank);
  return changes;
}

Result<std::vector<Settlement::Judged>> Settlement::judged(Connection& mid_tier, const std::vector<Change>& changes, std::size_t& decided) {
  std::vector<Judged> to_apply;
  for (const auto& change : changes) {
    if (not_now_.contains(change.subscription)) continue;
    const auto found = std::ranges::find_if(bounds_, [&](const Bound& bound) { return bound.rule.name == change.subscription; });
    Judged item{change, found == bounds_.end() ? nullptr : &*found, std::nullopt, false, false};
    if (item.bound == nullptr) {
      if (auto done = reject(mid_tier, change, "right", "", nullptr, nullptr); !done) return pass(done);
      ++decided;
      continue;
    }
    auto shadow = shadow_of(mid_tier, *item.bound, change.key);
    if (!shadow) return pass(shadow);
    item.shadow = std::move(*shadow);
    auto situation = situation_of(mid_tier, item);
    if (!situation) return pass(situation);
    auto verdict = judge(*situation);
    if (verdict.what == Verdict::What::kFunction) {
      auto merged = ask_function(mid_tier, item);
      if (!merged) return pass(merged);
      verdict = *merged ? Verdict{Verdict::What::kApply, {}} : Verdict{Verdict::What::kReject, "policy"};
    }
    using What = Verdict::What;
    if (verdict.what == What::kApply || verdict.what == What::kMerge) {
      to_apply.push_back(std::move(item));
      continue;
    }
    Status done;
    if (verdict.what == What::kReject) done = reject(mid_tier, change, verdict.reason, "", item.bound, item.shadow ? &*item.shadow : nullptr);
    if (verdict.what == What::kLater) done = wait_for(mid_tier, change, "source");
    if (verdict.what == What::kDone) {
      auto gone = mid_tier.query("UPDATE sync.change SET state = 'applied', as_sent = (op = 'D' AND NOT retried), decided = now() WHERE id = $1::bigint", {std::to_string(change.id)});
      if (!gone) done = pass(gone, "sync.change");
    }
    if (!done) return pass(done);
    if (verdict.what != What::kLater) ++decided;
  }
  return to_apply;
}

Result<std::optional<Settlement::Shadow>> Settlement::shadow_of(Connection& mid_tier, const Bound& bound, const std::string& key) {
  std::string columns;
  for (const auto& column : bound.table.columns) columns += (columns.empty() ? "" : ", ") + ("s." + Connection::quote_identifier(column.name));
  auto rows = mid_tier.query(fmt::format("SELECT s.verbund_csn, coalesce(({}), false), ARRAY[{}]::text[] FROM {} s WHERE s.verbund_key = $1", bound.condition("s"), columns, bound.shadow()), {key});
  if (!rows) return pass(rows, phrase("shadow of {}", bound.table.name));
  if (rows->size() == 0) return std::nullopt;
  return Shadow{Csn{parse_u64(rows->text(0, 0)).value_or(0)}, rows->text(0, 1) == "t", texts_of(*rows, 0, 2)};
}

constexpr std::string_view kStanding = R"sql(
  SELECT EXISTS (SELECT FROM sync.change WHERE table_id = $1::integer AND key = $2 AND id < $3::bigint AND state IN ('accepted', 'applying')),
         EXISTS (SELECT FROM sync.change WHERE device = $4::bigint AND table_id = $1::integer AND key = $2 AND id < $3::bigint AND state = 'applied' AND as_sent AND applied_csn = $5::bigint))sql";

Result<Situation> Settlement::situation_of(Connection& mid_tier, Judged& item) {
  const auto& change = item.change;
  const auto& bound = *item.bound;
  const auto& shadow = item.shadow;
  Situation s;
  s.op = change.op;
  s.base = change.base;
  s.rights = rights_of(bound);
  s.policy = bound.rule.conflict.kind;
  s.exists = shadow.has_value();
  auto standing = mid_tier.query(kStanding, {std::to_string(bound.table.id), change.key, std::to_string(change.id), std::to_string(device_.id), std::to_string(shadow ? shadow->version.value : 0)});
  if (!standing) return pass(standing, "sync.change");
  s.earlier_undecided = standing->text(0, 0) == "t";
  s.mine.assign(change.columns.size(), false);
  for (const auto place : change.changed) s.mine[place] = true;
  if (shadow) {
    s.version = shadow->version;
    s.version_is_own = standing->text(0, 1) == "t";
    s.before_in_filter = shadow->inside;
    s.theirs = theirs_of(change, bound, shadow->values);
    s.same = is_as_wanted(change, bound, shadow->values);
  }
  if (change.op == UpRow::Op::kInsert) {
    auto fits = fits_filter(mid_tier, bound, change);
    if (!fits) return pass(fits);
    s.after_in_filter = *fits != Fits::kNo;
    item.on_credit = *fits == Fits::kOnCredit;
  }
  return s;
}

Result<Settlement::Fits> Settlement::fits_filter(Connection& mid_tier, const Bound& bound, const Change& change) {
  if (bound.rule.filter.empty()) return Fits::kYes;
  std::string columns;
  std::vector<postgres::Parameter> values;
  for (const auto& column : bound.table.columns) {
    const auto sent = std::ranges::find(change.columns, column.name);
    if (sent != change.columns.end()) {
      values.push_back(change.after[static_cast<std::size_t>(sent - change.columns.begin())]);
    } else {
      const auto preset = bound.rule.defaults.find(column.name);
      values.push_back(preset == bound.rule.defaults.end() ? std::nullopt : std::optional(preset->second));
    }
    columns += fmt::format("{}${}::text AS {}", columns.empty() ? "" : ", ", values.size(), Connection::quote_identifier(column.name));
  }
  const auto brought = [&](std::size_t source) { return shadow_and_brought(bound.selection, source, device_.id); };
  auto rows = mid_tier.query(fmt::format("SELECT coalesce(({}), false), coalesce(({}), false) FROM (SELECT {}) s", bound.condition("s"),
                                         bound.selection.sources.size() == 1 ? "false" : bound.selection.condition("s", bound.bucket, brought), columns), values);
  if (rows) return rows->text(0, 0) == "t" ? Fits::kYes : rows->text(0, 1) == "t" ? Fits::kOnCredit : Fits::kNo;
  // A value that PostgreSQL can't read as the column's type fits no filter.
  if (mid_tier.healthy()) return Fits::kNo;
  return pass(rows, "filter");
}

/// The table's own function: (old, mine, theirs) → what the row is to become; its answer replaces what the device has sent.
Result<bool> Settlement::ask_function(Connection& mid_tier, Judged& item) {
  auto& change = item.change;
  Texts theirs;
  for (const auto& name : change.columns) {
    const auto& columns = item.bound->table.columns;
    const auto found = std::ranges::find(columns, name, &SourceTable::Column::name);
    theirs.push_back(found == columns.end() ? std::nullopt : item.shadow->values[static_cast<std::size_t>(found - columns.begin())]);
  }
  std::vector<std::optional<std::string>> names(change.columns.begin(), change.columns.end());
  auto rows = mid_tier.query(
      fmt::format("WITH merged AS (SELECT {}(jsonb_object($1::text[], $2::text[]), jsonb_object($1::text[], $3::text[]), jsonb_object($1::text[], $4::text[])) AS row)"
                  " SELECT m.row IS NULL, (SELECT array_agg(m.row ->> n.name ORDER BY n.at) FROM unnest($1::text[]) WITH ORDINALITY n(name, at))::text FROM merged m",
                  item.bound->rule.conflict.function),
      {array_of(names), array_of(change.before), array_of(change.after), array_of(theirs)});
  if (!rows) {
    if (!mid_tier.healthy()) return pass(rows, "conflict");
    surroundings_.log.warning("sync.function_failed", {{"subscription", change.subscription}, {"error", rows.error().message}});
    return false;
  }
  if (rows->text(0, 0) == "t") return false;
  auto merged = texts_of(*rows, 0, 1);
  change.changed.clear();
  for (std::size_t at = 0; at < merged.size(); ++at) {
    if (merged[at] != theirs[at]) change.changed.push_back(at);
  }
  change.after = std::move(merged);
  return true;
}

Status Settlement::reject(Connection& mid_tier, const Change& change, std::string_view reason, std::string_view message, const Bound* bound, const Shadow* shadow) {
  const bool shown = shadow != nullptr && shadow->inside;  // of a row that is not the user's nothing is told
  auto done = mid_tier.query("UPDATE sync.change SET state = 'rejected', waits_for = NULL, reason = $2, message = nullif($3, ''), theirs = $4::text[], decided = now() WHERE id = $1::bigint",
                             {std::to_string(change.id), std::string(reason), std::string(message), shown ? std::optional(layout_values(*bound, shadow->values)) : std::nullopt});
  if (!done) return pass(done, "sync.change");
  return {};
}

Status Settlement::wait_for(Connection& mid_tier, const Change& change, std::string_view what) {
  auto done = mid_tier.query("UPDATE sync.change SET waits_for = $2 WHERE id = $1::bigint AND waits_for IS DISTINCT FROM $2", {std::to_string(change.id), std::string(what)});
  if (!done) return pass(done, "sync.change");
  return {};
}

/// A transaction of the log that carries this apply's name: its changes are in the source.
Result<bool> Settlement::confirm(Connection& mid_tier, std::uint64_t apply_id) {
  auto found = mid_tier.query(
      "SELECT t.first_csn, t.last_csn FROM sync.apply a JOIN feed.transaction t ON t.last_csn > a.after_csn AND t.by_session = $2::bigint WHERE a.id = $1::bigint",
      {std::to_string(apply_id), std::to_string(kApplyAuthors + apply_id)});
  if (!found) return pass(found, "feed.transaction");
  if (found->size() == 0) return false;
  const std::string first(found->text(0, 0)), last(found->text(0, 1));
  auto rows = mid_tier.query("SELECT id, subscription, key, op, columns, after, retried FROM sync.change WHERE apply_id = $1::bigint AND state = 'applying' ORDER BY id", {std::to_string(apply_id)});
  if (!rows) return pass(rows, "sync.change");
  for (int row = 0; row < rows->size(); ++row) {
    const auto bound = std::ranges::find_if(bounds_, [&](const Bound& each) { return each.rule.name == rows->text(row, 1); });
    std::string csn = last;
    // Tried again after a reject: the device may have been given another row by then, also where its acknowledgement was lost.
    const bool retried = rows->text(row, 6) == "t";
    bool as_sent = rows->text(row, 3) == "D" && !retried;
    if (bound != bounds_.end() && !as_sent) {
      auto shadow = shadow_of(mid_tier, *bound, std::string(rows->text(row, 2)));
      if (!shadow) return pass(shadow);
      const bool still = *shadow && (*shadow)->version.value >= parse_u64(first).value_or(0) && (*shadow)->version.value <= parse_u64(last).value_or(0);
      if (still) csn = std::to_string((*shadow)->version.value);
      as_sent = still && layout_values(*bound, (*shadow)->values) == array_of(texts_of(*rows, row, 5)) && bound->places.size() == texts_of(*rows, row, 4).size() && !retried;
    }
    auto done = mid_tier.query("UPDATE sync.change SET state = 'applied', waits_for = NULL, applied_csn = $2::bigint, as_sent = $3::boolean, decided = now() WHERE id = $1::bigint",
                               {std::string(rows->text(row, 0)), csn, as_sent ? "true" : "false"});
    if (!done) return pass(done, "sync.change");
  }
  return true;
}

}  // namespace verbund::sync::server
