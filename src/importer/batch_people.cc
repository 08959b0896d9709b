/// The part of BatchWriter that finds patients by name, first name and birth date.
#include "importer/batch_writer.h"

namespace verbund::importer {

bool is_somebody_else(const KnownPatient& known, const std::optional<Person>& person) {
  // One of the two may be misspelt or have changed; both at once are another human being.
  const bool known_well = !known.family_name.empty() && !known.birth_date.empty();
  return person && known_well && known.family_name != person->family_name && known.birth_date != person->birth_date;
}

std::optional<Person> BatchWriter::person_of(const Mapped& mapped) {
  if (mapped.person) return mapped.person;
  const auto* row = std::get_if<PatientRow>(&mapped.row);
  if (row == nullptr || row->family_name.empty() || row->given_name.empty()) return std::nullopt;
  if (!row->birth_date || row->birth_date->precision != Precision::kDay) return std::nullopt;
  return Person{row->family_name, row->given_name, row->birth_date->to_sql()};
}

Status BatchWriter::look_up_people() {
  if (options_.match == PatientMatch::kIdentifier) return {};
  json::array keys;
  std::set<Person> people;
  for (const auto& item : items_) {
    if (auto person = person_of(item.mapped)) people.insert(std::move(*person));
  }
  for (const auto& person : people) {
    keys.push_back({{"family", person.family_name}, {"given", person.given_name}, {"birth", person.birth_date}});
  }
  if (keys.empty()) return {};
  // Devices write capitals where the practice does not.
  auto rows = connection_.query(
      "SELECT k.family, k.given, k.birth::text, p.id::text, p.family_name, p.birth_date::text "
      "FROM json_to_recordset($1::json) AS k(family text, given text, birth date) "
      "JOIN patient p ON p.birth_date = k.birth AND p.birth_date_precision = 'day' "
      "AND lower(p.family_name) = lower(k.family) AND lower(p.given_name) = lower(k.given)",
      {json::serialize(keys)});
  if (!rows) return pass(rows, "look up patients by name");
  for (int row = 0; row < rows->size(); ++row) {
    auto& found = people_[{std::string(rows->text(row, 0)), std::string(rows->text(row, 1)), std::string(rows->text(row, 2))}];
    if (found.size() < 2) {
      found.push_back({std::string(rows->text(row, 3)), std::string(rows->text(row, 4)), std::string(rows->text(row, 5))});
    }
  }
  return {};
}

const KnownPatient* BatchWriter::by_person(Item& item) {
  if (options_.match == PatientMatch::kIdentifier) return nullptr;
  const auto person = person_of(item.mapped);
  if (!person) return nullptr;
  const auto found = people_.find(*person);
  if (found == people_.end()) return nullptr;
  if (found->second.size() > 1) {
    skip(item, SkipReason::kAmbiguousPatient);
    return nullptr;
  }
  return &found->second.front();
}

}  // namespace verbund::importer
