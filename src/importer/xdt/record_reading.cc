#include "importer/xdt/record_reading.h"

#include <algorithm>

#include "importer/german_time.h"

namespace verbund::importer::xdt {
namespace {

std::optional<int> digits(std::string_view text) {
  if (text.empty()) return std::nullopt;
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::optional<PartialDate> parse_day(std::string_view text) {
  if (text.size() != 8) return std::nullopt;
  const auto day = digits(text.substr(0, 2)), month = digits(text.substr(2, 2)), year = digits(text.substr(4));
  if (!day || !month || !year || *year == 0) return std::nullopt;
  Precision precision = Precision::kDay;
  if (*day == 0) precision = *month == 0 ? Precision::kYear : Precision::kMonth;
  else if (*month == 0) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year}, std::chrono::month{static_cast<unsigned>(std::max(*month, 1))},
                                         std::chrono::day{static_cast<unsigned>(std::max(*day, 1))}};
  if (!date.ok()) return std::nullopt;
  return PartialDate{std::chrono::sys_days{date}, precision};
}

std::optional<std::chrono::seconds> parse_clock(std::string_view text) {
  if (text.size() != 6 && text.size() != 4) return std::nullopt;
  const auto hour = digits(text.substr(0, 2)), minute = digits(text.substr(2, 2));
  const auto second = text.size() == 6 ? digits(text.substr(4)) : std::optional(0);
  if (!hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  return std::chrono::hours{*hour} + std::chrono::minutes{*minute} + std::chrono::seconds{*second};
}

Text parse_number(std::string_view text) {
  constexpr std::size_t kMaxDigits = 100;  // far beyond any measurement, far below what numeric takes
  std::string out;
  bool point = false, digit = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c >= '0' && c <= '9') digit = true;
    else if ((c == '.' || c == ',') && !point && digit) point = true;
    else if (!((c == '-' || c == '+') && at == 0)) return std::nullopt;
    out += c == ',' ? '.' : c;
  }
  if (!digit || out.size() > kMaxDigits) return std::nullopt;
  if (out.back() == '.') out.pop_back();
  if (out.front() == '+') out.erase(0, 1);
  return out;
}

std::optional<std::chrono::minutes> parse_zone(std::string_view text) {
  if (!text.starts_with("UTC")) return std::nullopt;
  text.remove_prefix(3);
  if (text.empty()) return std::chrono::minutes{0};
  const bool west = text.front() == '-';
  if (!west && text.front() != '+') return std::nullopt;
  text.remove_prefix(1);
  const auto colon = text.find(':');
  const auto hours = digits(text.substr(0, colon));
  const auto minutes = colon == std::string_view::npos ? std::optional(0) : digits(text.substr(colon + 1));
  if (!hours || !minutes || *hours > 14 || *minutes > 59) return std::nullopt;
  const std::chrono::minutes offset = std::chrono::hours{*hours} + std::chrono::minutes{*minutes};
  return west ? -offset : offset;
}

PartialTime moment(const PartialDate& day, std::optional<std::chrono::seconds> clock, std::optional<std::chrono::minutes> zone) {
  if (!clock || day.precision != Precision::kDay) return {WallTime{day.day}, day.precision};
  if (zone) return {WallTime{day.day} + *clock - *zone, Precision::kTime};
  return {from_german_clock(day.day, *clock), Precision::kTime};
}

std::string RecordReading::type(std::string_view table) const {
  return fmt::format("{} {} {}", record_.is_gdt() ? "GDT" : "BDT", record_.type, table);
}

std::optional<PartialDate> RecordReading::day(const XdtField& field) {
  const auto text = trimmed(field.text);
  auto parsed = parse_day(text);
  // "00000000" and "" say that nobody knows.
  if (!parsed && text.find_first_not_of('0') != std::string_view::npos) fail(SkipReason::kBadElement, fmt::format("{:04}", field.id));
  return parsed;
}

std::optional<std::chrono::seconds> RecordReading::clock(const XdtField& field) {
  const auto text = trimmed(field.text);
  auto parsed = parse_clock(text);
  if (!parsed && !text.empty()) fail(SkipReason::kBadElement, fmt::format("{:04}", field.id));
  return parsed;
}

void RecordReading::fail(SkipReason reason, std::string detail) {
  if (!problem_) problem_ = Skip{reason, std::move(detail)};
}

void RecordReading::note(Note note) {
  if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) notes_.push_back(note);
}

bool RecordReading::read_person() {
  number_ = record_.text(kPatientNumber);
  std::string family(record_.text(kFamilyName));
  if (const auto prefix = record_.text(kNamePrefix); !prefix.empty()) family = fmt::format("{} {}", prefix, family);
  const auto birth = parse_day(record_.text(kBirthDate));
  if (!record_.text(kFamilyName).empty() && !record_.text(kGivenName).empty() && birth && birth->precision == Precision::kDay) {
    person_ = Person{std::move(family), std::string(record_.text(kGivenName)), birth->to_sql()};
  }
  if (naming_.match == PatientMatch::kIdentifier) return !number_.empty();
  return !number_.empty() || person_;
}

std::string RecordReading::patient_key() const {
  if (!number_.empty()) return fmt::format("{}|{}", naming_.number_system, number_);
  return "person|" + content_digest(fmt::format("{}\x1f{}\x1f{}", person_->family_name, person_->given_name, person_->birth_date));
}

void RecordReading::identify(ChildRow& row, std::string_view kind, std::string_view distinction) const {
  row.identifier_system = kSystemXdt;
  row.identifier_value = fmt::format("{}/{}/{}", patient_key(), kind, content_digest(distinction));
  row.id = row_id({row.identifier_system, row.identifier_value, {}, {}});
}

void RecordReading::add(Mapped mapped, std::string encounter) {
  if (problem_) {
    items_.emplace_back(Unmapped{std::move(mapped.type), std::move(*problem_)});
    problem_.reset();
    return;
  }
  if (!std::holds_alternative<PatientRow>(mapped.row)) {
    if (!number_.empty()) mapped.patient.candidates.push_back({naming_.number_system, number_, {}, {}});
    if (!encounter.empty()) mapped.encounter.candidates.push_back({std::string(kSystemXdt), std::move(encounter), {}, {}});
  }
  mapped.person = person_;
  if (const auto column = too_long_column(mapped); !column.empty()) {
    items_.emplace_back(Unmapped{std::move(mapped.type), {SkipReason::kTextTooLong, std::string(column)}});
    return;
  }
  mapped.notes.insert(mapped.notes.end(), notes_.begin(), notes_.end());
  notes_.clear();
  items_.emplace_back(std::move(mapped));
}

void RecordReading::skip(std::string_view table, SkipReason reason) {
  items_.emplace_back(Unmapped{type(table), problem_.value_or(Skip{reason, {}})});
  problem_.reset();
}

std::vector<XdtItem> RecordReading::take() {
  for (auto& item : items_) {
    auto* mapped = std::get_if<Mapped>(&item);
    if (mapped == nullptr) continue;
    mapped->notes.insert(mapped->notes.end(), notes_.begin(), notes_.end());
    notes_.clear();
  }
  return std::move(items_);
}

}  // namespace verbund::importer::xdt
