#pragma once
/// Shared by the units that map xDT records; not for other folders.
#include "importer/references.h"
#include "importer/xdt/fields.h"
#include "importer/xdt/mapping.h"

namespace verbund::importer::xdt {

inline constexpr std::string_view kSystemXdt = "urn:verbund:xdt";
inline constexpr std::string_view kLoinc = "http://loinc.org";

/// TTMMJJJJ; day and month may be 00 for unknown.
std::optional<PartialDate> parse_day(std::string_view text);
/// HHMMSS or HHMM.
std::optional<std::chrono::seconds> parse_clock(std::string_view text);
/// A decimal number with point or comma, as PostgreSQL takes it; nothing for "< 5", "neg." and the like.
Text parse_number(std::string_view text);
/// "UTC+2", "UTC-03:30": offset from UTC.
std::optional<std::chrono::minutes> parse_zone(std::string_view text);

/// A day, and a time if there is one, by the German clock (or in `zone`).
PartialTime moment(const PartialDate& day, std::optional<std::chrono::seconds> clock,
                   std::optional<std::chrono::minutes> zone = std::nullopt);

/// One record on its way to rows. What was mapped is collected in `items`.
class RecordReading {
 public:
  RecordReading(const XdtRecord& record, const XdtNaming& naming) : record_(record), naming_(naming) {}

  [[nodiscard]] const XdtRecord& record() const { return record_; }
  [[nodiscard]] const XdtNaming& naming() const { return naming_; }
  /// "GDT 6310 observation"
  [[nodiscard]] std::string type(std::string_view table) const;

  /// Nothing when absent or not readable; the latter is the item's problem until the next add or skip.
  std::optional<PartialDate> day(const XdtField& field);
  std::optional<std::chrono::seconds> clock(const XdtField& field);
  void fail(SkipReason reason, std::string detail);
  [[nodiscard]] bool has_problem() const { return problem_.has_value(); }
  void note(Note note);

  /// False: the record does not say whose it is.
  bool read_person();
  [[nodiscard]] const std::optional<Person>& person() const { return person_; }
  [[nodiscard]] std::string_view number() const { return number_; }
  /// What names the patient in the identity of what belongs to it.
  [[nodiscard]] std::string patient_key() const;

  /// Fills id and identity of a row from what tells it from all others of this patient.
  void identify(ChildRow& row, std::string_view kind, std::string_view distinction) const;
  /// Links `mapped` to the patient (and to `encounter`, its identity) and adds it, or what stands against it.
  void add(Mapped mapped, std::string encounter = {});
  void skip(std::string_view table, SkipReason reason);
  /// All items; notes that no later item took go to the first one.
  std::vector<XdtItem> take();

 private:
  const XdtRecord& record_;
  const XdtNaming& naming_;
  std::optional<Person> person_;
  std::string number_;
  std::optional<Skip> problem_;
  std::vector<Note> notes_;
  std::vector<XdtItem> items_;
};

void map_patient(RecordReading& reading);      ///< 6301, 6100: the patient itself
void map_body(RecordReading& reading, const std::optional<PartialTime>& when);  ///< height and weight
void map_examination(RecordReading& reading);  ///< 6310
/// 6100 (long-term diagnoses and drugs, texts), 6200 and the cases 01xx (diagnoses, drugs, findings by day).
void map_treatment(RecordReading& reading);

/// A measured value with what belongs to it: fields from 8410 to the next 8410.
struct TestBlock {
  std::string ident, name, value, unit, limit, normal_text, normal_low, normal_high, remark, result_text;
  std::optional<PartialDate> day;
  std::optional<std::chrono::seconds> clock;
  std::optional<std::chrono::minutes> zone;
};
/// Takes the field into the block. False: it does not belong to a test.
bool take_test_field(RecordReading& reading, const XdtField& field, TestBlock& block);
/// A row without identity. `when`: of the examination, where the test has no time of its own.
ObservationRow row_of_test(const TestBlock& block, const std::optional<PartialTime>& when);
[[nodiscard]] std::optional<PartialTime> moment_of(const TestBlock& block);

/// Systolic and diastolic of "120/80" as components of `main`; false when it is no such text.
bool read_blood_pressure(std::string_view text, ObservationRows& rows);

/// A row of one value for a LOINC code, without identity.
ObservationRow loinc_row(std::string_view code, std::string_view display);
/// Gives the components (all but the first) their identity and link.
void identify_components(ObservationRows& rows);

}  // namespace verbund::importer::xdt
