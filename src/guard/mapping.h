#pragma once
/// The tables whose rows make a guarded record, and the SQL of their trigger functions. Pure, any thread. This folder only.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "guard/guard.h"

namespace verbund::guard {

/// A table with its ways to the root; an empty way: the root itself. Tables on the way to a child belong to it, too: who
/// moves such a row moves the child rows into another record.
struct Mapped {
  std::string schema, table;
  std::vector<std::vector<records::ForeignKey>> ways;
};
std::vector<Mapped> tables_of(const records::RecordType& type);

/// What is known of a column's type.
struct ColumnType {
  std::string name;      ///< base type, as format_type writes it
  bool builtin = false;  ///< its '=' is found in pg_catalog (enums, too)
  bool exact = true;     ///< equal values have the same text (false for citext, numeric, texts that ignore case, …)
};
/// By (schema.table, column), both as written in the catalog, joined by '\n'.
using ColumnTypes = std::map<std::string, ColumnType>;
std::string column_name(const std::string& schema, const std::string& table, const std::string& column);

/// CREATE OR REPLACE FUNCTION verbund_guard.`function`, for `mode`. Errors: kUnsupported (a way that can't be followed).
Result<std::string> trigger_function(const std::string& function, const records::RecordType& type, const Mapped& table,
                                     const ColumnTypes& types, Mode mode);

/// The same for TRUNCATE of any of the type's tables.
std::string truncate_function(const std::string& function, const std::string& type, Mode mode);

}  // namespace verbund::guard
