#pragma once
/// The captured tables as the source's catalog has them, and the ways from their rows to records.
/// Immutable once loaded; any thread. Positions of columns count from 0 in the order of `columns`.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "feed/feed.h"
#include "feed/layout.h"
#include "platform/postgres/connection.h"

namespace verbund::feed {

/// Values in the order of the table's columns, in the text form of their type; nullopt is NULL.
using Row = std::vector<std::optional<std::string>>;

struct Column {
  std::string name;
  std::uint32_t type = 0;
  std::int32_t modifier = -1;
  int number = 0;                      ///< attnum: stays whatever the column is called
  std::optional<std::string> missing;  ///< value in rows that are older than the column
};

/// Finding a row of a table by columns that another table references.
struct Lookup {
  std::size_t table = 0;
  std::vector<std::size_t> columns;
  bool by_key = false;  ///< these are the primary key, in its order: the shadow's key finds the row
};

struct ResolvedHop {
  std::vector<std::size_t> columns;  ///< of the referencing table, in the order of the lookup's columns
  std::size_t lookup = 0;            ///< index into Tables::lookups
};

/// How rows of a table belong to a type: no hops, they are its roots.
struct Mapping {
  std::string record_type;
  std::vector<ResolvedHop> hops;
};

struct CapturedTable {
  std::string schema, table;
  std::string shown;              ///< "observation", "other.observation": schema unless public
  std::vector<Column> columns;    ///< those that pgoutput sends, in its order
  std::vector<std::size_t> key;   ///< primary key, in index order
  std::vector<Mapping> mappings;
  std::vector<std::size_t> path_columns;  ///< what ways to records read of its rows, key included
  std::vector<std::size_t> lookups;       ///< that read its rows on the way to a record
  bool has_parents = false;               ///< some mapping has hops
  bool images = false;                    ///< TrackedTable::images
  std::uint32_t relation = 0;             ///< its oid: stays whatever the table is called
  std::string files;                      ///< which files hold its rows: others after they were rewritten
  bool partitioned = false;
  std::pair<std::string, std::string> configured;  ///< schema and name that it is looked for by; it may have been renamed
  /// Columns under names of before, which the log may still use; nullopt: dropped.
  std::map<std::string, std::optional<std::size_t>, std::less<>> former;
  std::vector<std::string> complaints;    ///< ways to records that can't be gone
  int id = 0;                             ///< feed.source_table.id
  std::string shadow;                     ///< its shadow's name within schema feed
  Lsn since;                              ///< the shadow holds what committed before; later commits are applied

  /// Columns as one text, to see whether they changed.
  [[nodiscard]] std::string layout() const { return layout_text(layout_of(*this)); }
  [[nodiscard]] std::string key_of(const Row& row) const;
};

/// Schema and name.
using TableName = std::pair<std::string, std::string>;

/// What is known of a table from before.
struct Former {
  std::uint32_t relation = 0;  ///< 0: not known
  std::optional<Layout> layout;
  std::string paused;          ///< why it is not to be captured now; empty: it is
};
using FormerTables = std::map<TableName, Former>;

/// A table that is wanted and not captured.
struct LeftOut {
  TableName name;
  std::string reason;
  bool paused = false;  ///< was captured before
};

/// Whose changes matter to what is captured.
struct CatalogQuestion {
  std::string publication;
  std::vector<std::uint32_t> relations;
  std::vector<TableName> names;  ///< that are wanted
  bool every_table = false;      ///< any new one may be wanted
};

struct Tables {
  std::vector<CapturedTable> all;
  std::vector<Lookup> lookups;
  std::vector<std::pair<std::string, std::string>> excluded;  ///< table, or way to a record → why
  std::vector<LeftOut> left_out;
  std::vector<TrackedTable> tracked;  ///< what was wanted, under the names that it has now

  [[nodiscard]] std::optional<std::size_t> find(std::string_view schema, std::string_view table) const;
  [[nodiscard]] std::optional<std::size_t> find(std::uint32_t relation) const;

  /// Reads the catalog. Tables that lead from a child to its root are captured too, as belonging to no record.
  /// Tables and columns of `former` are found again under new names; a way to a record that leads through a column which
  /// is gone leaves the table captured, with a complaint.
  static Result<Tables> load(postgres::Connection& source, const std::vector<TrackedTable>& wanted, const FormerTables& former = {});
};

/// Record id of key values (base/ids.h): one value as it is, several joined by ',' with ',' and '\' escaped.
std::string join_key(std::span<const std::string_view> parts);

/// SQL over a shadow's columns whose value is join_key of theirs.
std::string lookup_expression(const CapturedTable& table, std::span<const std::size_t> columns);

/// `{"a","b",NULL}`: a text[] parameter.
class TextArray {
 public:
  void add(std::optional<std::string_view> value);
  [[nodiscard]] std::size_t size() const { return size_; }
  /// The literal; the array is empty afterwards.
  std::string take();

 private:
  std::string text_ = "{";
  std::size_t size_ = 0;
};

/// The other way: values of a one-dimensional array's literal as PostgreSQL prints it. Errors: kInternal.
Result<std::vector<std::optional<std::string>>> read_array(std::string_view literal);

/// "schema"."table"
std::string quoted(std::string_view schema, std::string_view table);

}  // namespace verbund::feed
