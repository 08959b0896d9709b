#include "sync/server/reply.h"

#include <bit>

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

/// Rows of a COPY … (FORMAT binary): a header, then per row the number of fields and each with its length (PostgreSQL's documentation, COPY).
class BinaryRows {
 public:
  explicit BinaryRows(std::size_t columns) : fields_(columns) {}

  /// One CopyData message: PostgreSQL sends one per row, the first behind the header. False: no row (the trailer); malformed is kInternal.
  Result<bool> read(std::string_view message) {
    constexpr std::size_t kSignature = 11;
    std::size_t at = 0;
    if (first_) {
      first_ = false;
      at = kSignature + 4;
      if (message.size() < at + 4) return bad();
      at += 4 + number(message, at);
      if (at == message.size()) return false;
    }
    if (message.size() < at + 2) return bad();
    const auto count = static_cast<std::int16_t>(static_cast<std::uint8_t>(message[at]) << 8 | static_cast<std::uint8_t>(message[at + 1]));
    if (count == -1) return false;
    if (static_cast<std::size_t>(count) != fields_.size()) return bad();
    at += 2;
    for (auto& field : fields_) {
      if (message.size() < at + 4) return bad();
      const auto size = static_cast<std::int32_t>(number(message, at));
      at += 4;
      if (size < 0) {
        field.reset();
        continue;
      }
      if (message.size() - at < static_cast<std::size_t>(size)) return bad();
      field = message.substr(at, static_cast<std::size_t>(size));
      at += static_cast<std::size_t>(size);
    }
    return true;
  }
  [[nodiscard]] const std::vector<std::optional<std::string_view>>& fields() const { return fields_; }

 private:
  static std::uint32_t number(std::string_view bytes, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
    return value;
  }
  static std::unexpected<Error> bad() { return fail(ErrorCode::kInternal, "COPY: a row can't be read"); }

  bool first_ = true;
  std::vector<std::optional<std::string_view>> fields_;
};

/// Blocks as they become full, within the subscription's limits.
class Output {
 public:
  Output(const Wanted& wanted, const BlockSink& sink) : bound_(*wanted.bound), more_(wanted.more), sink_(sink), writer_(BlockHead::Kind::kDown, kLevel, wanted.first) {}

  Status upsert(const std::vector<std::optional<std::string_view>>& fields) {
    ++rows_;
    for (const auto& field : fields) bytes_ += field ? field->size() : 0;
    const auto& rule = bound_.rule;
    if ((rule.max_rows != 0 && rows_ > rule.max_rows) || (rule.max_bytes != 0 && bytes_ > rule.max_bytes)) {
      return fail(ErrorCode::kTooLarge, phrase("subscription {}: a device would get more than the {} rows or {} bytes that are allowed", rule.name, rule.max_rows, rule.max_bytes));
    }
    if (auto added = writer_.add_upsert(bound_.kinds, fields); !added) return added;
    return after();
  }
  Status slot(std::int64_t number) {
    if (auto added = writer_.add(DownRow{DownRow::Op::kSlot, {Value{number}}}); !added) return added;
    return after();
  }
  Status key(DownRow::Op op, std::string_view key) {
    auto values = bound_.key_values(key);
    if (!values) return pass(values);
    if (auto added = writer_.add(DownRow{op, std::move(*values)}); !added) return added;
    return after();
  }
  /// `even_empty`: a refresh says something without rows, too.
  Result<std::uint32_t> finish(bool even_empty) {
    if (writer_.rows() == 0 && writer_.number() == 0 && !even_empty) return 0;
    if (auto taken = take(true); !taken) return pass(taken);
    return writer_.number();
  }

 private:
  Status after() { return writer_.full() ? take(false) : Status{}; }
  Status take(bool last) {
    const bool ends = last && !more_;
    const BlockHead head{BlockHead::Kind::kDown, writer_.number(), ends, writer_.rows()};
    auto block = writer_.take(ends);
    if (!block) return pass(block);
    return sink_(head, std::move(*block));
  }

  static constexpr int kLevel = 1;
  const Bound& bound_;
  const bool more_;
  const BlockSink& sink_;
  BlockWriter writer_;
  std::uint64_t rows_ = 0, bytes_ = 0;
};

std::string row_columns(const Bound& bound) {
  std::string columns;
  for (const auto& column : bound.layout.columns) columns += (columns.empty() ? "" : ", ") + ("s." + Connection::quote_identifier(column.name));
  return columns;
}

/// Keys of the device's changes that are decided otherwise than it has them, and not told yet: they come whatever their version.
std::string corrected(const Bound& bound, std::uint64_t device) {
  return fmt::format("SELECT c.key FROM sync.change c WHERE c.device = {} AND c.subscription = {} AND c.told_sync IS NULL AND (c.state IN ('rejected', 'dismissed') OR (c.state = 'applied' AND NOT c.as_sent))",
                     device, Connection::quote_literal(bound.rule.name));
}

/// Keys that stay on the device as they are: what it has changed is not decided. One that was told as rejected and is tried again is over for the device.
std::string open_keys(const Bound& bound, std::uint64_t device) {
  return fmt::format("SELECT c.key FROM sync.change c WHERE c.device = {} AND c.table_id = {} AND c.state IN ('accepted', 'applying') AND c.told_sync IS NULL", device, bound.table.id);
}

/// Keys that have come into the device's bucket or left it since its cursor, without regard to whether they are in it now.
std::string moved_keys(const Bound& bound, const Wanted& wanted) {
  std::string bucket;
  for (const auto& value : bound.bucket) bucket += (bucket.empty() ? "" : ", ") + Connection::quote_literal(value);
  return fmt::format("SELECT key FROM sync.moved WHERE subscription = {} AND bucket = ARRAY[{}]::text[] AND csn > {}", Connection::quote_literal(bound.rule.name), bucket, wanted.cursor.csn.value);
}

std::string changed_rows(const Bound& bound, std::uint64_t device, const Wanted& wanted) {
  const auto rows = [&](const std::string& which) {
    return fmt::format("SELECT s.verbund_key, {} FROM {} s WHERE {} AND NOT s.verbund_key IN ({}){}", row_columns(bound), bound.shadow(), bound.condition("s"), open_keys(bound, device), which);
  };
  const auto all = [&](const std::string& from) { return fmt::format("SELECT {} FROM ({}) s ORDER BY s.verbund_key", row_columns(bound), from); };
  if (wanted.refresh) return all(rows({}));
  const auto own = fmt::format("SELECT FROM sync.change c WHERE c.device = {} AND c.table_id = {} AND c.key = s.verbund_key AND c.state = 'applied' AND c.as_sent AND c.applied_csn = s.verbund_csn",
                               device, bound.table.id);
  // Looks of their own, each along its index: with OR between them every row would be looked at.
  auto looks = rows(fmt::format(" AND s.verbund_csn > {} AND NOT EXISTS ({}) AND NOT s.verbund_key IN ({})", wanted.cursor.csn.value, own, corrected(bound, device))) + " UNION ALL " +
               rows(fmt::format(" AND s.verbund_key IN ({})", corrected(bound, device)));
  if (bound.selection.sources.size() > 1) {
    looks += " UNION ALL " + rows(fmt::format(" AND s.verbund_csn <= {} AND s.verbund_key IN ({}) AND NOT s.verbund_key IN ({})", wanted.cursor.csn.value, moved_keys(bound, wanted), corrected(bound, device)));
  }
  return all(looks);
}

std::string gone_keys(const Bound& bound, std::uint64_t device, const Wanted& wanted) {
  return fmt::format(
      "SELECT g.key FROM ({} UNION {}) g WHERE NOT EXISTS (SELECT FROM {} s WHERE s.verbund_key = g.key AND {}) AND NOT g.key IN ({})"
      // What it has deleted itself since its cursor, as its last word on that row, it does not have, whatever happened to the row after that.
      " AND NOT coalesce((SELECT c.op = 'D' AND c.state = 'applied' AND c.as_sent AND c.applied_csn > {} FROM sync.change c WHERE c.device = {} AND c.table_id = {} AND c.key = g.key ORDER BY c.id DESC LIMIT 1), false)",
      moved_keys(bound, wanted), corrected(bound, device), bound.shadow(), bound.condition("s"), open_keys(bound, device), wanted.cursor.csn.value, device, bound.table.id);
}

Status write_keys(Connection& mid_tier, const std::string& query, DownRow::Op op, Output& output) {
  auto rows = mid_tier.query(query);
  if (!rows) return pass(rows);
  for (int row = 0; row < rows->size(); ++row) {
    if (auto written = output.key(op, rows->text(row, 0)); !written) return written;
  }
  return {};
}

using Fields = std::vector<std::optional<std::string_view>>;

/// Rows of a query, one after the other.
Status read_rows(Connection& mid_tier, const Bound& bound, const std::string& query, const std::function<Status(const Fields&)>& take) {
  BinaryRows rows(bound.kinds.size());
  Status failed;
  auto copied = mid_tier.copy_out(fmt::format("COPY ({}) TO STDOUT (FORMAT binary)", query), [&](std::string_view message) {
    auto more = rows.read(message);
    if (!more) failed = pass(more);
    if (failed && *more) failed = take(rows.fields());
    return failed.has_value();
  });
  if (!failed) return pass(failed);
  if (!copied) return pass(copied, phrase("subscription {}", bound.rule.name));
  return {};
}

/// Key and row as sums count them.
class Encoded {
 public:
  explicit Encoded(const Bound& bound) : bound_(bound) {}
  Status take(const Fields& fields) {
    row_.clear();
    key_.clear();
    for (std::size_t at = 0; at < fields.size(); ++at) {
      if (!append_text_value(row_, bound_.kinds[at], fields[at])) return fail(ErrorCode::kInternal, fmt::format("subscription {}: value {} is no {}", bound_.rule.name, at, name_of(bound_.kinds[at])));
    }
    for (const auto place : bound_.layout.key) {
      if (!append_text_value(key_, bound_.kinds[place], fields[place])) return fail(ErrorCode::kInternal, fmt::format("subscription {}: a key is none", bound_.rule.name));
    }
    return {};
  }
  [[nodiscard]] const std::string& row() const { return row_; }
  [[nodiscard]] const std::string& key() const { return key_; }

 private:
  const Bound& bound_;
  std::string row_, key_;
};

/// The slots that differ, and their rows: two looks at all rows, of one snapshot.
Status write_differing(Connection& mid_tier, const Bound& bound, const std::string& query, const RowSums& theirs, Output& output) {
  RowSums ours(theirs.slots());
  Encoded encoded(bound);
  auto summed = read_rows(mid_tier, bound, query, [&](const Fields& fields) {
    auto taken = encoded.take(fields);
    if (taken) ours.add(encoded.key(), encoded.row());
    return taken;
  });
  if (!summed) return summed;
  const auto differ = ours.differing(theirs);
  bool any = false;
  for (std::size_t slot = 0; slot < differ.size(); ++slot) {
    if (!differ[slot]) continue;
    any = true;
    if (auto written = output.slot(static_cast<std::int64_t>(slot)); !written) return written;
  }
  if (!any) return {};
  return read_rows(mid_tier, bound, query, [&](const Fields& fields) -> Status {
    if (auto taken = encoded.take(fields); !taken) return taken;
    return differ[ours.slot_of(encoded.key())] ? output.upsert(fields) : Status{};
  });
}

}  // namespace

Result<std::uint32_t> write_rows(Connection& mid_tier, std::uint64_t device, const Wanted& wanted, const BlockSink& sink) {
  const auto& bound = *wanted.bound;
  Output output(wanted, sink);
  // What goes first: a row may have taken over the unique value of one that went.
  const auto keys = wanted.refresh ? write_keys(mid_tier, open_keys(bound, device), DownRow::Op::kKeep, output) : write_keys(mid_tier, gone_keys(bound, device, wanted), DownRow::Op::kDelete, output);
  if (!keys) return std::unexpected(keys.error());
  const auto query = changed_rows(bound, device, wanted);
  auto written = wanted.sums ? write_differing(mid_tier, bound, query, *wanted.sums, output) : read_rows(mid_tier, bound, query, [&](const Fields& fields) { return output.upsert(fields); });
  if (!written) return pass(written);
  return output.finish(wanted.refresh);
}

Result<bool> has_rows(Connection& mid_tier, const Bound& bound, std::uint64_t least) {
  auto rows = mid_tier.query(fmt::format("SELECT count(*) = {0} FROM (SELECT FROM {1} s WHERE {2} LIMIT {0}) few", least, bound.shadow(), bound.condition("s")));
  if (!rows) return pass(rows, phrase("subscription {}", bound.rule.name));
  return rows->text(0, 0) == "t";
}

Result<std::vector<Outcome>> outcomes_of(Connection& mid_tier, std::uint64_t device) {
  auto rows = mid_tier.query(
      "SELECT upload, row, subscription, state, coalesce(reason, waits_for, 'source'), coalesce(message, '') FROM sync.change"
      " WHERE device = $1::bigint AND told_sync IS NULL ORDER BY id LIMIT $2::integer",
      {std::to_string(device), std::to_string(kMaxOutcomes)});
  if (!rows) return pass(rows, "sync.change");
  std::vector<Outcome> outcomes;
  for (int row = 0; row < rows->size(); ++row) {
    Outcome outcome;
    outcome.upload = parse_u64(rows->text(row, 0)).value_or(0);
    outcome.row = static_cast<std::uint32_t>(parse_u64(rows->text(row, 1)).value_or(0));
    outcome.subscription = std::string(rows->text(row, 2));
    const auto state = rows->text(row, 3);
    outcome.state = state == "applied" ? Outcome::State::kApplied : state == "rejected" || state == "dismissed" ? Outcome::State::kRejected : Outcome::State::kWaiting;
    if (outcome.state != Outcome::State::kApplied) outcome.reason = std::string(rows->text(row, 4));
    outcome.text = std::string(rows->text(row, 5));
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

}  // namespace verbund::sync::server
