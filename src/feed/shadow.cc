#include "feed/shadow.h"

#include "base/messages.h"

namespace verbund::feed {
namespace {

using postgres::Connection;

/// Up to so many rows, a prepared statement per row is faster than arrays.
constexpr std::size_t kSingleRows = 4;
/// Up to so many rows of a table go with the commit's round trip.
constexpr std::size_t kQueuedRows = 64;
/// Rows that one UPDATE takes: bounds what both sides hold of its parameters.
constexpr std::size_t kUpdatePiece = 2'000;
/// COPY data is handed to libpq in pieces of this size.
constexpr std::size_t kCopyPiece = 1 << 20;

std::string shadow_columns(const CapturedTable& table) {
  std::string list = "verbund_key, verbund_csn";
  for (const Column& column : table.columns) list += ", " + Connection::quote_identifier(column.name);
  return list;
}

std::string copy_statement(const CapturedTable& table) {
  return fmt::format("COPY {} ({}) FROM STDIN", quoted("feed", table.shadow), shadow_columns(table));
}

/// The fields of one line of COPY text, still escaped.
std::vector<std::string_view> split_fields(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  std::vector<std::string_view> fields;
  for (;;) {
    const auto end = line.find('\t');
    fields.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

std::string unescaped(std::string_view field) {
  std::string text;
  for (std::size_t i = 0; i < field.size(); ++i) {
    if (field[i] != '\\' || i + 1 == field.size()) {
      text.push_back(field[i]);
      continue;
    }
    switch (const char c = field[++i]) {
      case 'b': text.push_back('\b'); break;
      case 'f': text.push_back('\f'); break;
      case 'n': text.push_back('\n'); break;
      case 'r': text.push_back('\r'); break;
      case 't': text.push_back('\t'); break;
      case 'v': text.push_back('\v'); break;
      default: text.push_back(c);
    }
  }
  return text;
}

void append_copied_row(std::string& out, const CapturedTable& table, std::string_view line, std::string_view version) {
  const auto fields = split_fields(line);
  if (table.key.size() == 1) {
    out += fields[table.key[0]];
  } else {
    std::vector<std::string> values;
    for (const std::size_t column : table.key) values.push_back(unescaped(fields[column]));
    const std::vector<std::string_view> parts(values.begin(), values.end());
    Connection::append_copy_text(out, join_key(parts));
  }
  out += '\t';
  out += version;
  out += '\t';
  out += line;
}

/// `"a" = source."a", …` of the version and the source's columns.
std::string assignments(const CapturedTable& table, std::string_view source) {
  std::string list = fmt::format("verbund_csn = {}.verbund_csn", source);
  for (const Column& column : table.columns) {
    const std::string name = Connection::quote_identifier(column.name);
    list += fmt::format(", {0} = {1}.{0}", name, source);
  }
  return list;
}

std::string upsert(const CapturedTable& table, std::string_view rows) {
  return fmt::format("INSERT INTO {} ({}) {} ON CONFLICT (verbund_key) DO UPDATE SET {}", quoted("feed", table.shadow),
                     shadow_columns(table), rows, assignments(table, "excluded"));
}

void upsert_single(BatchWriter& mid_tier, const CapturedTable& table, const std::string& key, const World::Entry& entry) {
  std::string places = "VALUES ($1, $2";
  std::vector<postgres::Parameter> values{key, std::to_string(entry.csn.value)};
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    places += fmt::format(", ${}", i + 3);
    values.push_back(entry.row[i]);
  }
  mid_tier.add(upsert(table, places + ")"), std::move(values));
}

/// Rows as one array per column of the shadow.
class RowArrays {
 public:
  explicit RowArrays(const CapturedTable& table) : arrays_(table.columns.size() + 2) {}
  void add(const std::string& key, const World::Entry& entry) {
    arrays_[0].add(key);
    arrays_[1].add(std::to_string(entry.csn.value));
    for (std::size_t i = 2; i < arrays_.size(); ++i) arrays_[i].add(entry.row[i - 2]);
  }
  [[nodiscard]] std::size_t size() const { return arrays_[0].size(); }
  std::vector<postgres::Parameter> take() {
    std::vector<postgres::Parameter> values;
    for (TextArray& array : arrays_) values.emplace_back(array.take());
    return values;
  }
  /// The parameters as a row source.
  [[nodiscard]] std::string unnest() const {
    std::string list = "unnest($1::text[], $2::bigint[]";
    for (std::size_t i = 2; i < arrays_.size(); ++i) list += fmt::format(", ${}::text[]", i + 1);
    return list + ")";
  }

 private:
  std::vector<TextArray> arrays_;
};

void upsert_few(BatchWriter& mid_tier, const CapturedTable& table, const World::Entries& entries, std::size_t live) {
  RowArrays rows(table);
  for (const auto& [key, entry] : entries) {
    if (!entry.live) continue;
    if (live <= kSingleRows) {
      upsert_single(mid_tier, table, key, entry);
    } else {
      rows.add(key, entry);
    }
  }
  if (rows.size() > 0) mid_tier.add(upsert(table, "SELECT * FROM " + rows.unnest()), rows.take());
}

/// In place: a row whose looked up columns stay as they are needs no new entry in an index while its page has room.
Status update_rows(Connection& mid_tier, const CapturedTable& table, RowArrays& rows) {
  const std::size_t count = rows.size();
  if (count == 0) return {};
  auto done = mid_tier.query(fmt::format("UPDATE {} AS shadow SET {} FROM {} AS new ({}) WHERE shadow.verbund_key = new.verbund_key",
                                         quoted("feed", table.shadow), assignments(table, "new"), rows.unnest(), shadow_columns(table)),
                             rows.take());
  if (!done) return pass(done);
  if (done->affected() == count) return {};
  return fail(ErrorCode::kSnapshotNeeded, phrase("the shadow of {} lacks a row that was updated", table.shown));
}

using Items = std::vector<const World::Entries::value_type*>;

Status copy_rows(Connection& mid_tier, const CapturedTable& table, const Items& items) {
  if (auto begun = mid_tier.copy_in_begin(copy_statement(table)); !begun) return begun;
  std::string data;
  for (const auto* item : items) {
    const auto& [key, entry] = *item;
    Connection::append_copy_text(data, key);
    fmt::format_to(std::back_inserter(data), "\t{}", entry.csn.value);
    for (const auto& value : entry.row) {
      data += '\t';
      Connection::append_copy_text(data, value);
    }
    data += '\n';
    if (data.size() < kCopyPiece) continue;
    if (auto written = mid_tier.copy_in_write(data); !written) return written;
    data.clear();
  }
  if (auto written = mid_tier.copy_in_write(data); !written) return written;
  if (auto finished = mid_tier.copy_in_finish(); !finished) return pass(finished);
  return {};
}

void delete_rows(BatchWriter& mid_tier, const CapturedTable& table, const World::Entries& entries) {
  TextArray gone;
  for (const auto& [key, entry] : entries) {
    if (entry.in_shadow && !entry.live) gone.add(key);
  }
  if (gone.size() == 0) return;
  mid_tier.add(fmt::format("DELETE FROM {} WHERE verbund_key = ANY($1::text[])", quoted("feed", table.shadow)), {gone.take()});
}

/// In the order of the source: what stands side by side there is touched together here.
Status write_many(Connection& mid_tier, const CapturedTable& table, const World::Entries& entries) {
  Items changed;
  Items made;
  for (const auto& item : entries) {
    if (item.second.live) (item.second.in_shadow ? changed : made).push_back(&item);
  }
  const auto by_csn = [](const auto* item) { return item->second.csn; };
  std::ranges::sort(changed, {}, by_csn);
  std::ranges::sort(made, {}, by_csn);
  RowArrays rows(table);
  for (const auto* item : changed) {
    rows.add(item->first, item->second);
    if (rows.size() < kUpdatePiece) continue;
    if (auto done = update_rows(mid_tier, table, rows); !done) return done;
  }
  if (auto done = update_rows(mid_tier, table, rows); !done) return done;
  return made.empty() ? Status{} : copy_rows(mid_tier, table, made);
}

}  // namespace

Result<std::uint64_t> fill_shadow(Connection& source, Connection& mid_tier, const CapturedTable& table, Csn version) {
  std::string columns;
  for (const Column& column : table.columns) {
    columns += (columns.empty() ? "" : ", ") + Connection::quote_identifier(column.name);
  }
  if (auto begun = mid_tier.copy_in_begin(copy_statement(table)); !begun) return pass(begun);
  const std::string csn = std::to_string(version.value);
  std::string data;
  Status written;
  auto read = source.copy_out(
      fmt::format("COPY (SELECT {} FROM {}{}) TO STDOUT", columns, table.partitioned ? "" : "ONLY ", quoted(table.schema, table.table)),
      [&](std::string_view line) {
        append_copied_row(data, table, line, csn);
        if (data.size() < kCopyPiece) return true;
        written = mid_tier.copy_in_write(data);
        data.clear();
        return written.has_value();
      });
  if (written && read) written = mid_tier.copy_in_write(data);
  if (!written || !read) {
    mid_tier.copy_in_abort("the source table could not be read");
    return written ? std::unexpected(std::move(read.error()).in(phrase("copy of {}", table.shown))) : pass(written, phrase("copy of {}", table.shown));
  }
  return mid_tier.copy_in_finish();
}

Status write_shadow(BatchWriter& mid_tier, const CapturedTable& table, const World::Entries& entries) {
  const auto live = static_cast<std::size_t>(std::ranges::count_if(entries, [](const auto& item) { return item.second.live; }));
  delete_rows(mid_tier, table, entries);
  if (live <= kQueuedRows) {
    upsert_few(mid_tier, table, entries, live);
    return {};
  }
  auto connection = mid_tier.writing();
  if (!connection) return pass(connection, phrase("shadow of {}", table.shown));
  if (auto done = write_many(**connection, table, entries); !done) return pass(done, phrase("shadow of {}", table.shown));
  return {};
}

Result<std::uint64_t> truncate_shadow(BatchWriter& mid_tier, const CapturedTable& table) {
  auto connection = mid_tier.writing();
  if (!connection) return pass(connection, phrase("shadow of {}", table.shown));
  const std::string name = quoted("feed", table.shadow);
  auto count = (*connection)->query(fmt::format("SELECT count(*) FROM {}", name));
  if (!count) return pass(count, phrase("shadow of {}", table.shown));
  if (auto done = (*connection)->execute("TRUNCATE " + name); !done) return pass(done, phrase("shadow of {}", table.shown));
  auto told = (*connection)->query("UPDATE feed.source_table SET truncated = true WHERE id = $1::integer", {std::to_string(table.id)});
  if (!told) return pass(told, phrase("shadow of {}", table.shown));
  return parse_u64(count->text(0, 0));
}

}  // namespace verbund::feed
