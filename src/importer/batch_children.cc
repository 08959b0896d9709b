/// The part of BatchWriter that writes what belongs to patients.
#include "base/messages.h"
#include "importer/batch_writer.h"
#include "importer/batch_upsert.h"

namespace verbund::importer {
namespace {

std::string identity_text(std::string_view system, std::string_view value) { return fmt::format("{}\x1f{}", system, value); }

ChildRow& child_of(Mapped& mapped) {
  return std::visit(
      [](auto& row) -> ChildRow& {
        using Row = std::decay_t<decltype(row)>;
        if constexpr (std::is_same_v<Row, PatientRow>) std::abort();  // callers look first
        else if constexpr (std::is_same_v<Row, ObservationRows>) return row.front();
        else return row;
      },
      mapped.row);
}

void set_patient(Mapped& mapped, const std::string& id) {
  child_of(mapped).patient_id = id;
  if (auto* rows = std::get_if<ObservationRows>(&mapped.row)) {
    for (auto& row : *rows) row.patient_id = id;
  }
}

void set_encounter(Mapped& mapped, const std::string& id) {
  if (auto* row = std::get_if<ConditionRow>(&mapped.row)) row->encounter_id = id;
  if (auto* row = std::get_if<MedicationRow>(&mapped.row)) row->encounter_id = id;
  if (auto* rows = std::get_if<ObservationRows>(&mapped.row)) {
    for (auto& row : *rows) row.encounter_id = id;
  }
}

/// '{a,b}' of uuids.
std::string uuid_array(const std::vector<std::string>& ids) { return fmt::format("{{{}}}", fmt::join(ids, ",")); }

}  // namespace

void BatchWriter::resolve_patient(Item& item) {
  if (options_.match == PatientMatch::kPerson && item.mapped.person) {
    if (const auto* person = by_person(item)) return set_patient(item.mapped, person->id);
    if (item.outcome == Outcome::kSkipped) return;
    if (missing_ == Missing::kWait) item.outcome = Outcome::kWaits;
    else skip(item, SkipReason::kPatientNotFound);
    return;
  }
  for (const auto& candidate : item.mapped.patient.candidates) {
    const auto key = identity_text(candidate.system, candidate.value);
    if (refused_patients_.contains(key)) return skip(item, SkipReason::kPatientNotFound);
    const auto found = patients_.find(key);
    if (found == patients_.end()) continue;
    if (is_somebody_else(found->second, item.mapped.person)) return skip(item, SkipReason::kOtherPerson);
    set_patient(item.mapped, found->second.id);
    return;
  }
  if (const auto* person = by_person(item)) return set_patient(item.mapped, person->id);
  if (item.outcome == Outcome::kSkipped) return;
  if (missing_ == Missing::kWait) item.outcome = Outcome::kWaits;
  else skip(item, SkipReason::kPatientNotFound);
}

void BatchWriter::resolve_encounter(Item& item) {
  if (!item.mapped.encounter.given()) return;
  for (const auto& candidate : item.mapped.encounter.candidates) {
    const auto found = encounters_.find(identity_text(candidate.system, candidate.value));
    if (found == encounters_.end()) continue;
    if (found->second.patient_id == child_of(item.mapped).patient_id) set_encounter(item.mapped, found->second.id);
    else item.notes.push_back(Note::kEncounterOfOtherPatient);
    return;
  }
  if (missing_ == Missing::kWait) item.outcome = Outcome::kWaits;
  else item.notes.push_back(Note::kEncounterNotFound);
}

Status BatchWriter::write_encounters() {
  for (auto& item : items_) {
    if (item.outcome == Outcome::kPending && std::holds_alternative<EncounterRow>(item.mapped.row)) resolve_patient(item);
  }
  return write_children<EncounterRow>();
}

Status BatchWriter::look_up_encounters() {
  json::array keys;
  for (const auto& item : items_) {
    for (const auto& candidate : item.mapped.encounter.candidates) {
      keys.push_back({{"system", candidate.system}, {"value", candidate.value}});
    }
  }
  if (keys.empty()) return {};
  auto rows = connection_.query(
      "SELECT e.identifier_system, e.identifier_value, e.id::text, e.patient_id::text "
      "FROM (SELECT DISTINCT system, value FROM json_to_recordset($1::json) AS k(system text, value text)) k "
      "JOIN encounter e ON e.identifier_system = k.system AND e.identifier_value = k.value",
      {json::serialize(keys)});
  if (!rows) return pass(rows, "look up encounters");
  for (int row = 0; row < rows->size(); ++row) {
    encounters_[identity_text(rows->text(row, 0), rows->text(row, 1))] = {std::string(rows->text(row, 2)),
                                                                          std::string(rows->text(row, 3))};
  }
  return {};
}

template <typename Row>
std::vector<BatchWriter::Pending<Row>> BatchWriter::pending() {
  std::vector<Pending<Row>> out;
  for (auto& item : items_) {
    if (const auto* row = std::get_if<Row>(&item.mapped.row); row != nullptr && item.outcome == Outcome::kPending) {
      out.push_back({row, &item});
    }
  }
  return out;
}
template std::vector<BatchWriter::Pending<PatientRow>> BatchWriter::pending<PatientRow>();

template <typename Row>
Status BatchWriter::write_children() {
  const auto rows = pending<Row>();
  auto changes = upsert<Row>(rows);
  if (!changes) return pass(changes, phrase("write {}s", Row::kTable));
  for (const auto& [row, item] : rows) settle(*item, *changes, identity_text(row->identifier_system, row->identifier_value));
  return {};
}

Status BatchWriter::write_conditions_and_medications() {
  for (auto& item : items_) {
    const auto kind = item.mapped.row.index();
    if (kind == 0 || item.outcome != Outcome::kPending || std::holds_alternative<EncounterRow>(item.mapped.row)) continue;
    resolve_patient(item);
    if (item.outcome == Outcome::kPending) resolve_encounter(item);
  }
  if (auto written = write_children<ConditionRow>(); !written) return written;
  return write_children<MedicationRow>();
}

Status BatchWriter::write_observations() {
  std::vector<Pending<ObservationRow>> rows;
  for (auto& [group, item] : pending<ObservationRows>()) {
    for (const auto& row : *group) rows.push_back({&row, item});
  }
  auto changes = upsert<ObservationRow>(rows);
  if (!changes) return pass(changes, "write observations");
  const auto groups = pending<ObservationRows>();
  auto all = attempt([&] { return delete_stale_components(groups, *changes); });
  if (!all) return pass(all);
  for (std::size_t at = 0; !*all && at < groups.size(); ++at) {
    auto one = attempt([&] { return delete_stale_components(std::span(groups).subspan(at, 1), *changes); });
    if (!one) return pass(one);
    if (!*one) skip_refused(*groups[at].item, *refusal_);
  }
  for (auto& [group, item] : pending<ObservationRows>()) {
    const auto& main = group->front();
    const auto key = identity_text(main.identifier_system, main.identifier_value);
    const bool part_changed = std::any_of(group->begin() + 1, group->end(), [&](const auto& part) {
      return changes->contains(identity_text(part.identifier_system, part.identifier_value));
    });
    if (part_changed) changes->emplace(key, Change::kUpdated);
    settle(*item, *changes, key);
  }
  return {};
}

Status BatchWriter::delete_stale_components(std::span<const Pending<ObservationRows>> groups, Changes& changes) {
  std::vector<std::string> mains, parts;
  std::unordered_map<std::string, const ObservationRow*> by_id;
  for (const auto& [group, item] : groups) {
    mains.push_back(group->front().id);
    by_id[group->front().id] = &group->front();
    for (std::size_t at = 1; at < group->size(); ++at) parts.push_back((*group)[at].id);
  }
  auto deleted = connection_.query(
      "DELETE FROM observation WHERE component_of = ANY($1::uuid[]) AND NOT id = ANY($2::uuid[]) RETURNING component_of::text",
      {uuid_array(mains), uuid_array(parts)});
  if (!deleted) return pass(deleted, "remove parts of observations");
  for (int row = 0; row < deleted->size(); ++row) {
    const auto found = by_id.find(std::string(deleted->text(row, 0)));
    if (found != by_id.end()) {
      changes.emplace(identity_text(found->second->identifier_system, found->second->identifier_value), Change::kUpdated);
    }
  }
  return {};
}

}  // namespace verbund::importer
