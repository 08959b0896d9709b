#include "importer/map_shared.h"

namespace verbund::importer {
namespace {

/// "3.5 mmol/l", for values that are more than one number.
std::string shown_quantity(const json::object* quantity) {
  if (quantity == nullptr) return "";
  std::string out = text_at(*quantity, "comparator").value_or("") + number_at(*quantity, "value").value_or("");
  auto unit = text_at(*quantity, "unit");
  if (!unit) unit = text_at(*quantity, "code");
  if (unit) out += (out.empty() ? "" : " ") + *unit;
  return out;
}

void read_quantity(const json::object& quantity, ObservationRow& row) {
  // "< 5" is not 5: with a comparator the value is text.
  if (text_at(quantity, "comparator")) row.value_text = shown_quantity(&quantity);
  else row.value_number = number_at(quantity, "value");
  row.unit = text_at(quantity, "unit");
  if (!row.unit) row.unit = text_at(quantity, "code");
}

/// Values that the table has no columns for, as text.
Text shown_value(const json::object& holder) {
  for (const auto* name : {"valueString", "valueDateTime", "valueTime"}) {
    if (auto text = text_at(holder, name)) return text;
  }
  if (holder.contains("valueCodeableConcept")) return concept_at(holder, "valueCodeableConcept").display;
  if (const auto flag = bool_at(holder, "valueBoolean")) return *flag ? "true" : "false";
  if (const auto* range = object_at(holder, "valueRange")) {
    return fmt::format("{} – {}", shown_quantity(object_at(*range, "low")), shown_quantity(object_at(*range, "high")));
  }
  if (const auto* ratio = object_at(holder, "valueRatio")) {
    return fmt::format("{} : {}", shown_quantity(object_at(*ratio, "numerator")),
                       shown_quantity(object_at(*ratio, "denominator")));
  }
  if (const auto* period = object_at(holder, "valuePeriod")) {
    return fmt::format("{} – {}", text_at(*period, "start").value_or(""), text_at(*period, "end").value_or(""));
  }
  if (const auto* samples = object_at(holder, "valueSampledData")) return text_at(*samples, "data");
  return concept_at(holder, "dataAbsentReason").display;
}

void read_value(const json::object& holder, ObservationRow& row) {
  if (const auto* quantity = object_at(holder, "valueQuantity")) read_quantity(*quantity, row);
  else if (auto number = number_at(holder, "valueInteger")) row.value_number = std::move(number);
  else row.value_text = shown_value(holder);
}

void read_code(Reading& reading, const json::object& holder, ObservationRow& row) {
  auto found = concept_at(holder, "code");
  if (!found.display) {
    reading.fail(SkipReason::kNoCode);
    return;
  }
  row.code_system = std::move(found.system);
  row.code = std::move(found.code);
  row.display = std::move(*found.display);
}

void read_effective(Reading& reading, ObservationRow& row) {
  row.effective_at = reading.time(reading.resource, "effectiveDateTime");
  if (!row.effective_at) row.effective_at = reading.time(reading.resource, "effectiveInstant");
  std::optional<PartialTime> end;
  if (!row.effective_at) reading.period("effectivePeriod", row.effective_at, end);
}

ObservationRow component_of(Reading& reading, const json::object& component, const ObservationRow& main, std::size_t number) {
  ObservationRow row;
  row.identifier_system = main.identifier_system;
  row.identifier_value = fmt::format("{}#{}", main.identifier_value, number);
  row.id = row_id({row.identifier_system, row.identifier_value, {}, {}});
  row.component_of = main.id;
  row.status = main.status;
  row.category = main.category;
  row.effective_at = main.effective_at;
  read_code(reading, component, row);
  read_value(component, row);
  return row;
}

}  // namespace

Mapped map_observation(Reading& reading) {
  const auto& resource = reading.resource;
  ObservationRow main;
  identify_child(reading, "Observation", main);
  main.status = text_at(resource, "status").value_or("unknown");
  const auto category = concept_at(resource, "category");
  main.category = category.code ? category.code : category.display;
  read_code(reading, resource, main);
  read_value(resource, main);
  read_effective(reading, main);
  main.note = notes_at(resource);

  ObservationRows rows{std::move(main)};
  std::size_t number = 0;
  for (const auto* component : objects_at(resource, "component")) {
    rows.push_back(component_of(reading, *component, rows.front(), ++number));
  }
  Mapped mapped{"Observation", std::move(rows), {}, {}, {}, {}};
  mapped.patient = link_of(reading, object_at(resource, "subject"), "Patient");
  if (!mapped.patient.given()) reading.fail(SkipReason::kNoPatient);
  mapped.encounter = link_of(reading, object_at(resource, "encounter"), "Encounter");
  return mapped;
}

}  // namespace verbund::importer
