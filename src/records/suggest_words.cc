#include "records/suggest_words.h"

#include <algorithm>
#include <array>
#include <span>

namespace verbund::records {
namespace {

using Words = std::span<const std::string_view>;

constexpr std::array<std::string_view, 9> kFamily{"nachname", "familienname", "family_name", "last_name", "lastname", "surname", "zuname",
                                                  "familyname", "name1"};
constexpr std::array<std::string_view, 6> kGiven{"vorname", "vornamen", "given_name", "first_name", "firstname", "givenname"};
constexpr std::array<std::string_view, 21> kTitle{
    "bezeichnung", "name", "titel", "title", "betreff", "subject", "firma", "firmenname", "company_name", "company", "display_name",
    "displayname", "anzeigename", "kurzbezeichnung", "label", "caption", "display", "fullname", "full_name", "bez", "beschreibung"};
constexpr std::array<std::string_view, 15> kNumber{"nummer", "nr",   "number",      "aktenzeichen", "az",     "code",  "kuerzel", "kurz",
                                                   "no",     "isbn", "kennzeichen", "sku",          "mrn",    "ean",   "kennung"};
/// Numbers that many rows share.
constexpr std::array<std::string_view, 13> kSharedNumber{"post", "plz", "zip", "haus", "house", "tel", "phone", "fax", "mobil", "konto", "bank",
                                                         "country", "version"};
constexpr std::array<std::string_view, 12> kBirth{"geburtsdatum", "birth_date",  "birthdate", "date_of_birth", "dob",      "gebdatum",
                                                  "geb_datum",    "geboren_am", "geburtstag", "birthday",      "gebdat", "geb_dat"};
constexpr std::array<std::string_view, 28> kWriter{
    "created_by", "updated_by", "changed_by", "modified_by", "deleted_by", "entered_by",  "author",     "angelegt_von", "geaendert_von",
    "erfasst_von", "erstellt_von", "geloescht_von", "bearbeiter", "sachbearbeiter", "benutzer", "user", "ersteller", "erfasser", "anleger",
    "user_id", "benutzer_id", "bearbeiter_id", "sachbearbeiter_id", "author_id", "ersteller_id", "owner", "owner_id", "freigegeben_von"};
constexpr std::array<std::string_view, 20> kSubject{
    "patient", "kunde", "customer", "client", "klient", "mandant", "akte", "person", "fall", "vorgang", "versicherter", "projekt", "project",
    "patienten", "kunden", "personen", "akten", "customers", "patients", "clients"};
constexpr std::array<std::string_view, 20> kPerhapsSubject{
    "mitarbeiter", "employee", "kontakt", "contact", "lieferant", "supplier", "artikel", "product", "produkt", "auftrag", "order", "vertrag",
    "contract", "arzt", "doctor", "firma", "company", "mitglied", "member", "case"};
constexpr std::array<std::string_view, 26> kValueList{
    "status", "art", "arten", "typ", "typen", "type", "types", "code", "codes", "kategorie", "category", "land", "country", "laender",
    "countries", "katalog", "lookup", "enum", "einheit", "unit", "sprache", "language", "geschlecht", "gender", "schluessel", "farbe"};
constexpr std::array<std::string_view, 13> kLog{"log", "logs", "protokoll", "history", "historie", "audit", "event", "events", "ereignis",
                                                "queue", "cache", "session", "sessions"};

bool among(std::string_view name, Words words) { return std::ranges::find(words, name) != words.end(); }

/// The whole name, or what stands behind one of its underscores: "pat_nachname", "kunde_firmen_name".
bool ends_in(std::string_view name, Words words) {
  for (std::string_view rest = name;; rest.remove_prefix(rest.find('_') + 1)) {
    if (among(rest, words)) return true;
    if (rest.find('_') == std::string_view::npos) return false;
  }
}

/// "patnachname", "mandantennummer": words long enough not to stand at an end by chance.
bool ends_in_long(std::string_view name, Words words) {
  constexpr std::size_t kLong = 6;
  return std::ranges::any_of(words, [&](std::string_view word) { return word.size() >= kLong && name.ends_with(word); });
}

bool is_date(const SnapshotColumn& column) { return column.type == "date" || column.type.starts_with("timestamp"); }

/// The two bytes of a UTF-8 umlaut, written out; empty: not one.
std::string_view written_out(unsigned char first, unsigned char second) {
  if (first != 0xc3) return {};
  switch (second) {
    case 0xa4: case 0x84: return "ae";
    case 0xb6: case 0x96: return "oe";
    case 0xbc: case 0x9c: return "ue";
    case 0x9f: return "ss";
    default: return {};
  }
}

}  // namespace

std::string folded_name(std::string_view name) {
  std::string out;
  bool was_small = false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    const bool capital = c >= 'A' && c <= 'Z';
    const auto letters = i + 1 < name.size() ? written_out(c, static_cast<unsigned char>(name[i + 1])) : std::string_view{};
    if (!letters.empty()) {
      const auto second = static_cast<unsigned char>(name[++i]);
      const bool small = second >= 0x9f;
      if (!small && was_small) out += '_';
      out += letters;
      was_small = small;
    } else if (capital || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      if (capital && was_small) out += '_';
      out += static_cast<char>(capital ? c - 'A' + 'a' : c);
      was_small = !capital;
    } else {
      if (c < 0x80 && !out.empty() && out.back() != '_') out += '_';
      was_small = false;
    }
  }
  while (out.ends_with('_')) out.pop_back();
  return out;
}

bool is_text(const SnapshotColumn& column) {
  return column.type == "text" || column.type == "citext" || column.type.starts_with("character") || column.type == "name";
}

Meaning meaning_of(const SnapshotColumn& column) {
  const std::string name = folded_name(column.name);
  if (is_date(column)) return ends_in(name, kBirth) || ends_in_long(name, kBirth) ? Meaning::kBirthDate : Meaning::kNone;
  const bool number = column.type == "integer" || column.type == "bigint" || column.type.starts_with("numeric");
  if (is_text(column)) {
    if (ends_in(name, kFamily) || ends_in_long(name, kFamily)) return Meaning::kFamilyName;
    if (ends_in(name, kGiven) || ends_in_long(name, kGiven)) return Meaning::kGivenName;
    if (ends_in(name, kTitle) || ends_in_long(name, kTitle)) return Meaning::kTitle;
  }
  if (std::ranges::any_of(kSharedNumber, [&](std::string_view part) { return name.find(part) != std::string::npos; })) return Meaning::kNone;
  if ((is_text(column) || number) && (ends_in(name, kNumber) || ends_in_long(name, kNumber))) return Meaning::kNumber;
  return Meaning::kNone;
}

bool names_a_writer(std::string_view column) { return ends_in(folded_name(column), kWriter); }

int is_subject(std::string_view table) {
  const auto name = folded_name(table);
  if (ends_in(name, kSubject)) return 2;
  return ends_in(name, kPerhapsSubject) ? 1 : 0;
}

bool is_value_list(std::string_view table) { return ends_in(folded_name(table), kValueList); }

bool is_log(std::string_view table) { return ends_in(folded_name(table), kLog); }

}  // namespace verbund::records
