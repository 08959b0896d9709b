#include "importer/reasons.h"

namespace verbund::importer {

std::string_view msgid(SkipReason reason) {
  switch (reason) {
    case SkipReason::kTypeNotImported: return "this resource type is not imported";
    case SkipReason::kNoPatient: return "does not say which patient it belongs to";
    case SkipReason::kPatientNotFound: return "its patient is neither in this import nor in the database";
    case SkipReason::kNoCode: return "does not say what it is (no code, no text)";
    case SkipReason::kBadElement: return "an element can't be read";
    case SkipReason::kTextTooLong: return "a text is longer than 64 KiB";
    case SkipReason::kDeletion: return "deletions are not imported";
    case SkipReason::kIdentifierConflict: return "its identifiers belong to different patients";
    case SkipReason::kOtherPerson: return "its identifier belongs to a patient of another name and birth date";
    case SkipReason::kDatabaseRefused: return "PostgreSQL refused it";
  }
  return "";
}

std::string_view msgid(Note note) {
  switch (note) {
    case Note::kEncounterNotFound: return "imported without its encounter, which was not found";
    case Note::kEncounterOfOtherPatient: return "imported without its encounter, which belongs to another patient";
    case Note::kElementIgnored: return "a code outside its value set was left empty";
  }
  return "";
}

}  // namespace verbund::importer
