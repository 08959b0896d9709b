#pragma once
/// The mapping of a CSV file to a table, as a TOML file says it (docs/formats/csv.md). Pure, apart from reading that file.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "importer/charset.h"
#include "importer/csv/reader.h"

namespace verbund::importer::csv {

/// What a text outside `values` becomes.
enum class OtherValue { kRefuse, kKeep, kEmpty };
enum class OnDuplicate { kUpdate, kSkip, kRefuse };

/// A key that another table has for what the file says: a patient's id for its number.
struct Lookup {
  std::string table, by, take;                              ///< take the column `take` of the row whose `by` is the text
  std::vector<std::pair<std::string, std::string>> where;   ///< further columns and their values
};

struct MappedColumn {
  std::string field;                  ///< of the table
  std::string from;                   ///< header of the CSV column, or its number from 1 when there is no header; empty: a constant
  std::optional<std::string> value;   ///< constant
  std::optional<std::string> fallback;  ///< "default": in place of an empty text
  bool required = false;
  std::string date;                   ///< pattern; empty: none
  std::optional<char> decimal;        ///< the text is a number, written with this sign
  std::map<std::string, std::string> values;
  OtherValue other = OtherValue::kRefuse;
  std::optional<Lookup> lookup;
};

struct Mapping {
  std::string name;  ///< of the file, for messages
  Charset charset = Charset::kUtf8;
  CsvFormat format;
  bool header = true;
  std::string date;                ///< pattern of all date columns that have none of their own
  std::optional<char> decimal;     ///< of all number columns
  std::string time_zone = "Europe/Berlin";
  std::string table;               ///< "patient", "schema.table"
  std::vector<std::string> match;  ///< fields of the table; empty: every row is new
  OnDuplicate on_duplicate = OnDuplicate::kUpdate;
  std::vector<MappedColumn> columns;
};

/// Errors: kBadConfig with file and line (also of a key that does not exist), kIo.
Result<Mapping> read_mapping(const std::filesystem::path& path);
Result<Mapping> parse_mapping(std::string_view toml, std::string name);

/// "31.12.1974 08:15" by the pattern "DD.MM.YYYY hh:mm" -> "1974-12-31 08:15:00"; nothing when it does not fit or is no date.
/// Letters: DD or D day, MM or M month, YYYY year, YY year of 1930 to 2029, hh hour, mm minute, ss second; German TT, JJJJ, JJ too.
std::optional<std::string> convert_date(std::string_view text, std::string_view pattern);
/// "1.234,50" with ',' -> "1234.50"; nothing when it is no number.
std::optional<std::string> convert_number(std::string_view text, char decimal);
/// Nothing when the pattern names no day, month and year, or something twice.
bool is_date_pattern(std::string_view pattern);

}  // namespace verbund::importer::csv
