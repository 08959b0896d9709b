#pragma once
/// Writes to the versions database: versions and position in one transaction. One thread; blocks.
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "feed/row_versions.h"
#include "history/authorship.h"
#include "platform/postgres/connection.h"

namespace verbund::history {

/// One row of history.version.
struct VersionEntry {
  std::string record;  ///< "TYPE/ID"; empty: the row belonged to no record
  const feed::RowVersion* row = nullptr;
  const feed::VersionedTransaction* transaction = nullptr;
  Author author;
};

class VersionWriter {
 public:
  using Layouts = std::function<Result<feed::RowLayout>(int)>;

  /// `layouts` tells what a layout of the feed is; asked once for each.
  VersionWriter(postgres::ConnectionSettings settings, Layouts layouts) : settings_(std::move(settings)), layouts_(std::move(layouts)) {}

  /// Connects when needed; where the stored versions end.
  Result<Cursor> position();
  /// Notes which types have a history from `at` on, unless that was noted last.
  Status note_types(const Cursor& at, const std::vector<std::string>& types);
  /// Stores what lies between `from` and `page.upto`. Errors: kInUse (somebody else has moved the position: read it anew),
  /// those of the database. After an error nothing is stored, unless it is kDatabaseDown: then it may be.
  Status write(const Cursor& from, const feed::VersionPage& page, std::span<const VersionEntry> entries);

 private:
  Status connect();
  Status write_all(const Cursor& from, const feed::VersionPage& page, std::span<const VersionEntry> entries);
  Status check_position(const Cursor& from);
  Status copy(int stream, std::span<const VersionEntry> entries);
  Status append(std::string& data, int stream, const VersionEntry& entry);
  Status note_break(int stream, const Cursor& from, const feed::VersionBreak& interrupted);
  Result<int> stream_id(const HistoryId& history);
  Result<int> layout_id(int feed_layout);
  Result<int> author_id(const Author& author);
  Result<int> number_of(std::string_view find, std::string_view add, const std::vector<postgres::Parameter>& values);
  /// The connection may be anywhere in a statement, and what was entered is undone.
  void give_up();

  postgres::ConnectionSettings settings_;
  Layouts layouts_;
  std::optional<postgres::Connection> connection_;
  // What is entered in the database, by its contents.
  std::map<HistoryId, int> streams_;
  std::map<int, int> layouts_entered_;
  std::map<std::tuple<SessionId, std::string, std::string>, int> authors_;
};

}  // namespace verbund::history
