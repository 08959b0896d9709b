#pragma once
/// A record's versions for people and programs, oldest first, in pages. Any thread with its own connection; blocks.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "feed/feed.h"
#include "history/authorship.h"

namespace verbund::history {

/// Place of a version; "2:1099511627778" (history.version: stream and csn).
struct VersionPlace {
  std::uint64_t stream = 0;
  Csn csn;
  friend auto operator<=>(const VersionPlace&, const VersionPlace&) = default;
};
std::string to_string(const VersionPlace& place);
/// Errors: kBadMessage.
Result<VersionPlace> parse_version_place(std::string_view text);

struct NamedValue {
  std::string column;
  std::optional<std::string> value;  ///< text form of PostgreSQL (docs/adr/0004); absent: NULL
};

struct StoredVersion {
  VersionPlace place;
  Csn transaction;       ///< equal ones were committed together
  WallTime committed;
  feed::RowOp op = feed::RowOp::kInsert;
  std::string table;     ///< "observation", schema named unless public
  std::string row_key;
  std::optional<std::string> was_key;
  Author author;
  bool merged = false;                 ///< stands for any number of changes: they were found by comparing
  bool erased = false;                 ///< then what follows is empty
  std::vector<NamedValue> before;      ///< delete: all values; update: those that differ
  std::vector<NamedValue> after;       ///< insert, update: all values, except `unchanged`
  std::vector<std::string> changed;    ///< update: columns that differ
  std::vector<std::string> unchanged;  ///< update: columns whose large value stayed and is not repeated here
};

/// What concerns all records: from which types on histories were kept, and where single changes are missing.
struct HistoryNotice {
  VersionPlace behind;  ///< it stands behind this version
  WallTime at;
  std::string kind;     ///< history.notice.kind
  std::string detail;
};

struct HistoryPage {
  std::vector<StoredVersion> versions;
  std::vector<HistoryNotice> notices;  ///< of the first page only: all, oldest first
  std::optional<VersionPlace> next;    ///< absent: that was all
};
inline constexpr std::size_t kMaxHistoryPage = 1'000;

/// Versions of the record behind `after`. A record that never changed has none: that is no error.
Result<HistoryPage> read_history(postgres::Connection& versions, const RecordKey& key, std::optional<VersionPlace> after,
                                 std::size_t limit);

}  // namespace verbund::history
