/// Records 6100, 6200 and 01xx of BDT: what a practice has written down, day by day.
#include <set>

#include "importer/xdt/record_reading.h"

namespace verbund::importer::xdt {
namespace {

struct Diagnosis {
  std::string text, icd, certainty, side, note;
};

/// KVDT: G gesichert, V Verdacht, A ausgeschlossen, Z Zustand nach.
void read_certainty(std::string_view code, bool long_term, ConditionRow& row) {
  if (long_term) row.clinical_status = "active";
  if (code == "G") row.verification_status = "confirmed";
  else if (code == "V") row.verification_status = "provisional";
  else if (code == "A") row.verification_status = "refuted";
  else if (code == "Z") {
    row.verification_status = "confirmed";
    row.clinical_status = "inactive";
  }
}

std::string_view side_name(std::string_view code) {
  if (code == "R") return "rechts";
  if (code == "L") return "links";
  return code == "B" ? "beidseits" : code;
}

class Treatment {
 public:
  explicit Treatment(RecordReading& reading) : reading_(reading) {}

  void map() {
    for (const auto& field : reading_.record().fields) take(field);
    close_all();
  }

 private:
  void take(const XdtField& field) {
    if (field.id == kTest) return begin_test(field);
    if (test_ && take_test_field(reading_, field, *test_)) return;
    if (take_day(field) || take_diagnosis(field) || take_drug(field) || take_blood_pressure(field) || take_text(field)) return;
    const bool content = (field.id >= 3600 && field.id < 4000 && !of_the_patient(field.id)) || (field.id >= 6000 && field.id < 6400) ||
                         (field.id >= 8400 && field.id < 8500);
    if (content) reading_.note(Note::kFieldIgnored);
  }

  static bool of_the_patient(int id) {
    switch (id) {
      case kMobile: case kEmail: case kPhone: case kHeight: case kWeight: return true;
      default: return false;
    }
  }

  bool take_day(const XdtField& field) {
    if (field.id == kTimeOfDay) {
      clock_ = reading_.clock(field);
      return true;
    }
    if (field.id != kDay) return false;
    close_all();
    day_ = reading_.day(field);
    clock_.reset();
    if (reading_.has_problem()) {
      reading_.skip("encounter", SkipReason::kBadElement);
      bad_day_ = true;
      encounter_.clear();
      return true;
    }
    bad_day_ = false;
    if (day_) add_encounter();
    return true;
  }

  void add_encounter() {
    EncounterRow row;
    row.status = "finished";
    row.class_code = "AMB";
    row.type = "Behandlung";
    row.started_at = moment(*day_, {});
    reading_.identify(row, "encounter", day_->to_sql());
    encounter_ = row.identifier_value;
    if (days_.insert(encounter_).second) reading_.add({reading_.type("encounter"), std::move(row), {}, {}, {}, {}});
  }

  /// Adds what belongs to the day; under a day that can't be read it would stand at no day at all.
  void add(Mapped mapped) {
    if (bad_day_) reading_.fail(SkipReason::kBadElement, "6200");
    reading_.add(std::move(mapped), encounter_);
  }

  [[nodiscard]] std::optional<PartialTime> when() const { return day_ ? std::optional(moment(*day_, clock_)) : std::nullopt; }
  [[nodiscard]] std::string day_text() const { return day_ ? day_->to_sql() : ""; }

  // --- diagnoses: a text and its code belong together, whichever comes first -------------------------------------------
  bool take_diagnosis(const XdtField& field) {
    const auto text = trimmed(field.text);
    switch (field.id) {
      case kLongTermSince:
        close_diagnosis();
        since_ = reading_.day(field);
        return true;
      case kBilledDiagnosis: case kDiagnosis: case kLongTermDiagnosis:
        begin_diagnosis(field.id == kLongTermDiagnosis, diagnosis_ && diagnosis_->text.empty());
        diagnosis_->text = text;
        return true;
      case kIcd: case kLongTermIcd:
        begin_diagnosis(field.id == kLongTermIcd, diagnosis_ && diagnosis_->icd.empty());
        diagnosis_->icd = text;
        return true;
      case kCertainty: case kLongTermCertainty: return attribute(&Diagnosis::certainty, text);
      case kSide: case kLongTermSide: return attribute(&Diagnosis::side, text);
      case kDiagnosisNote: return attribute(&Diagnosis::note, text);
      default: return false;
    }
  }

  void begin_diagnosis(bool long_term, bool goes_on) {
    close_text();
    if (goes_on && long_term == long_term_) return;
    close_diagnosis();
    diagnosis_.emplace();
    long_term_ = long_term;
  }

  bool attribute(std::string Diagnosis::*part, std::string_view text) {
    if (!diagnosis_) return false;
    (*diagnosis_).*part = text;
    return true;
  }

  void close_diagnosis() {
    if (!diagnosis_) return;
    const auto found = std::exchange(diagnosis_, std::nullopt);
    if (found->text.empty() && found->icd.empty()) return;
    ConditionRow row;
    row.display = found->text.empty() ? found->icd : found->text;
    if (!found->icd.empty()) {
      row.code_system = "http://fhir.de/CodeSystem/bfarm/icd-10-gm";
      row.code = found->icd;
    }
    read_certainty(found->certainty, long_term_, row);
    std::string note(side_name(found->side));
    if (!found->note.empty()) note += (note.empty() ? "" : "\n") + found->note;
    if (!note.empty()) row.note = std::move(note);
    if (long_term_ && since_) row.onset_at = moment(*since_, {});
    reading_.identify(row, long_term_ ? "long-term" : "diagnosis",
                      fmt::format("{}\x1f{}\x1f{}\x1f{}", long_term_ ? "" : day_text(), found->icd,
                                  found->icd.empty() ? found->text : "", found->side));
    add({reading_.type("condition"), std::move(row), {}, {}, {}, {}});
  }

  // --- drugs -------------------------------------------------------------------------------------------------------------
  bool take_drug(const XdtField& field) {
    if (field.id == kLongTermDrugSince) {
      drug_since_ = reading_.day(field);
      return true;
    }
    const bool long_term = field.id == kLongTermDrug;
    if (!long_term && field.id != kDrug && field.id != kPrivateDrug) return false;
    const auto text = trimmed(field.text);
    if (text.empty()) return true;
    close_all();
    MedicationRow row;
    row.kind = long_term ? "statement" : "request";
    row.status = long_term ? "active" : "unknown";
    row.display = text;
    const auto since = long_term ? drug_since_ : day_;
    if (since) row.started_at = moment(*since, {});
    reading_.identify(row, long_term ? "long-term drug" : "drug", fmt::format("{}\x1f{}", long_term ? "" : day_text(), text));
    add({reading_.type("medication"), std::move(row), {}, {}, {}, {}});
    return true;
  }

  // --- measurements ------------------------------------------------------------------------------------------------------
  bool take_blood_pressure(const XdtField& field) {
    if (field.id != kBloodPressure) return false;
    close_all();
    const auto text = trimmed(field.text);
    if (text.empty()) return true;
    ObservationRows rows{loinc_row("85354-9", "Blutdruck")};
    rows[0].effective_at = when();
    if (!read_blood_pressure(text, rows)) rows[0].value_text = std::string(text);
    reading_.identify(rows[0], "blood pressure", fmt::format("{}\x1f{}", when() ? when()->to_sql() : "", text));
    identify_components(rows);
    add({reading_.type("observation"), std::move(rows), {}, {}, {}, {}});
    return true;
  }

  void begin_test(const XdtField& field) {
    close_all();
    test_.emplace();
    test_->ident = trimmed(field.text);
  }

  void close_test() {
    if (!test_) return;
    const auto test = std::exchange(test_, std::nullopt);
    auto row = row_of_test(*test, when());
    if (row.display.empty() || (!row.value_number && !row.value_text)) return;
    const bool timed = row.effective_at && row.effective_at->precision == Precision::kTime;
    reading_.identify(row, "test",
                      fmt::format("{}\x1f{}\x1f{}", test->ident, row.effective_at ? row.effective_at->to_sql() : "",
                                  timed ? "" : fmt::format("{}|{}|{}", test->value, test->unit, test->result_text)));
    add({reading_.type("observation"), ObservationRows{std::move(row)}, {}, {}, {}, {}});
  }

  // --- texts: lines of the same field that follow each other are one text ----------------------------------------------
  bool take_text(const XdtField& field) {
    const bool free = field.id >= kFirstFreeName && field.id <= kLastFree;
    if (free && field.id % 2 == 0) {
      close_all();
      free_name_ = trimmed(field.text);
      return true;
    }
    const auto name = free ? std::string_view(free_name_) : text_field_name(field.id);
    if (name.empty()) return false;
    if (field.id != text_id_) close_all();
    text_id_ = field.id;
    text_name_ = name;
    if (!text_.empty()) text_ += '\n';
    text_ += std::string_view(field.text).substr(0, field.text.find_last_not_of(' ') + 1);
    return true;
  }

  void close_text() {
    const auto text = std::string(trimmed(std::exchange(text_, {})));
    const int id = std::exchange(text_id_, 0);
    if (text.empty()) return;
    ObservationRow row;
    row.status = "final";
    row.category = "exam";
    row.code_system = kSystemXdt;
    row.code = fmt::format("{:04}", id);
    row.display = text_name_;
    row.value_text = text;
    row.effective_at = when();
    reading_.identify(row, "text", fmt::format("{}\x1f{}\x1f{}\x1f{}", day_text(), id, text_name_, text));
    add({reading_.type("observation"), ObservationRows{std::move(row)}, {}, {}, {}, {}});
  }

  void close_all() {
    close_text();
    close_test();
    close_diagnosis();
  }

  RecordReading& reading_;
  std::optional<PartialDate> day_, since_, drug_since_;
  std::optional<std::chrono::seconds> clock_;
  bool bad_day_ = false;
  std::string encounter_;
  std::set<std::string> days_;
  std::optional<Diagnosis> diagnosis_;
  bool long_term_ = false;
  std::optional<TestBlock> test_;
  std::string free_name_, text_name_, text_;
  int text_id_ = 0;
};

}  // namespace

void map_treatment(RecordReading& reading) { Treatment(reading).map(); }

}  // namespace verbund::importer::xdt
