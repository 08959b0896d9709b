#include "history/reading.h"

#include "base/messages.h"
#include "feed/tables.h"

namespace verbund::history {
namespace {

/// Of one page, as they are stored (compressed).
constexpr std::size_t kPageBytes = 8 * 1024 * 1024;

WallTime time_at(const postgres::Rows& rows, int row, int column) {
  return WallTime{microseconds{std::stoll(std::string(rows.text(row, column)))}};
}

std::uint64_t number_at(const postgres::Rows& rows, int row, int column) { return parse_u64(rows.text(row, column)).value_or(0); }

using Values = std::vector<std::optional<std::string>>;

Result<Values> array_at(const postgres::Rows& rows, int row, int column) {
  if (rows.null(row, column)) return Values{};
  return feed::read_array(rows.text(row, column));
}

/// What stands in the arrays of a version, put together.
struct Contents {
  Values columns, changed, unchanged, before, after;
};

Status name_values(const Contents& contents, StoredVersion& version) {
  const auto broken = [] { return fail(ErrorCode::kInternal, phrase("history.version holds what it never should")); };
  const auto named = [&](const std::optional<std::string>& number) -> std::optional<std::size_t> {
    const auto place = number ? parse_u64(*number) : Result<std::uint64_t>(0);
    if (!number || !place || *place >= contents.columns.size()) return std::nullopt;
    return *place;
  };
  std::set<std::size_t> stayed;
  for (const auto& number : contents.unchanged) {
    const auto column = named(number);
    if (!column) return broken();
    stayed.insert(*column);
    version.unchanged.push_back(contents.columns[*column].value_or(""));
  }
  for (const auto& number : contents.changed) {
    const auto column = named(number);
    if (!column) return broken();
    version.changed.push_back(contents.columns[*column].value_or(""));
  }
  const bool sparse = version.op == feed::RowOp::kUpdate;
  for (std::size_t i = 0; i < contents.before.size(); ++i) {
    const std::size_t names = sparse ? version.changed.size() : contents.columns.size();
    if (i >= names) return broken();
    version.before.push_back({sparse ? version.changed[i] : contents.columns[i].value_or(""), contents.before[i]});
  }
  for (std::size_t i = 0; i < contents.after.size(); ++i) {
    if (i >= contents.columns.size()) return broken();
    if (!stayed.contains(i)) version.after.push_back({contents.columns[i].value_or(""), contents.after[i]});
  }
  return {};
}

Result<StoredVersion> read_version(const postgres::Rows& rows, int row) {
  StoredVersion version;
  const auto text = [&](int column) { return std::string(rows.text(row, column)); };
  version.place = {number_at(rows, row, 0), {number_at(rows, row, 1)}};
  version.transaction = {number_at(rows, row, 2)};
  version.committed = time_at(rows, row, 3);
  version.op = static_cast<feed::RowOp>(text(4).empty() ? '?' : text(4).front());
  version.table = text(5) == "public" ? text(6) : text(5) + "." + text(6);
  version.row_key = text(7);
  if (!rows.null(row, 8)) version.was_key = text(8);
  version.author = {static_cast<Author::How>(text(9).empty() ? 'U' : text(9).front()), {number_at(rows, row, 10)}, text(11), text(12)};
  version.erased = text(13) == "t";
  version.merged = text(20) == "t";
  Contents contents;
  int column = 14;
  for (auto* values : {&contents.columns, &contents.changed, &contents.unchanged, &contents.before, &contents.after}) {
    auto read = array_at(rows, row, column++);
    if (!read) return pass(read);
    *values = std::move(*read);
  }
  if (auto named = name_values(contents, version); !named) return pass(named);
  return version;
}

Result<std::vector<HistoryNotice>> read_notices(postgres::Connection& versions) {
  auto rows = versions.query(
      "SELECT stream, csn, (extract(epoch FROM at) * 1000000)::bigint, kind, detail FROM history.notice ORDER BY number LIMIT 1000");
  if (!rows) return pass(rows, "notices of the history");
  std::vector<HistoryNotice> notices;
  for (int row = 0; row < rows->size(); ++row) {
    notices.push_back({{number_at(*rows, row, 0), {number_at(*rows, row, 1)}}, time_at(*rows, row, 2), std::string(rows->text(row, 3)),
                       std::string(rows->text(row, 4))});
  }
  return notices;
}

}  // namespace

std::string to_string(const VersionPlace& place) { return fmt::format("{}:{}", place.stream, place.csn.value); }

Result<VersionPlace> parse_version_place(std::string_view text) {
  const auto colon = std::min(text.find(':'), text.size());
  const auto stream = parse_u64(text.substr(0, colon));
  const auto csn = parse_u64(text.substr(std::min(colon + 1, text.size())));
  if (stream && csn) return VersionPlace{*stream, {*csn}};
  return fail(ErrorCode::kBadMessage, phrase("read a place in the history: '{}' is none", text.substr(0, 60)));
}

Result<HistoryPage> read_history(postgres::Connection& versions, const RecordKey& key, std::optional<VersionPlace> after, std::size_t limit) {
  HistoryPage page;
  if (!after) {
    auto notices = read_notices(versions);
    if (!notices) return pass(notices);
    page.notices = std::move(*notices);
  }
  const VersionPlace from = after.value_or(VersionPlace{});
  auto rows = versions.query(
      "SELECT v.stream, v.csn, v.transaction_csn, (extract(epoch FROM v.committed) * 1000000)::bigint, v.op, l.schema_name, l.table_name,"
      "       v.row_key, v.was_key, v.how, coalesce(a.session, 0), coalesce(a.workstation, ''), coalesce(a.user_name, ''),"
      "       v.erasure IS NOT NULL, l.columns, v.changed, v.unchanged, v.before, v.after, v.found, v.merged"
      "  FROM (SELECT v.*, count(*) OVER () AS found,"
      "               sum(size) OVER (ORDER BY stream, csn ROWS UNBOUNDED PRECEDING) - size AS bytes_before"
      "          FROM (SELECT *, coalesce(pg_column_size(before), 0) + coalesce(pg_column_size(after), 0) AS size FROM history.version"
      "                 WHERE record = $1 AND (stream, csn) > ($2::integer, $3::bigint) ORDER BY stream, csn LIMIT $4::bigint) v) v"
      "  JOIN history.layout l ON l.id = v.layout LEFT JOIN history.author a ON a.id = v.author"
      " WHERE v.bytes_before <= $5::bigint ORDER BY v.stream, v.csn",
      {to_string(key), std::to_string(from.stream), std::to_string(from.csn.value), std::to_string(limit + 1), std::to_string(kPageBytes)});
  if (!rows) return pass(rows, "read the history");
  const int shown = std::min(rows->size(), static_cast<int>(limit));
  for (int row = 0; row < shown; ++row) {
    auto version = read_version(*rows, row);
    if (!version) return pass(version, "read the history");
    page.versions.push_back(std::move(*version));
  }
  if (shown > 0 && number_at(*rows, 0, 19) > static_cast<std::uint64_t>(shown)) page.next = page.versions.back().place;
  return page;
}

}  // namespace verbund::history
