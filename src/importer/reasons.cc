#include "importer/reasons.h"

#include "base/messages.h"

namespace verbund::importer {

std::string_view msgid(SkipReason reason) {
  switch (reason) {
    case SkipReason::kTypeNotImported: return verbund::msgid("this resource type is not imported");
    case SkipReason::kNoPatient: return verbund::msgid("does not say which patient it belongs to");
    case SkipReason::kPatientNotFound: return verbund::msgid("its patient is neither in this import nor in the database");
    case SkipReason::kNoCode: return verbund::msgid("does not say what it is (no code, no text)");
    case SkipReason::kBadElement: return verbund::msgid("an element can't be read");
    case SkipReason::kTextTooLong: return verbund::msgid("a text is longer than 64 KiB");
    case SkipReason::kDeletion: return verbund::msgid("deletions are not imported");
    case SkipReason::kIdentifierConflict: return verbund::msgid("its identifiers belong to different patients");
    case SkipReason::kOtherPerson: return verbund::msgid("its identifier belongs to a patient of another name and birth date");
    case SkipReason::kDatabaseRefused: return verbund::msgid("PostgreSQL refused it");
  }
  return verbund::msgid("");
}

std::string_view msgid(Note note) {
  switch (note) {
    case Note::kEncounterNotFound: return verbund::msgid("imported without its encounter, which was not found");
    case Note::kEncounterOfOtherPatient: return verbund::msgid("imported without its encounter, which belongs to another patient");
    case Note::kElementIgnored: return verbund::msgid("a code outside its value set was left empty");
  }
  return verbund::msgid("");
}

}  // namespace verbund::importer
