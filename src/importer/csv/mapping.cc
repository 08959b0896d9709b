#include "importer/csv/mapping.h"

#include <algorithm>

#include "base/messages.h"
#include "platform/os/config_file.h"

namespace verbund::importer::csv {
namespace {

class MappingFile {
 public:
  explicit MappingFile(os::ConfigFile file) : file_(std::move(file)) {}

  Result<Mapping> read() {
    mapping_.name = file_.name();
    for (const auto step : {&MappingFile::read_format, &MappingFile::read_target, &MappingFile::read_columns}) {
      if (auto done = (this->*step)(); !done) return pass(done);
    }
    if (auto known = file_.refuse_unknown(); !known) return pass(known);
    if (auto checked = check(); !checked) return pass(checked);
    return std::move(mapping_);
  }

 private:
  std::unexpected<Error> refuse(Phrase what, Phrase hint = {}) {
    auto error = fail(ErrorCode::kBadConfig, std::move(what), std::move(hint));
    return std::unexpected(std::move(error.error()).in(file_.name()));
  }

  Status take(Result<std::string> read, std::string& to) {
    if (!read) return pass(read);
    to = std::move(*read);
    return {};
  }

  Result<std::optional<char>> one_character(const std::string& key, const std::string& allowed) {
    auto text = file_.text(key, "");
    if (!text) return pass(text);
    if (text->empty()) return std::optional<char>();
    if (text->size() != 1 || allowed.find((*text)[0]) == std::string::npos) {
      return refuse(phrase("{} = \"{}\": not allowed", key, *text), phrase("one of the characters {}", allowed == "\t;,|" ? "; , | \\t" : allowed));
    }
    return std::optional<char>((*text)[0]);
  }

  Result<std::string> date_pattern(const std::string& key) {
    auto pattern = file_.text(key, "");
    if (!pattern) return pattern;
    if (!pattern->empty() && !is_date_pattern(*pattern)) {
      return refuse(phrase("{} = \"{}\": no pattern of a date", key, *pattern), phrase("for example DD.MM.YYYY or YYYY-MM-DD hh:mm"));
    }
    return pattern;
  }

  Status read_format() {
    auto charset = file_.text("csv.charset", "utf-8");
    if (!charset) return pass(charset);
    const auto known = charset_named(*charset);
    if (!known) return refuse(phrase("csv.charset = \"{}\": there is no such character set", *charset), phrase("one of {}", charset_names()));
    mapping_.charset = *known;
    auto delimiter = one_character("csv.delimiter", "\t;,|");
    if (!delimiter) return pass(delimiter);
    mapping_.format.delimiter = delimiter->value_or(';');
    auto quote = one_character("csv.quote", "\"'");
    if (!quote) return pass(quote);
    mapping_.format.quote = quote->value_or('"');
    auto header = file_.boolean("csv.header", true);
    if (!header) return pass(header);
    mapping_.header = *header;
    auto decimal = one_character("csv.decimal", ",.");
    if (!decimal) return pass(decimal);
    mapping_.decimal = *decimal;
    if (auto done = take(date_pattern("csv.date"), mapping_.date); !done) return done;
    return take(file_.text("csv.time_zone", mapping_.time_zone), mapping_.time_zone);
  }

  Status read_target() {
    if (auto done = take(file_.text("target.table", ""), mapping_.table); !done) return done;
    if (mapping_.table.empty()) return refuse(phrase("target.table is missing"), phrase("the table that the rows are for, for example \"patient\""));
    auto match = file_.list("target.match", {});
    if (!match) return pass(match);
    mapping_.match = std::move(*match);
    auto duplicate = file_.choice("target.on_duplicate", "update", {"update", "skip", "refuse"});
    if (!duplicate) return pass(duplicate);
    if (*duplicate == "skip") mapping_.on_duplicate = OnDuplicate::kSkip;
    if (*duplicate == "refuse") mapping_.on_duplicate = OnDuplicate::kRefuse;
    return {};
  }

  Status read_columns() {
    for (std::size_t at = 0; at < file_.count("column"); ++at) {
      if (auto done = read_column(fmt::format("column.{}.", at)); !done) return done;
    }
    if (mapping_.columns.empty()) return refuse(phrase("there is no [[column]]"), phrase("one for each field of the table that shall be filled"));
    return {};
  }

  Status read_column(const std::string& prefix) {
    MappedColumn column;
    if (auto done = take(file_.text(prefix + "field", ""), column.field); !done) return done;
    if (auto done = take(file_.text(prefix + "from", ""), column.from); !done) return done;
    if (auto done = read_optional(prefix + "value", column.value); !done) return done;
    if (auto done = read_optional(prefix + "default", column.fallback); !done) return done;
    if (auto done = take(date_pattern(prefix + "date"), column.date); !done) return done;
    auto decimal = one_character(prefix + "decimal", ",.");
    if (!decimal) return pass(decimal);
    column.decimal = *decimal;
    auto required = file_.boolean(prefix + "required", false);
    if (!required) return pass(required);
    column.required = *required;
    if (auto done = read_values(prefix, column); !done) return done;
    if (auto done = read_lookup(prefix + "lookup.", column); !done) return done;
    if (column.field.empty()) return refuse(phrase("{}: without a field", prefix.substr(0, prefix.size() - 1)));
    if (column.from.empty() == !column.value.has_value()) {
      return refuse(phrase("column {}: needs either \"from\" (a column of the CSV file) or \"value\" (the same for all rows)", column.field));
    }
    mapping_.columns.push_back(std::move(column));
    return {};
  }

  Status read_optional(const std::string& key, std::optional<std::string>& to) {
    if (!file_.has(key)) return {};
    auto text = file_.text(key, "");
    if (!text) return pass(text);
    to = std::move(*text);
    return {};
  }

  /// A list of "this = that".
  Result<std::vector<std::pair<std::string, std::string>>> pairs(const std::string& key, const MappedColumn& column) {
    auto texts = file_.list(key, {});
    if (!texts) return pass(texts);
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& text : *texts) {
      const auto equals = text.find('=');
      if (equals == std::string::npos) {
        return refuse(phrase("column {}: \"{}\" has no =", column.field, text), phrase("for example [\"m = male\", \"w = female\"]"));
      }
      out.emplace_back(trimmed(std::string_view(text).substr(0, equals)), trimmed(std::string_view(text).substr(equals + 1)));
    }
    return out;
  }

  Status read_lookup(const std::string& prefix, MappedColumn& column) {
    Lookup lookup;
    if (auto done = take(file_.text(prefix + "table", ""), lookup.table); !done) return done;
    if (auto done = take(file_.text(prefix + "by", ""), lookup.by); !done) return done;
    if (auto done = take(file_.text(prefix + "take", ""), lookup.take); !done) return done;
    auto where = pairs(prefix + "where", column);
    if (!where) return pass(where);
    lookup.where = std::move(*where);
    const int given = (lookup.table.empty() ? 0 : 1) + (lookup.by.empty() ? 0 : 1) + (lookup.take.empty() ? 0 : 1);
    if (given == 0 && lookup.where.empty()) return {};
    if (given < 3) return refuse(phrase("column {}: lookup needs table, by and take", column.field));
    column.lookup = std::move(lookup);
    return {};
  }

  Status read_values(const std::string& prefix, MappedColumn& column) {
    auto values = pairs(prefix + "values", column);
    if (!values) return pass(values);
    for (auto& [from, to] : *values) column.values[from] = to;
    auto other = file_.choice(prefix + "other", "refuse", {"refuse", "keep", "empty"});
    if (!other) return pass(other);
    if (*other == "keep") column.other = OtherValue::kKeep;
    if (*other == "empty") column.other = OtherValue::kEmpty;
    return {};
  }

  Status check() {
    std::vector<std::string> fields;
    for (const auto& column : mapping_.columns) {
      if (std::find(fields.begin(), fields.end(), column.field) != fields.end()) {
        return refuse(phrase("column {}: is given twice", column.field));
      }
      fields.push_back(column.field);
      const bool number = !column.from.empty() && column.from.find_first_not_of("0123456789") == std::string::npos && column.from[0] != '0' && column.from.size() < 5;
      if (!mapping_.header && !column.from.empty() && !number) {
        return refuse(phrase("column {}: from = \"{}\": without a header columns are numbers from 1", column.field, column.from));
      }
    }
    for (const auto& match : mapping_.match) {
      if (std::find(fields.begin(), fields.end(), match) == fields.end()) {
        return refuse(phrase("target.match: {} is not among the columns", match));
      }
    }
    return {};
  }

  os::ConfigFile file_;
  Mapping mapping_;
};

}  // namespace

Result<Mapping> read_mapping(const std::filesystem::path& path) {
  auto file = os::ConfigFile::read_toml(path);
  if (!file) return pass(file);
  return MappingFile(std::move(*file)).read();
}

Result<Mapping> parse_mapping(std::string_view toml, std::string name) {
  auto file = os::ConfigFile::parse_toml(toml, std::move(name));
  if (!file) return pass(file);
  return MappingFile(std::move(*file)).read();
}

}  // namespace verbund::importer::csv
