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
    case SkipReason::kAmbiguousPatient: return verbund::msgid("several patients have its name and birth date");
    case SkipReason::kNothingToImport: return verbund::msgid("holds nothing that could be imported");
    case SkipReason::kUnreadable: return verbund::msgid("can't be imported as it is");
    case SkipReason::kHeld: return verbund::msgid("somebody else has its record locked; import it again later");
    case SkipReason::kDuplicate: return verbund::msgid("is there already and stays as it is");
  }
  return {};
}

std::string_view msgid(Note note) {
  switch (note) {
    case Note::kEncounterNotFound: return verbund::msgid("imported without its encounter, which was not found");
    case Note::kEncounterOfOtherPatient: return verbund::msgid("imported without its encounter, which belongs to another patient");
    case Note::kElementIgnored: return verbund::msgid("a code outside its value set was left empty");
    case Note::kFieldIgnored: return verbund::msgid("imported without fields that have no place in the tables");
  }
  return {};
}

std::string_view msgid(Tolerated tolerated) {
  switch (tolerated) {
    case Tolerated::kLineLength: return verbund::msgid("the length in front of a line is wrong");
    case Tolerated::kBlanksAtEnd: return verbund::msgid("blanks at the end of a line");
    case Tolerated::kLineEnd: return verbund::msgid("a line does not end with CR LF");
    case Tolerated::kBlankLine: return verbund::msgid("an empty line");
    case Tolerated::kNoRecordLength: return verbund::msgid("a record without its length (field 8100)");
    case Tolerated::kRecordLength: return verbund::msgid("the length of a record (field 8100) is wrong");
    case Tolerated::kOrder: return verbund::msgid("a field does not stand where its record must have it");
    case Tolerated::kMissingField: return verbund::msgid("a field that its record must have is missing");
    case Tolerated::kCharset: return verbund::msgid("an unknown character set; CP437 was taken");
    case Tolerated::kCharacter: return verbund::msgid("a character that the character set does not have; it was replaced");
    case Tolerated::kByteOrderMark: return verbund::msgid("a byte order mark; the file was read as UTF-8");
  }
  return {};
}

}  // namespace verbund::importer
