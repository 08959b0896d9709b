#pragma once
/// Bytes of a CSV file -> rows (RFC 4180, with any delimiter). Pure; memory is bounded by CsvLimits, whatever the file holds.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verbund::importer::csv {

struct CsvLimits {
  std::size_t max_row_bytes = 4 * 1024 * 1024;
  std::size_t max_columns = 1600;  ///< as many as a table of PostgreSQL can have
};

struct CsvFormat {
  char delimiter = ';';
  char quote = '"';  ///< '\0': none
};

/// One row, in the character set of the file.
struct CsvRow {
  std::uint64_t line = 0;  ///< of its first byte, from 1; a row may go over several lines
  std::vector<std::string> fields;
  std::string problem;  ///< an English msgid; not empty: the row is not well formed, and `fields` says nothing
};

/// Rows end with LF, CR LF or CR. A quoted field may hold all of them; a quote in it is written twice. A quote within a field
/// that did not begin with one is a character like any other. Empty lines are no rows.
class CsvReader {
 public:
  /// `row` is called for each; false from it ends the reading.
  CsvReader(const CsvFormat& format, const CsvLimits& limits, std::function<bool(CsvRow&)> row);
  /// Errors: kBadInput "line N: …": a row larger than allowed, which is where a quote that is never closed is noticed.
  Status feed(std::string_view bytes);
  /// Errors: as feed, and a quote that is not closed at the end.
  Status finish();
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  enum class State { kFieldBegin, kPlain, kQuoted, kQuoteInQuoted, kAfterCarriageReturn };

  Status take(char c);
  /// The row is not larger than allowed, counting the field that is being read.
  [[nodiscard]] Status check_limits() const;
  void take_begin(char c);
  void take_plain(char c);
  void take_quote_in_quoted(char c);
  void end_field();
  void end_row(char c);

  CsvFormat format_;
  CsvLimits limits_;
  std::function<bool(CsvRow&)> sink_;
  State state_ = State::kFieldBegin;
  CsvRow row_;
  std::string field_;
  std::size_t row_bytes_ = 0;
  std::uint64_t line_ = 1;
  bool any_ = false;  ///< the row has a byte
  bool ended_ = false;
};

}  // namespace verbund::importer::csv
