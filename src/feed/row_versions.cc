#include "feed/row_versions.h"

#include "base/messages.h"
#include "feed/tables.h"

namespace verbund::feed {
namespace {

using postgres::Connection;

std::string text_of(Csn csn) { return std::to_string(csn.value); }
Csn csn_at(const postgres::Rows& rows, int row, int column) { return {parse_u64(rows.text(row, column)).value_or(0)}; }

struct History {
  HistoryId id;
  Csn after;
};

/// What the journal holds, as of one snapshot.
struct Extent {
  Cursor head;
  Csn pruned;                      ///< changes up to here are gone
  Csn since;                       ///< images are kept for the consumer from here on
  std::vector<History> histories;  ///< in their order; the last is the present one
};

Result<Extent> read_extent(Connection& mid_tier, const std::string& consumer) {
  auto rows = mid_tier.query(
      "SELECT p.history_id, p.csn, r.pruned_csn, coalesce((SELECT since_csn FROM feed.consumer WHERE name = $1), p.csn)"
      "  FROM feed.position p CROSS JOIN feed.retained r",
      {consumer});
  if (!rows) return pass(rows, "extent of the journal");
  if (rows->size() == 0) return fail(ErrorCode::kUnavailable, phrase("extent of the journal: nothing was ever captured"));
  Extent extent{{{std::string(rows->text(0, 0))}, csn_at(*rows, 0, 1)}, csn_at(*rows, 0, 2), csn_at(*rows, 0, 3), {}};
  auto histories = mid_tier.query("SELECT history_id, after_csn FROM feed.history ORDER BY number");
  if (!histories) return pass(histories, "histories of the journal");
  for (int row = 0; row < histories->size(); ++row) {
    extent.histories.push_back({{std::string(histories->text(row, 0))}, csn_at(*histories, row, 1)});
  }
  if (extent.histories.empty() || extent.histories.back().id != extent.head.history) {
    return fail(ErrorCode::kInternal, phrase("feed.history does not end with the history of feed.position"));
  }
  return extent;
}

VersionPage interrupted(VersionBreak::Why why, Cursor to) {
  VersionPage page;
  page.upto = to;
  page.interrupted = VersionBreak{why, std::move(to)};
  return page;
}

VersionPage nothing(Cursor upto) {
  VersionPage page;
  page.upto = std::move(upto);
  return page;
}

/// Where rows may be read from and to; or what there is to say instead.
struct Stretch {
  std::optional<VersionPage> instead;
  Csn last;
};

Stretch stretch_behind(const Extent& extent, const Cursor& from, Csn limit) {
  using Why = VersionBreak::Why;
  const Csn whole = std::max(extent.pruned, extent.since);
  const History& present = extent.histories.back();
  if (from.history.value.empty()) return {nothing({present.id, std::max(whole, present.after)}), {}};
  const auto own = std::ranges::find(extent.histories, from.history, &History::id);
  const bool is_present = own + 1 == extent.histories.end();
  if (own == extent.histories.end() || (is_present && from.csn > extent.head.csn)) {
    return {interrupted(Why::kForeign, {present.id, std::max(whole, present.after)}), {}};
  }
  const Csn end = is_present ? extent.head.csn : own[1].after;
  if (from.csn < whole && from.csn < end) return {interrupted(Why::kNotKept, {from.history, std::min(whole, end)}), {}};
  if (!is_present && from.csn >= end) return {interrupted(Why::kNewHistory, {own[1].id, own[1].after}), {}};
  if (from.csn >= std::min(end, limit)) return {nothing(from), {}};
  return {std::nullopt, std::min(end, limit)};
}

std::optional<std::string> optional_text(const postgres::Rows& rows, int row, int column) {
  return rows.null(row, column) ? std::nullopt : std::optional(std::string(rows.text(row, column)));
}

Result<RowVersion> read_row(const postgres::Rows& rows, int row) {
  RowVersion version;
  version.csn = csn_at(rows, row, 0);
  version.op = static_cast<RowOp>(rows.text(row, 1).empty() ? '?' : rows.text(row, 1).front());
  version.layout = static_cast<int>(parse_u64(rows.text(row, 2)).value_or(0));
  version.key = std::string(rows.text(row, 3));
  version.was_key = optional_text(rows, row, 4);
  auto records = read_array(rows.text(row, 5));
  if (!records) return pass(records);
  for (const auto& text : *records) {
    // A key that is longer than keys may be can't be asked for either.
    if (auto key = text ? parse_record_key(*text) : fail(ErrorCode::kBadKey, phrase("no key")); key) version.records.push_back(std::move(*key));
  }
  version.changed = optional_text(rows, row, 6);
  version.unchanged = optional_text(rows, row, 7);
  version.before = optional_text(rows, row, 8);
  version.after = optional_text(rows, row, 9);
  return version;
}

/// Fills `page.rows`; their transactions are not known yet. Moves `page.upto`.
Status read_rows(Connection& mid_tier, Csn from, Csn last, const VersionLimits& limits, VersionPage& page) {
  auto rows = mid_tier.query(
      "SELECT csn, op, layout, key, was_key, records, changed, unchanged, before, after"
      "  FROM (SELECT c.*, sum(size) OVER (ORDER BY csn ROWS UNBOUNDED PRECEDING) - size AS bytes_before"
      "          FROM (SELECT *, coalesce(octet_length(before), 0) + coalesce(octet_length(after), 0) AS size"
      "                  FROM feed.change WHERE csn > $1::bigint AND csn <= $2::bigint ORDER BY csn LIMIT $3::bigint) c) c"
      " WHERE bytes_before <= $4::bigint ORDER BY csn",
      {text_of(from), text_of(last), std::to_string(limits.rows), std::to_string(limits.bytes)});
  if (!rows) return pass(rows, "row versions");
  page.upto.csn = rows->size() == 0 ? last : csn_at(*rows, rows->size() - 1, 0);
  for (int row = 0; row < rows->size(); ++row) {
    if (rows->null(row, 2)) continue;  // announced, or of a table that keeps no images
    auto version = read_row(*rows, row);
    if (!version) return pass(version, "row versions");
    page.rows.push_back(std::move(*version));
  }
  return {};
}

Status assign_transactions(Connection& mid_tier, VersionPage& page) {
  if (page.rows.empty()) return {};
  auto rows = mid_tier.query(
      "SELECT last_csn, (extract(epoch FROM commit_time) * 1000000)::bigint, by_session, xid = 0 FROM feed.transaction"
      " WHERE last_csn >= $1::bigint AND last_csn <= (SELECT min(last_csn) FROM feed.transaction WHERE last_csn >= $2::bigint)"
      " ORDER BY last_csn",
      {text_of(page.rows.front().csn), text_of(page.rows.back().csn)});
  if (!rows) return pass(rows, "transactions of row versions");
  for (int row = 0; row < rows->size(); ++row) {
    page.transactions.push_back({csn_at(*rows, row, 0), WallTime{microseconds{std::stoll(std::string(rows->text(row, 1)))}},
                                 {parse_u64(rows->text(row, 2)).value_or(0)}, rows->text(row, 3) == "t"});
  }
  std::size_t at = 0;
  for (RowVersion& version : page.rows) {
    while (at < page.transactions.size() && page.transactions[at].last_csn < version.csn) ++at;
    if (at == page.transactions.size()) return fail(ErrorCode::kInternal, phrase("feed.change holds a change of no transaction"));
    version.transaction = at;
  }
  return {};
}

}  // namespace

Result<VersionPage> read_versions(Connection& mid_tier, const std::string& consumer, const Cursor& from, const VersionLimits& limits) {
  // One snapshot: what is pruned or begun meanwhile shows next time.
  auto snapshot = mid_tier.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (!snapshot) return pass(snapshot);
  auto extent = read_extent(mid_tier, consumer);
  if (!extent) return pass(extent);
  Stretch stretch = stretch_behind(*extent, from, limits.upto);
  if (stretch.instead) return std::move(*stretch.instead);
  VersionPage page;
  page.upto = from;
  if (auto read = read_rows(mid_tier, from.csn, stretch.last, limits, page); !read) return pass(read);
  if (auto assigned = assign_transactions(mid_tier, page); !assigned) return pass(assigned);
  if (auto done = snapshot->commit(); !done) return pass(done);
  return page;
}

Result<RowLayout> read_layout(Connection& mid_tier, int id) {
  auto rows = mid_tier.query("SELECT schema_name, table_name, columns, key, digest FROM feed.layout WHERE id = $1::integer",
                             {std::to_string(id)});
  if (!rows) return pass(rows, "layout of row versions");
  if (rows->size() == 0) return fail(ErrorCode::kNotFound, phrase("layout {} of row versions: it is unknown", id));
  const auto text = [&](int column) { return std::string(rows->text(0, column)); };
  return RowLayout{text(0), text(1), text(2), text(3), text(4)};
}

Status keep_consumers(Connection& mid_tier, const std::vector<std::string>& consumers) {
  TextArray names;
  for (const std::string& name : consumers) names.add(name);
  auto kept = mid_tier.query(
      "WITH named AS (SELECT unnest($1::text[]) AS name),"
      " gone AS (DELETE FROM feed.consumer WHERE name NOT IN (SELECT name FROM named))"
      " INSERT INTO feed.consumer (name, since_csn, csn)"
      "  SELECT n.name, p.csn, p.csn FROM named n CROSS JOIN feed.position p ON CONFLICT (name) DO NOTHING",
      {names.take()});
  if (!kept) return pass(kept, "consumers of the journal");
  return {};
}

Status move_consumer(Connection& mid_tier, const std::string& consumer, Csn csn) {
  // Losing this in a crash only keeps the journal a little longer.
  auto transaction = mid_tier.begin();
  if (!transaction) return pass(transaction);
  if (auto set = mid_tier.execute("SET LOCAL synchronous_commit = off"); !set) return set;
  auto moved = mid_tier.query("UPDATE feed.consumer SET csn = $2::bigint WHERE name = $1 AND csn < $2::bigint", {consumer, text_of(csn)});
  if (!moved) return pass(moved, "consumer of the journal");
  return transaction->commit();
}

Status forget_images(Connection& mid_tier, const RecordKey& record, WallTime upto) {
  auto last = mid_tier.query(
      "SELECT coalesce(max(last_csn), 0) FROM feed.transaction"
      " WHERE commit_time <= timestamptz 'epoch' + $1::bigint * interval '1 microsecond'",
      {std::to_string(upto.time_since_epoch().count())});
  if (!last) return pass(last, "erase images of the journal");
  if (last->text(0, 0) == "0") return {};
  TextArray key;
  key.add(to_string(record));
  auto gone = mid_tier.query(
      "UPDATE feed.change SET changed = NULL, unchanged = NULL, before = NULL, after = NULL"
      " WHERE csn <= $2::bigint AND layout IS NOT NULL AND records && $1::text[] AND (before IS NOT NULL OR after IS NOT NULL)",
      {key.take(), std::string(last->text(0, 0))});
  if (!gone) return pass(gone, "erase images of the journal");
  return {};
}

}  // namespace verbund::feed
