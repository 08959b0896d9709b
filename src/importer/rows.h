#pragma once
/// What the importer writes: one struct per table of schema/demo/praxis.sql. Pure values.
///
/// `for_each_column(row, visit)` calls visit(column, value) in a fixed order; both writers (upsert and COPY) follow it,
/// so a column is named in one place.
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "importer/partial_time.h"

namespace verbund::importer {

using Text = std::optional<std::string>;

/// (system, value), as FHIR identifies things; also carries references (see references.h).
struct Identifier {
  std::string system;  ///< empty: unknown, so it identifies nothing outside its source
  std::string value;
  Text use;
  Text type;
  [[nodiscard]] bool same_as(const Identifier& other) const { return system == other.system && value == other.value; }
};

struct PatientRow {
  static constexpr std::string_view kTable = "patient";
  std::string id;
  std::string family_name, given_name;
  Text name_prefix, other_names, gender;
  std::optional<PartialDate> birth_date;
  bool deceased = false;
  std::optional<PartialTime> deceased_at;
  Text phone, email, street, postal_code, city, country;
  bool active = true;
};

/// What all children of a patient have in common.
struct ChildRow {
  std::string id;
  std::string patient_id;  ///< empty until the writer has resolved it
  std::string identifier_system, identifier_value;
};

struct EncounterRow : ChildRow {
  static constexpr std::string_view kTable = "encounter";
  std::string status = "unknown";
  Text class_code, type, reason;
  std::optional<PartialTime> started_at, ended_at;
};

struct ConditionRow : ChildRow {
  static constexpr std::string_view kTable = "condition";
  Text encounter_id, clinical_status, verification_status, code_system, code;
  std::string display;
  std::optional<PartialTime> onset_at, abatement_at;
  Text note;
};

struct ObservationRow : ChildRow {
  static constexpr std::string_view kTable = "observation";
  Text encounter_id, component_of;
  std::string status = "unknown";
  Text category, code_system, code;
  std::string display;
  Text value_number, value_text, unit;  ///< value_number: decimal text, as numeric takes it
  std::optional<PartialTime> effective_at;
  Text note;
};

struct MedicationRow : ChildRow {
  static constexpr std::string_view kTable = "medication";
  Text encounter_id;
  std::string kind;  ///< "request", "statement"
  std::string status = "unknown";
  Text code_system, code;
  std::string display;
  Text dosage;
  std::optional<PartialTime> started_at, ended_at;
};

template <typename Visit, typename Time>
void visit_time(Visit& visit, std::string_view column, std::string_view precision_column, const std::optional<Time>& time) {
  visit(column, time ? Text(time->to_sql()) : Text());
  visit(precision_column, time ? Text(std::string(name_of(time->precision))) : Text());
}

template <typename Visit>
void for_each_column(const PatientRow& row, Visit visit) {
  visit("id", row.id);
  visit("family_name", row.family_name);
  visit("given_name", row.given_name);
  visit("name_prefix", row.name_prefix);
  visit("other_names", row.other_names);
  visit("gender", row.gender);
  visit_time(visit, "birth_date", "birth_date_precision", row.birth_date);
  visit("deceased", row.deceased);
  visit_time(visit, "deceased_at", "deceased_at_precision", row.deceased_at);
  visit("phone", row.phone);
  visit("email", row.email);
  visit("street", row.street);
  visit("postal_code", row.postal_code);
  visit("city", row.city);
  visit("country", row.country);
  visit("active", row.active);
}

template <typename Visit>
void visit_child(const ChildRow& row, Visit& visit) {
  visit("id", row.id);
  visit("identifier_system", row.identifier_system);
  visit("identifier_value", row.identifier_value);
  visit("patient_id", row.patient_id);
}

template <typename Visit>
void for_each_column(const EncounterRow& row, Visit visit) {
  visit_child(row, visit);
  visit("status", row.status);
  visit("class", row.class_code);
  visit("type", row.type);
  visit("reason", row.reason);
  visit_time(visit, "started_at", "started_at_precision", row.started_at);
  visit_time(visit, "ended_at", "ended_at_precision", row.ended_at);
}

template <typename Visit>
void for_each_column(const ConditionRow& row, Visit visit) {
  visit_child(row, visit);
  visit("encounter_id", row.encounter_id);
  visit("clinical_status", row.clinical_status);
  visit("verification_status", row.verification_status);
  visit("code_system", row.code_system);
  visit("code", row.code);
  visit("display", row.display);
  visit_time(visit, "onset_at", "onset_at_precision", row.onset_at);
  visit_time(visit, "abatement_at", "abatement_at_precision", row.abatement_at);
  visit("note", row.note);
}

template <typename Visit>
void for_each_column(const ObservationRow& row, Visit visit) {
  visit_child(row, visit);
  visit("encounter_id", row.encounter_id);
  visit("component_of", row.component_of);
  visit("status", row.status);
  visit("category", row.category);
  visit("code_system", row.code_system);
  visit("code", row.code);
  visit("display", row.display);
  visit("value_number", row.value_number);
  visit("value_text", row.value_text);
  visit("unit", row.unit);
  visit_time(visit, "effective_at", "effective_at_precision", row.effective_at);
  visit("note", row.note);
}

template <typename Visit>
void for_each_column(const MedicationRow& row, Visit visit) {
  visit_child(row, visit);
  visit("encounter_id", row.encounter_id);
  visit("kind", row.kind);
  visit("status", row.status);
  visit("code_system", row.code_system);
  visit("code", row.code);
  visit("display", row.display);
  visit("dosage", row.dosage);
  visit_time(visit, "started_at", "started_at_precision", row.started_at);
  visit_time(visit, "ended_at", "ended_at_precision", row.ended_at);
}

}  // namespace verbund::importer
