#pragma once
/// CSV row -> values for the database. Pure.
#include <expected>

#include "importer/csv/mapping.h"
#include "importer/csv/table.h"

namespace verbund::importer::csv {

/// Where the mapping's columns stand in a file.
class RowConverter {
 public:
  /// `mapping` and `target` outlive it.
  RowConverter(const Mapping& mapping, const Target& target) : mapping_(mapping), target_(target) {}

  /// The first row of a file, when the mapping says that it names the columns. Errors: kBadInput (a column is missing or named twice).
  Status read_header(const CsvRow& row);
  /// One value per column of the mapping, or what is wrong with the row. Says no contents of it.
  [[nodiscard]] std::expected<std::vector<postgres::Parameter>, Phrase> convert(const CsvRow& row) const;

 private:
  std::expected<postgres::Parameter, Phrase> convert_field(std::size_t column, const CsvRow& row) const;
  std::expected<std::string, Phrase> convert_text(std::size_t column, std::string text) const;

  const Mapping& mapping_;
  const Target& target_;
  std::vector<std::size_t> places_;  ///< of the mapping's columns in a row
  std::size_t width_ = 0;            ///< of the header
};

}  // namespace verbund::importer::csv
