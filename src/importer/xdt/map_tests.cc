#include "importer/xdt/record_reading.h"

namespace verbund::importer::xdt {
namespace {

void append_line(std::string& to, std::string_view text, std::string_view label = {}) {
  if (text.empty()) return;
  if (!to.empty()) to += '\n';
  if (!label.empty()) to += fmt::format("{}: ", label);
  to += text;
}

}  // namespace

bool take_test_field(RecordReading& reading, const XdtField& field, TestBlock& block) {
  const auto text = trimmed(field.text);
  switch (field.id) {
    case kTestName: append_line(block.name, text); return true;
    case kResult: block.value = text; return true;
    case kUnit: block.unit = text; return true;
    case kLimitIndicator: block.limit = text; return true;
    case kNormalText: append_line(block.normal_text, text); return true;
    case kNormalLow: block.normal_low = text; return true;
    case kNormalHigh: block.normal_high = text; return true;
    case kRemark: append_line(block.remark, text); return true;
    case kResultText: append_line(block.result_text, text); return true;
    case kTestDay:
    case kStampDay: block.day = reading.day(field); return true;
    case kTestTime:
    case kTestTimeOld:
    case kStampTime: block.clock = reading.clock(field); return true;
    case kStampZone: block.zone = parse_zone(text); return true;
    default: return false;
  }
}

std::optional<PartialTime> moment_of(const TestBlock& block) {
  return block.day ? std::optional(moment(*block.day, block.clock, block.zone)) : std::nullopt;
}

ObservationRow row_of_test(const TestBlock& block, const std::optional<PartialTime>& when) {
  ObservationRow row;
  row.status = "final";
  row.code_system = "urn:verbund:xdt:8410";
  if (!block.ident.empty()) row.code = block.ident;
  row.display = !block.name.empty() ? block.name : block.ident;
  row.value_number = parse_number(block.value);
  std::string text;
  if (!row.value_number) append_line(text, block.value);
  std::string note;
  append_line(row.value_number ? note : text, block.result_text);
  if (!text.empty()) row.value_text = std::move(text);
  if (!block.unit.empty()) row.unit = block.unit;
  append_line(note, block.normal_text, "Normalwert");
  if (!block.normal_low.empty() || !block.normal_high.empty()) {
    append_line(note, fmt::format("{} – {}", block.normal_low, block.normal_high), "Normalbereich");
  }
  append_line(note, block.limit, "Grenzwert");
  append_line(note, block.remark);
  if (!note.empty()) row.note = std::move(note);
  const auto own = moment_of(block);
  row.effective_at = own ? own : when;
  return row;
}

bool read_blood_pressure(std::string_view text, ObservationRows& rows) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos || rows.empty()) return false;
  const auto systolic = parse_number(trimmed(text.substr(0, slash)));
  auto rest = trimmed(text.substr(slash + 1));
  if (rest.ends_with("mmHg")) rest = trimmed(rest.substr(0, rest.size() - 4));
  const auto diastolic = parse_number(rest);
  if (!systolic || !diastolic) return false;
  for (const auto& [code, display, value] : {std::tuple{"8480-6", "Systolischer Blutdruck", *systolic},
                                             std::tuple{"8462-4", "Diastolischer Blutdruck", *diastolic}}) {
    auto row = loinc_row(code, display);
    row.value_number = value;
    row.unit = "mmHg";
    rows.push_back(std::move(row));
  }
  return true;
}

void identify_components(ObservationRows& rows) {
  for (std::size_t at = 1; at < rows.size(); ++at) {
    auto& row = rows[at];
    row.identifier_system = rows[0].identifier_system;
    row.identifier_value = fmt::format("{}#{}", rows[0].identifier_value, at);
    row.id = row_id({row.identifier_system, row.identifier_value, {}, {}});
    row.component_of = rows[0].id;
    row.status = rows[0].status;
    if (!row.category) row.category = rows[0].category;
    if (!row.effective_at) row.effective_at = rows[0].effective_at;
  }
}

}  // namespace verbund::importer::xdt
