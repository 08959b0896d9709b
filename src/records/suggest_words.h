#pragma once
/// What the names of tables and columns say, in German and English. This folder only; pure, any thread.
#include <string>
#include <string_view>

#include "records/suggest.h"

namespace verbund::records {

/// Lower case, umlauts and ß written out, everything but letters and digits an underscore, words of "camelCase" parted:
/// "PatGeburtsdatum" → "pat_geburtsdatum", "Straße" → "strasse".
std::string folded_name(std::string_view name);

/// What a column is to people.
enum class Meaning { kNone, kFamilyName, kGivenName, kTitle, kNumber, kBirthDate };
Meaning meaning_of(const SnapshotColumn& column);

bool is_text(const SnapshotColumn& column);
/// "created_by", "geaendert_von", "benutzer_id": who wrote the row, not whose row it is.
bool names_a_writer(std::string_view column);
/// "patient", "kunde", "akte": what an office keeps files about. 0: not so; 1: perhaps; 2: surely.
int is_subject(std::string_view table);
/// "status", "land", "gebuehrenart": a list of values.
bool is_value_list(std::string_view table);
/// "log", "protokoll", "history": written by machines.
bool is_log(std::string_view table);

}  // namespace verbund::records
