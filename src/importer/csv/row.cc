#include "importer/csv/row.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::importer::csv {
namespace {

constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

bool begins_like_iso_date(std::string_view text) {
  const auto digits = [&](std::size_t at, std::size_t count) {
    return text.size() >= at + count && text.substr(at, count).find_first_not_of("0123456789") == std::string_view::npos;
  };
  return digits(0, 4) && digits(5, 2) && digits(8, 2) && text[4] == '-' && text[7] == '-';
}

}  // namespace

Status RowConverter::read_header(const CsvRow& row) {
  std::vector<std::string> names;
  for (const auto& field : row.fields) names.emplace_back(trimmed(decode(mapping_.charset, field).text));
  width_ = names.size();
  places_.clear();
  for (const auto& column : mapping_.columns) {
    if (column.from.empty()) {
      places_.push_back(kNowhere);
      continue;
    }
    const auto found = std::find(names.begin(), names.end(), column.from);
    if (found == names.end()) {
      return fail(ErrorCode::kBadInput, phrase("line {}: the header has no column \"{}\"", row.line, column.from),
                  phrase("it has: {}", fmt::format("{}", fmt::join(names, ", "))));
    }
    if (std::find(found + 1, names.end(), column.from) != names.end()) {
      return fail(ErrorCode::kBadInput, phrase("line {}: the header has two columns \"{}\"", row.line, column.from));
    }
    places_.push_back(static_cast<std::size_t>(found - names.begin()));
  }
  return {};
}

std::expected<std::vector<postgres::Parameter>, Phrase> RowConverter::convert(const CsvRow& row) const {
  if (!row.problem.empty()) return std::unexpected(phrase("{}", row.problem));
  if (mapping_.header) {
    const auto last = std::find_if(row.fields.rbegin(), row.fields.rend(), [](const auto& field) { return !field.empty(); });
    const auto used = static_cast<std::size_t>(row.fields.rend() - last);
    if (row.fields.size() < width_ || used > width_) {
      return std::unexpected(phrase("has {} columns, the header has {}", row.fields.size(), width_));
    }
  }
  std::vector<postgres::Parameter> out;
  out.reserve(mapping_.columns.size());
  for (std::size_t at = 0; at < mapping_.columns.size(); ++at) {
    auto value = convert_field(at, row);
    if (!value) return std::unexpected(std::move(value.error()));
    out.push_back(std::move(*value));
  }
  return out;
}

std::expected<postgres::Parameter, Phrase> RowConverter::convert_field(std::size_t at, const CsvRow& row) const {
  const auto& column = mapping_.columns[at];
  if (column.value) return postgres::Parameter(column.value);
  const auto place = mapping_.header ? places_.at(at) : static_cast<std::size_t>(std::stoul(column.from)) - 1;
  if (place >= row.fields.size()) return std::unexpected(phrase("has {} columns, the mapping wants {}", row.fields.size(), place + 1));
  auto decoded = decode(mapping_.charset, row.fields[place]);
  if (!decoded.clean) return std::unexpected(phrase("{}: a character that the character set does not have", column.from));
  std::string text(trimmed(decoded.text));
  if (!text.empty()) {
    auto converted = convert_text(at, std::move(text));
    if (!converted) return std::unexpected(std::move(converted.error()));
    text = std::move(*converted);
  }
  if (!text.empty()) return postgres::Parameter(std::move(text));
  if (column.fallback) return postgres::Parameter(column.fallback);
  if (column.required) return std::unexpected(phrase("{}: is required and empty", column.from));
  if (target_.matched[at]) return std::unexpected(phrase("{}: rows are matched by it, and it is empty", column.from));
  return postgres::Parameter();
}

std::expected<std::string, Phrase> RowConverter::convert_text(std::size_t at, std::string text) const {
  const auto& column = mapping_.columns[at];
  const auto& target = target_.columns[at];
  if (!column.values.empty()) {
    const auto found = column.values.find(text);
    if (found != column.values.end()) return found->second;
    if (column.other == OtherValue::kRefuse) return std::unexpected(phrase("{}: is none of the values that the mapping knows", column.from));
    if (column.other == OtherValue::kEmpty) return std::string();
  }
  const auto& pattern = !column.date.empty() || !target.is_date ? column.date : mapping_.date;
  if (!pattern.empty()) {
    auto date = convert_date(text, pattern);
    if (!date) return std::unexpected(phrase("{}: is no date of the form {}", column.from, pattern));
    return std::move(*date);
  }
  // 01.02.1974 is February or January, as the server's settings have it: never leave that to chance.
  if (target.is_date && !begins_like_iso_date(text)) {
    return std::unexpected(phrase("{}: is no date of the form {}", column.from, "YYYY-MM-DD"));
  }
  const auto decimal = column.decimal || !target.is_number ? column.decimal : mapping_.decimal;
  if (decimal) {
    auto number = convert_number(text, *decimal);
    if (!number) return std::unexpected(phrase("{}: is no number", column.from));
    return std::move(*number);
  }
  return text;
}

}  // namespace verbund::importer::csv
