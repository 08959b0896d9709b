#include <algorithm>

#include "importer/xdt/record_reading.h"

namespace verbund::importer::xdt {
namespace {

/// KVK and eGK: the part of the insurance number that stays for life, a letter and nine digits (§ 290 SGB V).
bool is_lifelong_number(std::string_view text) {
  return text.size() == 10 && text[0] >= 'A' && text[0] <= 'Z' &&
         std::all_of(text.begin() + 1, text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Text text_of(const XdtRecord& record, int id) {
  const auto text = record.text(id);
  return text.empty() ? Text() : Text(std::string(text));
}

void map_sex(RecordReading& reading, PatientRow& row) {
  const auto sex = reading.record().text(kSex);
  if (sex.empty()) return;
  // Digits: GDT 2.1 and BDT; letters: GDT 3.x, as on the insurance card.
  if (sex == "1" || sex == "M" || sex == "m") row.gender = "male";
  else if (sex == "2" || sex == "W" || sex == "w") row.gender = "female";
  else if (sex == "D" || sex == "d") row.gender = "other";
  else if (sex == "U" || sex == "X" || sex == "u" || sex == "x") row.gender = "unknown";
  else reading.note(Note::kElementIgnored);
}

void map_address(const XdtRecord& record, PatientRow& row) {
  row.street = text_of(record, kStreet);
  if (const auto house = record.text(kHouseNumber); row.street && !house.empty()) *row.street += fmt::format(" {}", house);
  row.postal_code = text_of(record, kPostalCode);
  row.city = text_of(record, kCity);
  row.country = text_of(record, kCountry);
  const auto both = record.text(kPostalCodeAndCity);
  if (row.postal_code || row.city || both.empty()) return;
  const auto blank = both.find(' ');
  const auto first = both.substr(0, blank);
  const bool code = blank != std::string_view::npos && first.find_first_of("0123456789") != std::string_view::npos;
  if (code) row.postal_code = std::string(first);
  row.city = std::string(code ? trimmed(both.substr(blank)) : both);
}

std::vector<Identifier> identifiers_of(RecordReading& reading) {
  const auto& record = reading.record();
  std::vector<Identifier> out;
  for (const int id : {kInsuranceNumberEgk, kInsuranceNumber}) {
    const auto number = record.text(id);
    const bool known = std::any_of(out.begin(), out.end(), [&](const auto& other) { return other.value == number; });
    if (number.empty() || known) continue;
    // Older numbers are unique within one insurer only: kept, but they identify nobody.
    out.push_back({is_lifelong_number(number) ? "http://fhir.de/sid/gkv/kvid-10" : "", std::string(number), "official", "KVNR"});
  }
  if (!reading.number().empty()) {
    out.push_back({reading.naming().number_system, std::string(reading.number()), "usual", "Patientennummer"});
  } else {
    out.push_back({std::string(kSystemContent), reading.patient_key(), {}, {}});
  }
  return out;
}

}  // namespace

void map_patient(RecordReading& reading) {
  const auto& record = reading.record();
  PatientRow row;
  row.family_name = record.text(kFamilyName);
  if (const auto prefix = record.text(kNamePrefix); !prefix.empty()) row.family_name = fmt::format("{} {}", prefix, row.family_name);
  row.given_name = record.text(kGivenName);
  row.name_prefix = text_of(record, kTitle);
  if (const auto* birth = record.find(kBirthDate)) row.birth_date = reading.day(*birth);
  row.phone = text_of(record, kPhone);
  if (!row.phone) row.phone = text_of(record, kMobile);
  row.email = text_of(record, kEmail);
  map_sex(reading, row);
  map_address(record, row);
  auto identifiers = identifiers_of(reading);
  row.id = row_id(identifiers.back());
  Mapped mapped{reading.type("patient"), std::move(row), std::move(identifiers), {}, {}, {}};
  mapped.partial = true;
  reading.add(std::move(mapped));
}

ObservationRow loinc_row(std::string_view code, std::string_view display) {
  ObservationRow row;
  row.status = "final";
  row.category = "vital-signs";
  row.code_system = kLoinc;
  row.code = code;
  row.display = display;
  return row;
}

void map_body(RecordReading& reading, const std::optional<PartialTime>& when) {
  const auto& fields = reading.record().fields;
  for (std::size_t at = 0; at < fields.size(); ++at) {
    const bool height = fields[at].id == kHeight;
    if (!height && fields[at].id != kWeight) continue;
    const auto value = parse_number(trimmed(fields[at].text));
    if (!value || value->find_first_not_of("0.") == std::string::npos) continue;  // 0: not measured
    auto row = height ? loinc_row("8302-2", "Körpergröße") : loinc_row("29463-7", "Körpergewicht");
    row.value_number = value;
    row.unit = height ? "cm" : "kg";
    // GDT 3.5 says the unit behind the value.
    if (at + 1 < fields.size() && fields[at + 1].id == kUnit) row.unit = std::string(trimmed(fields[at + 1].text));
    row.effective_at = when;
    reading.identify(row, height ? "height" : "weight", fmt::format("{} {} {}", when ? when->to_sql() : "", *value, *row.unit));
    reading.add({reading.type("observation"), ObservationRows{std::move(row)}, {}, {}, {}, {}});
  }
}

}  // namespace verbund::importer::xdt
