#include "feed/journal.h"

#include "base/messages.h"
#include "feed/event_text.h"

namespace verbund::feed {
namespace {

using postgres::Connection;

/// Up to so many rows, arrays in one statement are faster than a COPY of their own.
constexpr std::size_t kSmallPart = 64;
constexpr std::size_t kCopyPiece = 1 << 20;

std::string text_of(Csn csn) { return std::to_string(csn.value); }

void write_small(BatchWriter& mid_tier, const JournalPart& part, Lsn lsn, Csn csn) {
  std::array<TextArray, 11> change;
  for (const JournalChange& row : part.changes) {
    change[0].add(text_of(row.csn));
    change[1].add(std::string(1, static_cast<char>(row.op)));
    change[2].add(std::to_string(row.table_id));
    change[3].add(row.key);
    change[4].add(row.was_key);
    change[5].add(row.records);
    change[6].add(row.layout == 0 ? std::nullopt : std::optional(std::to_string(row.layout)));
    change[7].add(row.changed);
    change[8].add(row.unchanged);
    change[9].add(row.before);
    change[10].add(row.after);
  }
  std::array<TextArray, 7> transaction;
  for (const JournalTransaction& row : part.transactions) {
    transaction[0].add(text_of(row.event.cursor.csn));
    transaction[1].add(text_of(row.first_csn));
    transaction[2].add(std::to_string(row.xid));
    transaction[3].add(to_string(row.event.commit_lsn));
    transaction[4].add(to_iso8601(row.event.commit_time));
    transaction[5].add(std::to_string(row.event.by.value));
    transaction[6].add(event_text(row.event));
  }
  std::vector<postgres::Parameter> values;
  for (TextArray& column : change) values.emplace_back(column.take());
  for (TextArray& column : transaction) values.emplace_back(column.take());
  values.emplace_back(to_string(lsn));
  values.emplace_back(text_of(csn));
  mid_tier.add(
      "WITH changes AS (INSERT INTO feed.change (csn, op, table_id, key, was_key, records, layout, changed, unchanged, before, after)"
      "  SELECT c.csn, c.op, c.table_id, c.key, c.was_key, c.records::text[], c.layout, c.changed, c.unchanged, c.before, c.after"
      "    FROM unnest($1::bigint[], $2::\"char\"[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[],"
      "                $9::text[], $10::text[], $11::text[])"
      "      AS c (csn, op, table_id, key, was_key, records, layout, changed, unchanged, before, after)),"
      " transactions AS (INSERT INTO feed.transaction (last_csn, first_csn, xid, commit_lsn, commit_time, by_session, event)"
      "  SELECT * FROM unnest($12::bigint[], $13::bigint[], $14::bigint[], $15::pg_lsn[], $16::timestamptz[], $17::bigint[],"
      "                       $18::text[]))"
      " UPDATE feed.position SET lsn = $19::pg_lsn, csn = $20::bigint",
      std::move(values));
}

/// COPY of rows that `append` writes as one line each.
template <typename Row, typename Append>
Status copy_rows(Connection& mid_tier, std::string_view statement, const std::vector<Row>& rows, Append append) {
  if (rows.empty()) return {};
  if (auto begun = mid_tier.copy_in_begin(statement); !begun) return pass(begun, "journal");
  std::string data;
  for (const Row& row : rows) {
    append(data, row);
    if (data.size() < kCopyPiece) continue;
    if (auto written = mid_tier.copy_in_write(data); !written) return pass(written, "journal");
    data.clear();
  }
  if (auto written = mid_tier.copy_in_write(data); !written) return pass(written, "journal");
  if (auto finished = mid_tier.copy_in_finish(); !finished) return pass(finished, "journal");
  return {};
}

void append_change(std::string& out, const JournalChange& row) {
  fmt::format_to(std::back_inserter(out), "{}\t{}\t{}\t", row.csn.value, static_cast<char>(row.op), row.table_id);
  Connection::append_copy_text(out, row.key);
  out += '\t';
  Connection::append_copy_text(out, row.was_key);
  out += '\t';
  Connection::append_copy_text(out, row.records);
  if (row.layout == 0) {
    out += "\t\\N\t\\N\t\\N\t\\N\t\\N\n";
    return;
  }
  fmt::format_to(std::back_inserter(out), "\t{}", row.layout);
  for (const auto* image : {&row.changed, &row.unchanged, &row.before, &row.after}) {
    out += '\t';
    Connection::append_copy_text(out, *image);
  }
  out += '\n';
}

void append_transaction(std::string& out, const JournalTransaction& row) {
  fmt::format_to(std::back_inserter(out), "{}\t{}\t{}\t{}\t{}\t{}\t", row.event.cursor.csn.value, row.first_csn.value, row.xid,
                 to_string(row.event.commit_lsn), to_iso8601(row.event.commit_time), row.event.by.value);
  Connection::append_copy_text(out, event_text(row.event));
  out += '\n';
}

Result<TransactionEvent> read_event(const postgres::Rows& rows, int row, const HistoryId& history) {
  TransactionEvent event;
  const auto csn = parse_u64(rows.text(row, 1));
  const auto lsn = parse_lsn(rows.text(row, 2));
  const auto by = parse_u64(rows.text(row, 4));
  if (!csn || !lsn || !by) return fail(ErrorCode::kInternal, phrase("feed.transaction holds what it never should"));
  event.cursor = {history, {*csn}};
  event.commit_lsn = *lsn;
  event.commit_time = WallTime{microseconds{std::stoll(std::string(rows.text(row, 3)))}};
  event.by = {*by};
  if (auto read = read_event_text(rows.text(row, 5), event); !read) return pass(read);
  return event;
}

}  // namespace

Result<std::optional<Position>> read_position(Connection& mid_tier) {
  auto rows = mid_tier.query("SELECT system_id, timeline, slot, lsn, history_id, csn, lost, forks FROM feed.position");
  if (!rows) return pass(rows, "position of the feed");
  if (rows->size() == 0) return std::nullopt;
  const auto timeline = parse_u64(rows->text(0, 1));
  const auto lsn = parse_lsn(rows->text(0, 3));
  const auto csn = parse_u64(rows->text(0, 5));
  if (!timeline || !lsn || !csn) return fail(ErrorCode::kInternal, phrase("feed.position holds what it never should"));
  Position position{std::string(rows->text(0, 0)), static_cast<std::uint32_t>(*timeline), std::string(rows->text(0, 2)), *lsn,
                    {{std::string(rows->text(0, 4))}, {*csn}}, {}};
  if (!rows->null(0, 6)) position.loss = Loss{std::string(rows->text(0, 6)), rows->text(0, 7) == "t", false};
  return position;
}

Result<LastTransaction> last_transaction(Connection& mid_tier) {
  // Differences found by comparing (xid 0) are of no transaction; what lies before this history's begin is of another log.
  auto rows = mid_tier.query(
      "SELECT r.floor_csn > b.csn, t.commit_lsn, t.xid, (extract(epoch FROM t.commit_time) * 1000000)::bigint"
      "  FROM feed.retained r, (SELECT coalesce(max(after_csn), 0) AS csn FROM feed.history) b"
      "  LEFT JOIN LATERAL (SELECT * FROM feed.transaction WHERE last_csn > b.csn AND xid <> 0 ORDER BY last_csn DESC LIMIT 1) t ON true");
  if (!rows) return pass(rows, "journal");
  if (rows->size() != 1) return LastTransaction{};
  if (rows->null(0, 1)) return LastTransaction{rows->text(0, 0) != "t", {}};
  const auto lsn = parse_lsn(rows->text(0, 1));
  const auto xid = parse_u64(rows->text(0, 2));
  if (!lsn || !xid) return fail(ErrorCode::kInternal, phrase("feed.transaction holds what it never should"));
  const WallTime time{microseconds{std::stoll(std::string(rows->text(0, 3)))}};
  return LastTransaction{true, LogTransaction{*lsn, static_cast<std::uint32_t>(*xid), time}};
}

Result<bool> has_had(Connection& mid_tier, const HistoryId& history) {
  auto rows = mid_tier.query("SELECT EXISTS (SELECT FROM feed.history WHERE history_id = $1)", {history.value});
  if (!rows) return pass(rows, "histories of the journal");
  return rows->text(0, 0) == "t";
}

Status begin_history(Connection& mid_tier, const Position& position) {
  // What lies below goes in parts (prune_journal), after its consumers. Emptying it here would lock the journal while everything
  // is compared.
  auto floor = mid_tier.query("UPDATE feed.retained SET floor_csn = $1::bigint", {text_of(position.head.csn)});
  if (!floor) return pass(floor, "journal");
  auto entered = mid_tier.query("INSERT INTO feed.history (history_id, after_csn) VALUES ($1, $2::bigint)",
                                {position.head.history.value, text_of(position.head.csn)});
  if (!entered) return pass(entered, "histories of the journal");
  auto written = mid_tier.query(
      "INSERT INTO feed.position (system_id, timeline, slot, lsn, history_id, csn)"
      " VALUES ($1, $2::bigint, $3, $4::pg_lsn, $5, $6::bigint)"
      " ON CONFLICT (only_one) DO UPDATE SET system_id = excluded.system_id, timeline = excluded.timeline,"
      "   slot = excluded.slot, lsn = excluded.lsn, history_id = excluded.history_id, csn = excluded.csn, lost = NULL, forks = false",
      {position.system_id, std::to_string(position.timeline), position.slot, to_string(position.lsn),
       position.head.history.value, text_of(position.head.csn)});
  if (!written) return pass(written, "position of the feed");
  return {};
}

Status move_position(Connection& mid_tier, Lsn lsn, Csn csn) {
  auto moved = mid_tier.query("UPDATE feed.position SET lsn = $1::pg_lsn, csn = $2::bigint", {to_string(lsn), text_of(csn)});
  if (!moved) return pass(moved, "position of the feed");
  return {};
}

Status note_loss(Connection& mid_tier, const Loss& loss) {
  auto noted = mid_tier.query("UPDATE feed.position SET lost = $1, forks = $2", {loss.reason, loss.forks ? "t" : "f"});
  if (!noted) return pass(noted, "position of the feed");
  return {};
}

Status settle_position(Connection& mid_tier, const Position& position) {
  auto settled = mid_tier.query(
      "UPDATE feed.position SET system_id = $1, timeline = $2::bigint, slot = $3, lsn = $4::pg_lsn, csn = $5::bigint, lost = NULL, forks = false",
      {position.system_id, std::to_string(position.timeline), position.slot, to_string(position.lsn), text_of(position.head.csn)});
  if (!settled) return pass(settled, "position of the feed");
  return {};
}

Status write_journal(BatchWriter& mid_tier, const JournalPart& part, std::optional<std::pair<Lsn, Csn>> position) {
  if (position && part.changes.size() <= kSmallPart) {
    write_small(mid_tier, part, position->first, position->second);
    return {};
  }
  auto connection = mid_tier.writing();
  if (!connection) return pass(connection, "journal");
  auto changes = copy_rows(**connection, "COPY feed.change (csn, op, table_id, key, was_key, records, layout, changed, unchanged, before, after) FROM STDIN",
                           part.changes, append_change);
  if (!changes) return changes;
  auto transactions = copy_rows(
      **connection, "COPY feed.transaction (last_csn, first_csn, xid, commit_lsn, commit_time, by_session, event) FROM STDIN",
      part.transactions, append_transaction);
  if (!transactions) return transactions;
  if (position) return move_position(**connection, position->first, position->second);
  return {};
}

Result<std::vector<TransactionEvent>> read_journal(Connection& mid_tier, const Cursor& from, const Cursor& head, std::size_t limit) {
  if (from.history != head.history || from.csn > head.csn) return fail(ErrorCode::kSnapshotNeeded, "history_changed");
  // One statement, one snapshot: the floor can't rise between it and the rows.
  auto rows = mid_tier.query(
      "SELECT r.floor_csn, t.last_csn, t.commit_lsn, (extract(epoch FROM t.commit_time) * 1000000)::bigint, t.by_session, t.event"
      "  FROM feed.retained r JOIN feed.position p ON p.history_id = $4"
      "  LEFT JOIN LATERAL (SELECT * FROM feed.transaction WHERE last_csn > $1::bigint AND last_csn <= $2::bigint"
      "                      ORDER BY last_csn LIMIT $3::bigint) t ON true"
      " ORDER BY t.last_csn",
      {text_of(from.csn), text_of(head.csn), std::to_string(limit), head.history.value});
  if (!rows) return pass(rows, "replay");
  if (rows->size() == 0) return fail(ErrorCode::kSnapshotNeeded, "history_changed");
  const auto floor = parse_u64(rows->text(0, 0));
  if (!floor || from.csn.value < *floor) return fail(ErrorCode::kSnapshotNeeded, "cursor_too_old");
  std::vector<TransactionEvent> events;
  for (int row = 0; row < rows->size(); ++row) {
    if (rows->null(row, 1)) break;
    auto event = read_event(*rows, row, head.history);
    if (!event) return pass(event, "replay");
    events.push_back(std::move(*event));
  }
  return events;
}

Result<int> layout_id(BatchWriter& mid_tier, const CapturedTable& table) {
  auto connection = mid_tier.writing();
  if (!connection) return pass(connection, phrase("layout of {}", table.shown));
  TextArray names;
  for (const Column& column : table.columns) names.add(column.name);
  TextArray key;
  for (const std::size_t column : table.key) key.add(std::to_string(column));
  // DO UPDATE with what is there: DO NOTHING would return no row.
  auto rows = (*connection)->query(
      "INSERT INTO feed.layout (schema_name, table_name, digest, columns, key) VALUES ($1, $2, md5($3), $4::text[], $5::smallint[])"
      " ON CONFLICT (schema_name, table_name, digest) DO UPDATE SET columns = excluded.columns RETURNING id",
      {table.schema, table.table, table.layout(), names.take(), key.take()});
  if (!rows) return pass(rows, phrase("layout of {}", table.shown));
  auto id = parse_u64(rows->text(0, 0));
  if (!id) return pass(id, phrase("layout of {}", table.shown));
  return static_cast<int>(*id);
}

}  // namespace verbund::feed
