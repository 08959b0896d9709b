#pragma once
/// FHIR R4 resource -> row of the demo practice. Pure: no I/O, no database; docs/formats/import-fhir.md is its table.
#include <expected>
#include <unordered_map>
#include <variant>
#include <vector>

#include "importer/fhir_json.h"
#include "importer/reasons.h"
#include "importer/rows.h"

namespace verbund::importer {

/// Medication resources by reference key, so that a prescription can name what it only refers to.
using Medications = std::unordered_map<std::string, Concept>;

/// Where a resource stands.
struct Context {
  std::string full_url;  ///< of the bundle entry; empty outside bundles
  std::string base;      ///< of relative references: from full_url, else ImportOptions::source
  /// Type/id -> reference key, of entries that a bundle names by urn:… only. May be null.
  const std::unordered_map<std::string, std::string>* aliases = nullptr;
  const Medications* medications = nullptr;  ///< may be null
};

/// What a child refers to, in the order in which it shall be looked up.
struct Link {
  std::vector<Identifier> candidates;
  [[nodiscard]] bool given() const { return !candidates.empty(); }
};

/// An observation and its components, the main row first.
using ObservationRows = std::vector<ObservationRow>;

/// How a patient is found again.
enum class PatientMatch {
  kIdentifier,  ///< by a number that has a system
  kPerson,      ///< by name, first name and birth date; its numbers must not belong to somebody else
  kEither,      ///< by number; if nobody has it, by name, first name and birth date
};

/// What identifies a person without a number; all three are given.
struct Person {
  std::string family_name, given_name;
  std::string birth_date;  ///< "1974-12-31"
  friend auto operator<=>(const Person&, const Person&) = default;
};

struct Mapped {
  std::string type;  ///< FHIR resource type, or record type and table ("GDT 6310 observation"), for the report
  std::variant<PatientRow, EncounterRow, ConditionRow, ObservationRows, MedicationRow> row;
  /// Patient: what identifies it; the reference key comes last.
  std::vector<Identifier> identifiers;
  Link patient;    ///< of children; resolved by the writer
  Link encounter;  ///< may be empty
  std::vector<Note> notes;
  /// Whom the source means, in words: to find the patient by, and to notice that a number belongs to somebody else.
  std::optional<Person> person = {};
  /// Patient: columns that the source says nothing of stay as they are (FHIR resources are the whole truth, GDT records are not).
  bool partial = false;
};

/// The first column whose text is too long for the tables; empty: none.
std::string_view too_long_column(const Mapped& mapped);

/// Errors (Skip): the type is not imported, a mandatory element is missing, an element can't be read. Never throws for any
/// JSON; notes are put on what is imported but not in full.
std::expected<Mapped, Skip> map_resource(const json::object& resource, const Context& context);

/// Reference key of a resource as others will name it; empty when it has neither full URL nor id.
std::string key_of(const json::object& resource, const Context& context);

}  // namespace verbund::importer
