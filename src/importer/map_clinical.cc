#include "importer/map_shared.h"

namespace verbund::importer {
namespace {

/// Subject and encounter of a child; a child that names no patient is of no use to a practice.
void link_child(Reading& reading, Mapped& mapped, std::string_view encounter_element) {
  mapped.patient = link_of(reading, object_at(reading.resource, "subject"), "Patient");
  if (!mapped.patient.given()) reading.fail(SkipReason::kNoPatient);
  if (!encounter_element.empty()) {
    mapped.encounter = link_of(reading, object_at(reading.resource, encounter_element), "Encounter");
  }
}

void take_concept(Reading& reading, Concept found, Text& system, Text& code, std::string& display) {
  if (!found.display) {
    reading.fail(SkipReason::kNoCode);
    return;
  }
  system = std::move(found.system);
  code = std::move(found.code);
  display = std::move(*found.display);
}

Text code_of(const json::object& resource, std::string_view element) {
  const auto found = concept_at(resource, element);
  return found.code ? found.code : found.display;
}

}  // namespace

Mapped map_encounter(Reading& reading) {
  const auto& resource = reading.resource;
  EncounterRow row;
  identify_child(reading, "Encounter", row);
  row.status = text_at(resource, "status").value_or("unknown");
  if (const auto* kind = object_at(resource, "class")) row.class_code = text_at(*kind, "code");
  row.type = concept_at(resource, "type").display;
  row.reason = concept_at(resource, "reasonCode").display;
  reading.period("period", row.started_at, row.ended_at);
  Mapped mapped{"Encounter", std::move(row), {}, {}, {}, {}};
  link_child(reading, mapped, "");
  return mapped;
}

Mapped map_condition(Reading& reading) {
  const auto& resource = reading.resource;
  ConditionRow row;
  identify_child(reading, "Condition", row);
  row.clinical_status = code_of(resource, "clinicalStatus");
  row.verification_status = code_of(resource, "verificationStatus");
  take_concept(reading, concept_at(resource, "code"), row.code_system, row.code, row.display);
  row.onset_at = reading.time(resource, "onsetDateTime");
  row.abatement_at = reading.time(resource, "abatementDateTime");
  std::optional<PartialTime> ignored;
  if (!row.onset_at) reading.period("onsetPeriod", row.onset_at, ignored);
  row.note = notes_at(resource);
  Mapped mapped{"Condition", std::move(row), {}, {}, {}, {}};
  link_child(reading, mapped, "encounter");
  return mapped;
}

namespace {

/// The medication's name: written out, contained, in this import, or at least as the reference shows it.
Concept medication_of(const Reading& reading) {
  const auto& resource = reading.resource;
  if (auto written = concept_at(resource, "medicationCodeableConcept"); written.display) return written;
  const auto* reference = object_at(resource, "medicationReference");
  if (reference == nullptr) return {};
  const auto target = text_at(*reference, "reference").value_or("");
  if (target.starts_with('#')) {
    if (const auto* contained = reading.contained(target)) {
      if (auto found = concept_at(*contained, "code"); found.display) return found;
    }
  } else if (!target.empty() && reading.context.medications != nullptr) {
    const auto found = reading.context.medications->find(reference_key(target, reading.context.base));
    if (found != reading.context.medications->end()) return found->second;
  }
  return {{}, {}, text_at(*reference, "display")};
}

Text dosage_of(const json::object& resource, std::string_view element) {
  std::string out;
  for (const auto* dosage : objects_at(resource, element)) {
    if (const auto text = text_at(*dosage, "text")) out += (out.empty() ? "" : "; ") + *text;
  }
  return out.empty() ? Text() : Text(std::move(out));
}

}  // namespace

Mapped map_medication(Reading& reading, std::string_view kind) {
  const auto& resource = reading.resource;
  const bool request = kind == "request";
  const std::string_view type = request ? "MedicationRequest" : "MedicationStatement";
  MedicationRow row;
  identify_child(reading, type, row);
  row.kind = kind;
  row.status = text_at(resource, "status").value_or("unknown");
  take_concept(reading, medication_of(reading), row.code_system, row.code, row.display);
  row.dosage = dosage_of(resource, request ? "dosageInstruction" : "dosage");
  if (request) {
    row.started_at = reading.time(resource, "authoredOn");
  } else {
    reading.period("effectivePeriod", row.started_at, row.ended_at);
    if (!row.started_at) row.started_at = reading.time(resource, "effectiveDateTime");
  }
  Mapped mapped{std::string(type), std::move(row), {}, {}, {}, {}};
  link_child(reading, mapped, request ? "encounter" : "context");
  return mapped;
}

}  // namespace verbund::importer
