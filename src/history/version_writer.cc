#include "history/version_writer.h"

#include "base/messages.h"

namespace verbund::history {
namespace {

using postgres::Connection;

constexpr std::size_t kCopyPiece = 1 << 20;
/// Sessions come and go for years: what is remembered of their rows is bounded.
constexpr std::size_t kMostAuthors = 10'000;

std::string text_of(Csn csn) { return std::to_string(csn.value); }

std::string_view kind_of(feed::VersionBreak::Why why) {
  switch (why) {
    case feed::VersionBreak::Why::kNewHistory: return "merged";
    case feed::VersionBreak::Why::kNotKept: return "not_kept";
    case feed::VersionBreak::Why::kForeign: return "foreign";
  }
  return "foreign";
}

std::string shown(const Cursor& cursor) { return fmt::format("{}:{}", cursor.history.value, cursor.csn.value); }

}  // namespace

void VersionWriter::give_up() {
  connection_.reset();
  streams_.clear();
  layouts_entered_.clear();
  authors_.clear();
}

Status VersionWriter::connect() {
  if (connection_ && connection_->healthy()) return {};
  give_up();
  auto opened = Connection::open(settings_);
  if (!opened) return pass(opened, "versions database");
  connection_.emplace(std::move(*opened));
  return {};
}

Result<Cursor> VersionWriter::position() {
  if (auto connected = connect(); !connected) return pass(connected);
  auto rows = connection_->query("SELECT history_id, csn FROM history.position");
  if (!rows || rows->size() != 1) {
    give_up();
    if (!rows) return pass(rows, "position of the versions");
    return fail(ErrorCode::kInternal, phrase("history.position is empty"));
  }
  return Cursor{{std::string(rows->text(0, 0))}, {parse_u64(rows->text(0, 1)).value_or(0)}};
}

Status VersionWriter::note_types(const Cursor& at, const std::vector<std::string>& types) {
  if (auto connected = connect(); !connected) return connected;
  auto stream = stream_id(at.history);
  if (!stream) {
    give_up();
    return pass(stream);
  }
  auto noted = connection_->query(
      "INSERT INTO history.notice (kind, stream, csn, detail) SELECT 'types', $1::integer, $2::bigint, $3"
      " WHERE $3 IS DISTINCT FROM (SELECT detail FROM history.notice WHERE kind = 'types' ORDER BY number DESC LIMIT 1)",
      {std::to_string(*stream), text_of(at.csn), fmt::format("{}", fmt::join(types, ", "))});
  if (noted) return {};
  give_up();
  return pass(noted, "types with history");
}

Status VersionWriter::write(const Cursor& from, const feed::VersionPage& page, std::span<const VersionEntry> entries) {
  if (auto connected = connect(); !connected) return connected;
  auto written = write_all(from, page, entries);
  if (!written) give_up();
  return written;
}

Status VersionWriter::write_all(const Cursor& from, const feed::VersionPage& page, std::span<const VersionEntry> entries) {
  if (authors_.size() > kMostAuthors) authors_.clear();
  auto transaction = connection_->begin();
  if (!transaction) return pass(transaction, "store versions");
  if (auto checked = check_position(from); !checked) return checked;
  if (page.interrupted && !from.history.value.empty()) {
    auto stream = stream_id(from.history);
    if (!stream) return pass(stream);
    if (auto noted = note_break(*stream, from, *page.interrupted); !noted) return noted;
  }
  auto stream = stream_id(page.upto.history);
  if (!stream) return pass(stream);
  if (auto copied = copy(*stream, entries); !copied) return pass(copied, "store versions");
  auto moved = connection_->query("UPDATE history.position SET history_id = $1, csn = $2::bigint",
                                  {page.upto.history.value, text_of(page.upto.csn)});
  if (!moved) return pass(moved, "position of the versions");
  return transaction->commit();
}

Status VersionWriter::check_position(const Cursor& from) {
  auto rows = connection_->query("SELECT history_id = $1 AND csn = $2::bigint FROM history.position FOR UPDATE",
                                 {from.history.value, text_of(from.csn)});
  if (!rows) return pass(rows, "position of the versions");
  if (rows->size() == 1 && rows->text(0, 0) == "t") return {};
  return fail(ErrorCode::kInUse, phrase("store versions: somebody else has moved their position"));
}

Status VersionWriter::note_break(int stream, const Cursor& from, const feed::VersionBreak& interrupted) {
  auto noted = connection_->query(
      "INSERT INTO history.notice (kind, stream, csn, detail) VALUES ($1, $2::integer, $3::bigint, $4)",
      {std::string(kind_of(interrupted.why)), std::to_string(stream), text_of(from.csn), "goes on at " + shown(interrupted.to)});
  if (!noted) return pass(noted, "note a break in the versions");
  return {};
}

// Everything that versions name is entered first: no other statement may run during a COPY.
Status VersionWriter::copy(int stream, std::span<const VersionEntry> entries) {
  if (entries.empty()) return {};
  for (const VersionEntry& entry : entries) {
    if (auto layout = layout_id(entry.row->layout); !layout) return pass(layout);
    if (entry.author.how == Author::How::kUnknown) continue;
    if (auto author = author_id(entry.author); !author) return pass(author);
  }
  auto begun = connection_->copy_in_begin(
      "COPY history.version (record, stream, csn, transaction_csn, committed, op, layout, merged, row_key, was_key, how, author, changed,"
      " unchanged, before, after) FROM STDIN");
  if (!begun) return begun;
  std::string data;
  for (const VersionEntry& entry : entries) {
    if (auto appended = append(data, stream, entry); !appended) return appended;
    if (data.size() < kCopyPiece) continue;
    if (auto sent = connection_->copy_in_write(data); !sent) return sent;
    data.clear();
  }
  if (auto sent = connection_->copy_in_write(data); !sent) return sent;
  if (auto finished = connection_->copy_in_finish(); !finished) return pass(finished);
  return {};
}

Status VersionWriter::append(std::string& data, int stream, const VersionEntry& entry) {
  const feed::RowVersion& row = *entry.row;
  const auto field = [&](std::optional<std::string_view> value) {
    data += '\t';
    Connection::append_copy_text(data, value);
  };
  Connection::append_copy_text(data, entry.record);
  fmt::format_to(std::back_inserter(data), "\t{}\t{}\t{}\t{}\t{}\t{}\t{}", stream, row.csn.value, entry.transaction->last_csn.value,
                 to_iso8601(entry.transaction->commit_time), static_cast<char>(row.op), layouts_entered_.at(row.layout),
                 entry.transaction->merged ? 't' : 'f');
  field(row.key);
  field(row.was_key);
  data += '\t';
  data += static_cast<char>(entry.author.how);
  if (entry.author.how == Author::How::kUnknown) {
    data += "\t\\N";
  } else {
    auto author = author_id(entry.author);
    if (!author) return pass(author);
    fmt::format_to(std::back_inserter(data), "\t{}", *author);
  }
  for (const auto* image : {&row.changed, &row.unchanged, &row.before, &row.after}) field(*image);
  data += '\n';
  return {};
}

/// No ON CONFLICT … DO UPDATE here: the role has no right to UPDATE. The position's row lock keeps a second writer out.
Result<int> VersionWriter::number_of(std::string_view find, std::string_view add, const std::vector<postgres::Parameter>& values) {
  auto rows = connection_->query(find, values);
  if (rows && rows->size() == 0) rows = connection_->query(add, values);
  if (!rows) return pass(rows, "enter into the versions database");
  auto number = parse_u64(rows->text(0, 0));
  if (!number) return pass(number);
  return static_cast<int>(*number);
}

Result<int> VersionWriter::stream_id(const HistoryId& history) {
  if (const auto known = streams_.find(history); known != streams_.end()) return known->second;
  auto id = number_of("SELECT id FROM history.stream WHERE history_id = $1",
                      "INSERT INTO history.stream (history_id) VALUES ($1) RETURNING id", {history.value});
  if (id) streams_.emplace(history, *id);
  return id;
}

Result<int> VersionWriter::layout_id(int feed_layout) {
  if (const auto known = layouts_entered_.find(feed_layout); known != layouts_entered_.end()) return known->second;
  auto layout = layouts_(feed_layout);
  if (!layout) return pass(layout);
  auto found = number_of("SELECT id FROM history.layout WHERE schema_name = $1 AND table_name = $2 AND digest = $3"
                         " AND columns = $4::text[] AND key = $5::smallint[]",
                         "INSERT INTO history.layout (schema_name, table_name, digest, columns, key)"
                         " VALUES ($1, $2, $3, $4::text[], $5::smallint[]) RETURNING id",
                         {layout->schema, layout->table, layout->digest, layout->columns, layout->key});
  if (found) layouts_entered_.emplace(feed_layout, *found);
  return found;
}

Result<int> VersionWriter::author_id(const Author& author) {
  std::tuple key{author.session, author.workstation, author.user};
  if (const auto known = authors_.find(key); known != authors_.end()) return known->second;
  auto id = number_of("SELECT id FROM history.author WHERE session = $1::bigint AND workstation = $2 AND user_name = $3",
                      "INSERT INTO history.author (session, workstation, user_name) VALUES ($1::bigint, $2, $3) RETURNING id",
                      {std::to_string(author.session.value), author.workstation, author.user});
  if (id) authors_.emplace(std::move(key), *id);
  return id;
}

}  // namespace verbund::history
