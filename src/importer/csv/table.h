#pragma once
/// The table that rows of a CSV file are for: checked against the catalog, and the statements that write it.
#include "importer/csv/mapping.h"
#include "platform/postgres/connection.h"

namespace verbund::importer::csv {

struct TargetColumn {
  std::string name;
  std::string type;          ///< to cast a text to; without length, so that a text that is too long is refused, not cut
  std::string compared_as;   ///< to cast a text to before it is compared with what is there
  bool is_date = false;
  bool is_number = false;
  bool by_text = false;      ///< the type has no equality (json)
  /// $1: texts as text[]. (ord, how many keys the other table has for it: 0, 1, or 2 for more, one of them); empty: no lookup.
  std::string lookup_sql = {};
  std::string looked_up_in = {};  ///< for messages
};

struct Target {
  std::string shown;    ///< "public.patient"
  std::string quoted;   ///< for SQL
  std::vector<TargetColumn> columns;  ///< in the order of Mapping::columns
  std::vector<bool> matched;          ///< columns[i] decides what a duplicate is

  /// $1…$n: the columns as text[].
  /// (ord, repeats an earlier row of the batch, how many rows of the table match: 0, 1, or 2 for more)
  std::string find_sql;
  std::string insert_sql;
  std::string update_sql;  ///< of rows that differ; returns their ord; empty when there is nothing to update
};

/// Errors: kNotFound (no such table or column; the hint has the existing ones), kBadConfig (a generated column, a type that
/// can't be compared), those of the database.
Result<Target> find_target(postgres::Connection& connection, const Mapping& mapping);

}  // namespace verbund::importer::csv
