#pragma once
/// Why a resource or file was left out, or imported but not in full. msgids stand in po/de.po.
#include <string>
#include <string_view>

namespace verbund::importer {

enum class SkipReason {
  kTypeNotImported,     ///< e.g. ValueSet; expected, does not make an import incomplete
  kNoPatient,           ///< no subject, or one that is no patient
  kPatientNotFound,     ///< neither in this import nor in the database
  kNoCode,              ///< condition, observation or medication that does not say what it is
  kBadElement,          ///< detail: the element
  kTextTooLong,         ///< detail: the column
  kDeletion,            ///< bundle entry that asks for a deletion
  kIdentifierConflict,  ///< its identifiers belong to different patients
  kOtherPerson,         ///< its identifier belongs to a patient of another name and birth date
  kDatabaseRefused,     ///< detail: PostgreSQL's message
};
struct Skip {
  SkipReason reason = SkipReason::kBadElement;
  std::string detail;  ///< untranslated; empty: none
  friend auto operator<=>(const Skip&, const Skip&) = default;
};
std::string_view msgid(SkipReason reason);

enum class Note {
  kEncounterNotFound,       ///< imported without it
  kEncounterOfOtherPatient, ///< imported without it
  kElementIgnored,          ///< a code outside its value set was left empty
};
std::string_view msgid(Note note);

}  // namespace verbund::importer
