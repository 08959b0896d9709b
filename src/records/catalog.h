#pragma once
/// What the source's catalog says about tables named in the configuration. This folder only; blocks on the connection.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "platform/postgres/connection.h"
#include "records/record_types.h"

namespace verbund::records {

struct TableName {
  std::string schema, table;
  friend bool operator==(const TableName&, const TableName&) = default;
};
std::string shown(const TableName& name);   ///< for messages: public.patient
std::string quoted(const TableName& name);  ///< for SQL

/// Parts of "schema.table.column", exactly as written (no folding of case); a part with a '.' stands in "…".
/// Errors: kBadConfig, message without place.
Result<std::vector<std::string>> split_name(std::string_view text);

/// Up to `count` of `candidates`, the most similar first, joined by ", ".
std::string nearest(std::string_view wanted, std::vector<std::string> candidates, std::size_t count = 5);

struct CatalogColumn {
  std::string name;
  std::string type;  ///< to cast a parameter to
};

struct CatalogTable {
  TableName name;
  std::vector<CatalogColumn> columns;
  std::vector<CatalogColumn> key;  ///< primary key in index order; may be empty
  std::vector<ForeignKey> foreign_keys;
};

/// Errors: kBadConfig (no such table; the hint has the nearest), those of the database.
Result<CatalogTable> read_table(postgres::Connection& source, const TableName& name);

/// "de-x-icu" when the server has it, else empty.
Result<std::string> german_collation(postgres::Connection& source);

}  // namespace verbund::records
