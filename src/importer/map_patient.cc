#include "importer/map_shared.h"

namespace verbund::importer {
namespace {

/// Lower is better: the name that people use today.
int rank_of_name(const json::object& name) {
  const auto use = text_at(name, "use").value_or("");
  if (use == "official") return 0;
  if (use == "usual") return 1;
  if (use.empty()) return 2;
  if (use == "nickname" || use == "anonymous" || use == "temp") return 3;
  return 4;  // old, maiden
}

std::string shown_name(const json::object& name) {
  if (auto text = text_at(name, "text")) return *text;
  std::string out = joined_at(name, "given", " ").value_or("");
  const auto family = text_at(name, "family");
  if (family && !out.empty()) out += ' ';
  return out + family.value_or("");
}

void map_names(const json::object& resource, PatientRow& row) {
  std::vector<const json::object*> names;
  for (const auto* name : objects_at(resource, "name")) {
    if (!shown_name(*name).empty()) names.push_back(name);
  }
  // The first of the best.
  const auto best = std::min_element(names.begin(), names.end(),
                                     [](const auto* a, const auto* b) { return rank_of_name(*a) < rank_of_name(*b); });
  if (best == names.end()) return;
  row.family_name = text_at(**best, "family").value_or("");
  row.given_name = joined_at(**best, "given", " ").value_or("");
  row.name_prefix = joined_at(**best, "prefix", " ");
  // A name that is only written out can't be taken apart: which part is the family's differs by country.
  if (row.family_name.empty() && row.given_name.empty()) row.family_name = shown_name(**best);
  std::string others;
  for (const auto* name : names) {
    if (name != *best) others += (others.empty() ? "" : "; ") + shown_name(*name);
  }
  if (!others.empty()) row.other_names = std::move(others);
}

void map_telecom(const json::object& resource, PatientRow& row) {
  for (const auto* contact : objects_at(resource, "telecom")) {
    const auto system = text_at(*contact, "system").value_or("");
    auto value = text_at(*contact, "value");
    if (!value || text_at(*contact, "use") == "old") continue;
    if (system == "phone" && !row.phone) row.phone = std::move(value);
    else if (system == "email" && !row.email) row.email = std::move(value);
  }
}

void map_address(const json::object& resource, PatientRow& row) {
  for (const auto* address : objects_at(resource, "address")) {
    if (text_at(*address, "use") == "old") continue;
    row.street = joined_at(*address, "line", ", ");
    row.postal_code = text_at(*address, "postalCode");
    row.city = text_at(*address, "city");
    row.country = text_at(*address, "country");
    if (!row.street && !row.city) row.street = text_at(*address, "text");
    return;
  }
}

void map_gender(Reading& reading, PatientRow& row) {
  auto gender = text_at(reading.resource, "gender");
  if (!gender) return;
  if (gender == "male" || gender == "female" || gender == "other" || gender == "unknown") row.gender = std::move(gender);
  else reading.notes.push_back(Note::kElementIgnored);
}

}  // namespace

Mapped map_patient(Reading& reading) {
  const auto& resource = reading.resource;
  PatientRow row;
  map_names(resource, row);
  map_telecom(resource, row);
  map_address(resource, row);
  map_gender(reading, row);
  row.birth_date = reading.date(resource, "birthDate");
  row.deceased_at = reading.time(resource, "deceasedDateTime");
  row.deceased = row.deceased_at.has_value() || bool_at(resource, "deceasedBoolean").value_or(false);
  row.active = bool_at(resource, "active").value_or(true);

  auto identifiers = identifiers_of(resource);
  auto key = key_of(resource, reading.context);
  if (key.empty() && std::all_of(identifiers.begin(), identifiers.end(), [](const auto& i) { return i.system.empty(); })) {
    identifiers.push_back({std::string(kSystemContent), "Patient/" + content_digest(json::serialize(resource)), {}, {}});
  }
  if (!key.empty()) identifiers.push_back(identity_of_key(std::move(key)));
  // The last one always has a system: it decides the key of a new patient.
  const auto named = std::find_if(identifiers.rbegin(), identifiers.rend(), [](const auto& i) { return !i.system.empty(); });
  row.id = row_id(*named);
  return {"Patient", std::move(row), std::move(identifiers), {}, {}, {}};
}

}  // namespace verbund::importer
