#pragma once
/// German patients made from a seed, for demonstrations and load: no real person, the same ones on every machine.
#include <cstdint>
#include <vector>

#include "importer/importer.h"
#include "importer/rows.h"

namespace verbund::importer {

/// A patient with what belongs to it. Keys and links are set.
struct SyntheticPatient {
  PatientRow patient;
  std::vector<Identifier> identifiers;
  std::vector<EncounterRow> encounters;
  std::vector<ConditionRow> conditions;
  std::vector<ObservationRow> observations;  ///< a component after what it belongs to
  std::vector<MedicationRow> medications;
  std::string nurse;
};
/// The `number`th patient (from 1) of `seed`. Pure; born between 1930 and 2020, seen between 2022 and 2026.
SyntheticPatient make_patient(std::uint64_t seed, std::uint64_t number);

/// Writes the patients 1 to `count` of `seed` by COPY, some thousands per transaction. Those that an earlier call has
/// written already (or began) are kept as they are and count as unchanged.
/// Errors: kCancelled, kDatabaseDown, kDatabase; patients committed before them stay. Progress counts patients as bytes.
[[nodiscard]] Result<ImportReport> import_synthetic(postgres::Connection& connection, std::uint64_t count, std::uint64_t seed,
                                                    const ProgressSink& progress = {});

}  // namespace verbund::importer
