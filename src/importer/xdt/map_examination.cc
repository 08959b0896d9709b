/// Record 6310: what a device has measured. One observation for the examination, one component per test (8410).
#include "importer/xdt/record_reading.h"

namespace verbund::importer::xdt {
namespace {

constexpr int kFileReference = 6305;

/// Fields that say how a file was written, not what it says.
bool is_envelope(int id) {
  switch (id) {
    case kRecordLength: case kCharset: case kCharsetBdt: case kVersion: case 8315: case 102: case 103: case 132: return true;
    default: return false;
  }
}

class Examination {
 public:
  explicit Examination(RecordReading& reading) : reading_(reading) {}

  void map() {
    const auto& record = reading_.record();
    for (const auto& field : record.fields) take(field);
    close_test();
    close_text();
    read_moment();
    if (reading_.has_problem()) return reading_.skip("observation", SkipReason::kBadElement);
    map_body(reading_, when_);
    if (tests_.empty() && finding_.empty() && notes_.empty()) {
      if (record.find(kHeight) == nullptr && record.find(kWeight) == nullptr) reading_.skip("observation", SkipReason::kNothingToImport);
      return;
    }
    add_rows();
  }

 private:
  void take(const XdtField& field) {
    if (within_attachment(field)) return;
    if (field.id == kTest) {
      close_test();
      test_.emplace();
      test_->ident = trimmed(field.text);
      return;
    }
    const bool unit_of_body = field.id == kUnit && (last_ == kHeight || last_ == kWeight);
    last_ = field.id;
    if (unit_of_body) return;
    if (!test_ && field.id != kTestDay && field.id != kTestTime) {
      // A result without a test before it: lenient reading lets it pass, the procedure is all that names it.
      if (field.id == kResult || field.id == kTestName || field.id == kResultText) test_.emplace();
    }
    // Before the first test a time stamp is that of the file.
    if (!test_ && (field.id == kStampDay || field.id == kStampTime || field.id == kStampZone)) return;
    if (take_test_field(reading_, field, test_ ? *test_ : header_)) return;
    if (field.id == kDay) header_.day = reading_.day(field);
    else if (field.id == kTimeOfDay) header_.clock = reading_.clock(field);
    else take_text(field);
  }

  /// GDT 3.5: files travel in objects Obj_0010, whose fields mean something else.
  bool within_attachment(const XdtField& field) {
    if (field.id == kObjectBegin && trimmed(field.text) == "Obj_0010") attachment_ = true;
    if (!attachment_) return false;
    if (field.id == kObjectEnd && trimmed(field.text) == "Obj_0010") attachment_ = false;
    reading_.note(Note::kFieldIgnored);
    return true;
  }

  void take_text(const XdtField& field) {
    const auto text = std::string_view(field.text);
    if (field.id >= kFirstFreeName && field.id <= kLastFree && field.id % 2 == 0) {
      free_name_ = trimmed(text);
      return;
    }
    std::string label;
    if (field.id > kFirstFreeName && field.id <= kLastFree) label = free_name_;
    else if (field.id == kDiagnosis) label = "Diagnose";
    else if (field.id == kFileReference) label = "Datei";
    else if (!text_field_name(field.id).empty()) label = text_field_name(field.id);
    else {
      const bool content = (field.id >= 6200 && field.id < 6330 && field.id != 6226) || (field.id >= 8400 && field.id < 8500);
      if (content && field.id != kProcedure) reading_.note(Note::kFieldIgnored);
      return;
    }
    if (field.id != text_id_ || label != text_label_) close_text();
    text_id_ = field.id;
    text_label_ = std::move(label);
    if (!text_.empty()) text_ += '\n';
    text_ += text.substr(0, text.find_last_not_of(' ') + 1);  // blanks in front align tables
  }

  void close_text() {
    if (!text_.empty()) {
      auto& to = text_id_ == kFinding ? finding_ : notes_;
      if (!to.empty()) to += '\n';
      const bool plain = text_id_ == kFinding || text_id_ == kComment || text_id_ == kResultTable;
      to += plain ? text_ : fmt::format("{}: {}", text_label_, text_);
    }
    text_.clear();
    text_id_ = 0;
  }

  void close_test() {
    if (test_) tests_.push_back(std::move(*test_));
    test_.reset();
  }

  void read_moment() {
    // The day of the record, else that of the first test.
    if (!header_.day && !tests_.empty()) {
      header_.day = tests_.front().day;
      header_.clock = tests_.front().clock;
      header_.zone = tests_.front().zone;
    }
    when_ = moment_of(header_);
  }

  void add_rows() {
    const auto& record = reading_.record();
    const auto procedure = record.text(kProcedure);
    ObservationRow main;
    main.status = "final";
    main.category = procedure.starts_with("BDM") ? "vital-signs" : "exam";
    main.code_system = "urn:verbund:xdt:8402";
    if (!procedure.empty()) main.code = std::string(procedure);
    main.display = procedure_name(procedure);
    if (main.display.empty()) main.display = procedure.empty() ? "Untersuchung" : std::string(procedure);
    main.effective_at = when_;
    if (!finding_.empty()) main.value_text = finding_;
    if (!notes_.empty()) main.note = notes_;
    identify(main);
    ObservationRows rows{std::move(main)};
    for (const auto& test : tests_) {
      auto row = row_of_test(test, when_);
      if (row.display.empty()) row.display = rows.front().display;
      rows.push_back(std::move(row));
    }
    identify_components(rows);
    reading_.add({reading_.type("observation"), std::move(rows), {}, {}, {}, {}});
  }

  /// With a time: the same examination again replaces what is there. Without one it is the same only if it says the same.
  void identify(ObservationRow& main) const {
    const auto& record = reading_.record();
    std::string distinction;
    if (when_ && when_->precision == Precision::kTime) {
      distinction = fmt::format("{}\x1f{}\x1f{}", record.text(kProcedure), record.text(kSender), when_->to_sql());
    } else {
      for (const auto& field : record.fields) {
        if (!is_envelope(field.id)) distinction += fmt::format("{:04}{}\x1f", field.id, field.text);
      }
    }
    reading_.identify(main, "examination", distinction);
  }

  RecordReading& reading_;
  TestBlock header_;  ///< day and time of the examination
  std::optional<TestBlock> test_;
  std::vector<TestBlock> tests_;
  std::string finding_, notes_, free_name_;
  int text_id_ = 0;
  std::string text_label_, text_;
  std::optional<PartialTime> when_;
  bool attachment_ = false;
  int last_ = 0;
};

}  // namespace

void map_examination(RecordReading& reading) { Examination(reading).map(); }

}  // namespace verbund::importer::xdt
