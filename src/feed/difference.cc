#include "feed/difference.h"
#include "base/messages.h"

#include <bit>
#include <future>

namespace verbund::feed {
namespace {

using postgres::Connection;

/// So many rows share a bucket, roughly: what is read for one row that differs.
constexpr std::uint64_t kRowsPerBucket = 150;
/// Bounds the sums that either side holds.
constexpr std::uint64_t kMaxBuckets = 1 << 16;
constexpr int kPageRows = 2'000;
/// For the table of buckets, and to sort what is read.
constexpr std::string_view kSettings =
    "SET LOCAL work_mem = '64MB'; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL cursor_tuple_fraction = 1";

/// SQL over one side of the comparison.
struct Side {
  std::string from;
  std::string bucket_text;  ///< decides the bucket, the same text on both sides
  std::string row_text;     ///< differs when a value differs
  std::string columns;      ///< to read
  std::string order;
};

std::string column_names(const CapturedTable& table) {
  std::string list;
  for (const Column& column : table.columns) list += (list.empty() ? "" : ", ") + Connection::quote_identifier(column.name);
  return list;
}

std::string key_names(const CapturedTable& table) {
  std::string list;
  for (const std::size_t column : table.key) list += (list.empty() ? "" : ", ") + Connection::quote_identifier(table.columns[column].name);
  return list;
}

/// join_key of the key, from columns of any type: concat writes them as the log does, a cast to text may not.
std::string joined_key(const CapturedTable& table) {
  if (table.key.size() == 1) return fmt::format("concat({})", key_names(table));
  std::string joined;
  for (const std::size_t column : table.key) {
    joined += fmt::format(R"({}replace(replace(concat({}), '\', '\\'), ',', '\,'))", joined.empty() ? "" : " || ',' || ",
                          Connection::quote_identifier(table.columns[column].name));
  }
  return joined;
}

Side source_side(const CapturedTable& table) {
  return {fmt::format("{}{}", table.partitioned ? "" : "ONLY ", quoted(table.schema, table.table)),
          fmt::format("concat_ws(',', {})", key_names(table)), fmt::format("ROW({})::text", column_names(table)), column_names(table),
          fmt::format("convert_to({}, 'UTF8')", joined_key(table))};
}

Side shadow_side(const CapturedTable& table) {
  const bool single = table.key.size() == 1;
  return {quoted("feed", table.shadow), single ? "verbund_key" : fmt::format("concat_ws(',', {})", key_names(table)),
          fmt::format("ROW({})::text", column_names(table)), "verbund_key, " + column_names(table), "verbund_key"};
}

std::string bucket_of(const Side& side, std::uint64_t buckets) {
  return fmt::format("(hashtext(({}) COLLATE \"C\") & {})", side.bucket_text, buckets - 1);
}

struct Sum {
  std::uint64_t rows = 0;
  std::uint64_t hash = 0;
  friend bool operator==(const Sum&, const Sum&) = default;
};
using Sums = std::vector<Sum>;  // by bucket

Result<Sums> sums(Connection& connection, const Side& side, std::uint64_t buckets) {
  auto rows = connection.query(fmt::format(
      "SELECT {}, count(*), bit_xor(hashtextextended(({}) COLLATE \"C\", 0)) FROM {} GROUP BY 1", bucket_of(side, buckets), side.row_text,
      side.from));
  if (!rows) return pass(rows);
  Sums found(buckets);
  for (int row = 0; row < rows->size(); ++row) {
    const auto bucket = parse_u64(rows->text(row, 0));
    const auto count = parse_u64(rows->text(row, 1));
    if (!bucket || !count || *bucket >= buckets) return fail(ErrorCode::kInternal, phrase("sums of rows: not what was asked for"));
    found[*bucket] = {*count, static_cast<std::uint64_t>(std::stoll(std::string(rows->text(row, 2))))};
  }
  return found;
}

/// The rows of one side, ordered by key, a page at a time.
class Reader {
 public:
  Reader(Connection& connection, std::string name) : connection_(connection), name_(std::move(name)) {}

  /// `condition`: with WHERE, or empty.
  Status open(const Side& side, const std::string& condition) {
    return connection_.execute(fmt::format("DECLARE {} NO SCROLL CURSOR FOR SELECT {} FROM {} {} ORDER BY {}", name_, side.columns, side.from,
                                           condition, side.order));
  }
  Status close() { return connection_.execute("CLOSE " + name_); }

  /// To the next row; `at_end` says whether there was one.
  Status next() {
    if (rows_ && ++row_ < rows_->size()) return {};
    if (rows_ && rows_->size() < kPageRows) return end();
    // The values of the page before are of no use any more.
    auto page = connection_.query(fmt::format("FETCH {} FROM {}", kPageRows, name_));
    if (!page) return pass(page);
    rows_.emplace(std::move(*page));
    row_ = 0;
    if (rows_->size() == 0) return end();
    return {};
  }
  [[nodiscard]] bool at_end() const { return ended_; }
  [[nodiscard]] std::optional<std::string_view> value(int column) const {
    return rows_->null(row_, column) ? std::nullopt : std::optional(rows_->text(row_, column));
  }
  [[nodiscard]] Row row(const CapturedTable& table, int first) const {
    Row values(table.columns.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (const auto text = value(first + static_cast<int>(i))) values[i] = std::string(*text);
    }
    return values;
  }

 private:
  Status end() {
    ended_ = true;
    return {};
  }

  Connection& connection_;
  std::string name_;
  std::optional<postgres::Rows> rows_;
  int row_ = 0;
  bool ended_ = false;
};

/// Walks both sides by ascending key.
class Merge {
 public:
  Merge(const CapturedTable& table, std::size_t index, Reader& source, Reader& shadow, const Comparison::Sink& sink, Differences& result)
      : table_(table), index_(index), source_(source), shadow_(shadow), sink_(sink), result_(result) {}

  Status run() {
    if (auto first = to_next_source(); !first) return first;
    if (auto first = shadow_.next(); !first) return first;
    while (!source_.at_end() || !shadow_.at_end()) {
      if (auto done = step(); !done) return done;
    }
    return {};
  }
  /// Rows of the source.
  [[nodiscard]] std::uint64_t read() const { return read_; }

 private:
  Status step() {
    const int order = source_.at_end() ? 1 : shadow_.at_end() ? -1 : source_key_.compare(*shadow_.value(0));
    if (order < 0) {
      ++result_.inserted;
      if (auto told = sink_({RowOp::kInsert, index_, source_key_, {}, source_.row(table_, 0), {}}); !told) return told;
      return to_next_source();
    }
    if (order > 0) {
      ++result_.deleted;
      if (auto told = sink_({RowOp::kDelete, index_, std::string(*shadow_.value(0)), {}, {}, {}}); !told) return told;
      return shadow_.next();
    }
    if (!equal()) {
      ++result_.updated;
      if (auto told = sink_({RowOp::kUpdate, index_, source_key_, {}, source_.row(table_, 0), {}}); !told) return told;
    }
    if (auto next = shadow_.next(); !next) return next;
    return to_next_source();
  }

  [[nodiscard]] bool equal() const {
    for (int i = 0; i < static_cast<int>(table_.columns.size()); ++i) {
      if (source_.value(i) != shadow_.value(i + 1)) return false;
    }
    return true;
  }

  Status to_next_source() {
    if (auto next = source_.next(); !next) return next;
    if (source_.at_end()) return {};
    ++read_;
    std::vector<std::string_view> parts;
    for (const std::size_t column : table_.key) parts.push_back(source_.value(static_cast<int>(column)).value_or(std::string_view{}));
    std::string key = join_key(parts);
    // Both sides have to sort alike, or equal rows would be told as deleted and made.
    if (read_ > 1 && key <= source_key_) return fail(ErrorCode::kInternal, "compare " + table_.shown + ": the source does not sort by key");
    source_key_ = std::move(key);
    return {};
  }

  const CapturedTable& table_;
  std::size_t index_;
  Reader& source_;
  Reader& shadow_;
  const Comparison::Sink& sink_;
  Differences& result_;
  std::string source_key_;
  std::uint64_t read_ = 0;
};

Result<std::uint64_t> bucket_count(Connection& shadow, const CapturedTable& table) {
  // Before the first ANALYZE reltuples is -1: the size says enough.
  auto rows = shadow.query("SELECT greatest(reltuples, pg_relation_size(oid) / 500)::bigint FROM pg_class WHERE oid = $1::regclass",
                           {quoted("feed", table.shadow)});
  if (!rows) return pass(rows);
  const std::uint64_t estimated = parse_u64(rows->text(0, 0)).value_or(0);
  return std::bit_ceil(std::clamp<std::uint64_t>(estimated / kRowsPerBucket, 1, kMaxBuckets));
}

}  // namespace

/// Another encoding on the source makes other hashes of the same text.
Result<bool> Comparison::hashes_alike() {
  if (alike_) return *alike_;
  std::array<std::string, 2> answers;
  for (std::size_t i = 0; i < 2; ++i) {
    auto rows = (i == 0 ? source_ : shadow_)
                    .query("SELECT concat_ws(' ', getdatabaseencoding(), hashtext('a,1' COLLATE \"C\"), hashtextextended('a,1' COLLATE \"C\", 0))");
    if (!rows) return pass(rows);
    answers[i] = rows->text(0, 0);
  }
  return *(alike_ = answers[0] == answers[1]);
}

/// SQL that finds the rows of buckets that differ, on either side; empty: none do. Counts the source's rows.
Result<Comparison::Conditions> Comparison::differing(const CapturedTable& table, Differences& result) {
  auto alike = hashes_alike();
  if (!alike) return pass(alike);
  if (!*alike) return Conditions{{"", ""}};
  auto buckets = bucket_count(shadow_, table);
  if (!buckets) return pass(buckets);
  const Side theirs = source_side(table);
  const Side ours = shadow_side(table);
  auto waiting = std::async(std::launch::async, [&] { return sums(source_, theirs, *buckets); });
  auto mine = sums(shadow_, ours, *buckets);
  auto source = waiting.get();
  if (!source) return pass(source);
  if (!mine) return pass(mine);
  std::string numbers;
  bool all = true;
  for (std::size_t i = 0; i < *buckets; ++i) {
    result.compared += (*source)[i].rows;
    const bool same = (*source)[i] == (*mine)[i];
    all = all && !same;
    if (!same) numbers += fmt::format("{}{}", numbers.empty() ? "" : ",", i);
  }
  if (numbers.empty()) return Conditions{};
  if (all) return Conditions{{"", ""}};
  const auto condition = [&](const Side& side) { return fmt::format("WHERE {} = ANY('{{{}}}'::int[])", bucket_of(side, *buckets), numbers); };
  return Conditions{{condition(theirs), condition(ours)}};
}

Result<Differences> Comparison::run(const CapturedTable& table, std::size_t index, const Sink& sink) {
  for (Connection* connection : {&source_, &shadow_}) {
    if (auto set = connection->execute(kSettings); !set) return pass(set);
  }
  Differences result;
  auto conditions = differing(table, result);
  if (!conditions) return pass(conditions, phrase("compare {}", table.shown));
  if (!*conditions) return result;
  Reader source(source_, fmt::format("verbund_source_{}", index));
  Reader shadow(shadow_, fmt::format("verbund_shadow_{}", index));
  if (auto opened = source.open(source_side(table), (*conditions)->first); !opened) return pass(opened, phrase("compare {}", table.shown));
  if (auto opened = shadow.open(shadow_side(table), (*conditions)->second); !opened) return pass(opened, phrase("compare {}", table.shown));
  Merge merge(table, index, source, shadow, sink, result);
  if (auto merged = merge.run(); !merged) return pass(merged, phrase("compare {}", table.shown));
  result.compared = std::max(result.compared, merge.read());
  if (auto closed = source.close(); !closed) return pass(closed);
  if (auto closed = shadow.close(); !closed) return pass(closed);
  return result;
}

}  // namespace verbund::feed
