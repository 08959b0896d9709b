#pragma once
/// SQL and JSON of a row type, made from its for_each_column. Not for other folders.
#include <boost/json.hpp>

#include "importer/rows.h"

namespace verbund::importer {

template <typename Row>
std::vector<std::string_view> columns_of() {
  std::vector<std::string_view> out;
  for_each_column(Row{}, [&](std::string_view column, const auto&) { out.push_back(column); });
  return out;
}

/// What an empty column of a row does to the one in the table.
enum class Absent { kClears, kStays };

/// What `column` shall be when the row in `table` meets the one named `given`. Only patients have columns that stay.
inline std::string merged_column(Absent absent, std::string_view column, std::string_view table, std::string_view given) {
  if (absent == Absent::kClears) return fmt::format("{}.{}", given, column);
  // A source that says nothing of death or of leaving the practice does not say the opposite.
  if (column == "deceased" || column == "active") return fmt::format("{}.{}", table, column);
  const bool name = column == "family_name" || column == "given_name";
  return name ? fmt::format("coalesce(nullif({0}.{1}, ''), {2}.{1})", given, column, table)
              : fmt::format("coalesce({0}.{1}, {2}.{1})", given, column, table);
}

/// $1: a JSON array of rows. Writes rows that are new or differ; returns what identifies each of them and whether it is new.
/// Equal rows are sorted out before the INSERT: ON CONFLICT would lock each of them, which is a write to the log, too.
template <typename Row>
std::string upsert_sql(Absent absent = Absent::kClears) {
  constexpr bool kPatient = std::is_same_v<Row, PatientRow>;
  const std::string_view table = Row::kTable;
  std::string names, assignments, mine, theirs, there, given;
  for (const auto column : columns_of<Row>()) {
    names += (names.empty() ? "" : ", ") + std::string(column);
    const bool key = column == "id" || (!kPatient && column.starts_with("identifier_"));
    if (key) continue;
    const std::string_view comma = mine.empty() ? "" : ", ";
    const auto excluded = merged_column(absent, column, table, "EXCLUDED");
    assignments += fmt::format("{}{} = {}", comma, column, excluded);
    mine += fmt::format("{}{}.{}", comma, table, column);
    theirs += fmt::format("{}{}", comma, excluded);
    there += fmt::format("{}there.{}", comma, column);
    given += fmt::format("{}{}", comma, merged_column(absent, column, "there", "given"));
  }
  // A row that this statement inserted has no xmax yet.
  return fmt::format(
      "INSERT INTO {0} ({1}) SELECT {1} FROM json_populate_recordset(NULL::{0}, $1::json) AS given "
      "WHERE NOT EXISTS (SELECT FROM {0} AS there WHERE {7} AND ({8}) IS NOT DISTINCT FROM ({9})) "
      "ON CONFLICT ({2}) DO UPDATE SET {3} WHERE ({4}) IS DISTINCT FROM ({5}) RETURNING {6}, {0}.xmax = 0",
      table, names, kPatient ? "id" : "identifier_system, identifier_value", assignments, mine, theirs,
      kPatient ? "id::text" : "identifier_system || chr(31) || identifier_value",
      kPatient ? "there.id = given.id"
               : "there.identifier_system = given.identifier_system AND there.identifier_value = given.identifier_value",
      there, given);
}

struct JsonColumns {
  boost::json::object& out;
  void operator()(std::string_view column, const std::string& value) const { out[column] = value; }
  void operator()(std::string_view column, bool value) const { out[column] = value; }
  void operator()(std::string_view column, const Text& value) const {
    if (value) out[column] = *value;
    else out[column] = nullptr;
  }
};

template <typename Row>
boost::json::object row_json(const Row& row) {
  boost::json::object out;
  for_each_column(row, JsonColumns{out});
  return out;
}

}  // namespace verbund::importer
