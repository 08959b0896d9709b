#pragma once
/// Record types: which tables make a record, its key, label and place in the tree. From config/verbund.toml, checked
/// against the catalog. And reading records for people: lists and single ones.
/// Threads: RecordTypes is immutable after load; the functions block on the connection they are given.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/os/config_file.h"
#include "platform/postgres/connection.h"

namespace verbund::records {

struct ForeignKey {
  std::vector<std::string> columns;
  std::string parent_schema, parent_table;
  std::vector<std::string> parent_columns;
};

struct ChildTable {
  std::string schema, table;
  std::vector<ForeignKey> path;  ///< from the child to the root, at least one
  std::vector<std::string> key;  ///< primary key: the order in which rows are read; may be empty
};

struct RecordType {
  std::string type;              ///< "patient"
  std::string label;             ///< for people: "Patient"
  std::string schema, table;     ///< root
  std::vector<std::string> key;  ///< primary key columns, in index order
  std::string label_sql;         ///< SQL expression over the root's columns: what the tree shows
  std::string group_sql;         ///< SQL expression: the branch of the tree
  std::vector<std::string> search_columns;
  std::vector<ChildTable> children;
  std::vector<std::string> key_types;  ///< SQL types of `key`, to cast parameters to
  std::string collation;               ///< of labels and groups: "de-x-icu"; empty: the database's own
};

/// [[record]] type=, label=, table="schema.table", label_sql=, group_sql=, search=[…], children=["schema.table.column",
/// "schema.table.fk_column > schema.table.fk_column"]. A missing schema is public. `column` is one of a foreign key's,
/// which the catalog must have: it decides parent and further columns. Defaults: label = type, label_sql = the key,
/// group_sql = no branches, no search, no children.
class RecordTypes {
 public:
  /// Checks every name against the catalog; the SQL expressions by preparing a statement with them.
  /// Errors: kBadConfig (file, line, what exists), kDatabaseDown.
  static Result<RecordTypes> load(os::ConfigFile& config, postgres::Connection& source);
  [[nodiscard]] const std::vector<RecordType>& all() const { return types_; }
  [[nodiscard]] const RecordType* find(std::string_view type) const;

 private:
  std::vector<RecordType> types_;
};

struct ListedRecord {
  RecordKey key;
  std::string label, group;
};
struct RecordPage {
  std::vector<ListedRecord> records;  ///< ordered by group, label, key
  std::optional<std::string> next;    ///< opaque; absent: that was all
  std::uint64_t total = 0;            ///< of the type (or of the search); counted on the first page only
};
inline constexpr std::size_t kMaxPage = 10'000;
inline constexpr std::size_t kMaxSearchWords = 8;
/// PostgreSQL ends each statement of a page then.
inline constexpr seconds kReadTimeout{10};
/// `search`: every word must occur in a search column, without regard to case and umlaut spelling (ä = ae = a); a date
/// may be typed as 31.12.1974. At most kMaxSearchWords words count.
/// Errors: kBadMessage (`after` is not one of ours, search is no UTF-8), kTimedOut (after kReadTimeout), those of the database.
Result<RecordPage> list(postgres::Connection& source, const RecordType& type, std::optional<std::string> after,
                        std::size_t limit, const std::string& search);
/// Those of `ids` that exist, in no order; the keys come back as the database writes them.
Result<std::vector<ListedRecord>> list_some(postgres::Connection& source, const RecordType& type,
                                            const std::vector<std::string>& ids);

struct RecordTable {
  std::string name;
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
  bool more = false;  ///< over kMaxChildRows
};
inline constexpr std::size_t kMaxChildRows = 2'000;
struct WholeRecord {
  RecordKey key;
  std::string label;
  std::vector<RecordTable> tables;  ///< root first
};
/// In one snapshot (REPEATABLE READ). Errors: kNotFound.
Result<WholeRecord> read(postgres::Connection& source, const RecordType& type, const RecordKey& key);

}  // namespace verbund::records
