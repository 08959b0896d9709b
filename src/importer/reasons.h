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
  kAmbiguousPatient,    ///< several patients have its name and birth date
  kNothingToImport,     ///< a record of a known type without any content
  kUnreadable,          ///< a line of the record, or the row, can't be read or written as it is
  kHeld,                ///< somebody has its record's work lock; detail: who
  kDuplicate,           ///< the mapping says that what is there already stays; does not make an import incomplete
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
  kFieldIgnored,            ///< a field has no place in the tables
};
std::string_view msgid(Note note);

/// What lenient reading of GDT and BDT lets pass; strict reading refuses the file.
enum class Tolerated {
  kLineLength,      ///< the length in front of a line is wrong
  kBlanksAtEnd,     ///< blanks behind a line that its length does not count
  kLineEnd,         ///< LF alone, or none at the end of the file
  kBlankLine,
  kNoRecordLength,  ///< no field 8100
  kRecordLength,    ///< field 8100 is wrong
  kOrder,           ///< field 8100 is not the second, or a result stands before its test
  kMissingField,    ///< a field that its record must have
  kCharset,         ///< unknown; CP437 was taken
  kCharacter,       ///< not in the character set; replaced
  kByteOrderMark,   ///< read as UTF-8
};
std::string_view msgid(Tolerated tolerated);

}  // namespace verbund::importer
