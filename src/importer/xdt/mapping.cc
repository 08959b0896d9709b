#include "importer/xdt/mapping.h"

#include "importer/xdt/record_reading.h"

namespace verbund::importer::xdt {
namespace {

/// Headers and ends of media and packets: they say how the file is made.
bool is_envelope(std::string_view type) {
  return type == "0020" || type == "0021" || type == "0022" || type == "0023" || type == "con0" || type == "con9";
}

bool is_case(std::string_view type) { return type.size() == 4 && type.starts_with("01"); }

void map_known(RecordReading& reading) {
  const std::string_view type = reading.record().type;
  if (type == "6301" || type == "6100") map_patient(reading);
  if (type == "6301") map_body(reading, {});
  if (type == "6310") map_examination(reading);
  if (type == "6100") map_body(reading, {});
  if (type == "6100" || type == "6200" || is_case(type)) map_treatment(reading);
}

}  // namespace

std::vector<XdtItem> map_record(const XdtRecord& record, const XdtNaming& naming) {
  if (is_envelope(record.type)) return {};
  RecordReading reading(record, naming);
  const bool known = record.type == "6301" || record.type == "6310" || record.type == "6100" || record.type == "6200" ||
                     is_case(record.type);
  if (!known) {
    const bool named = !record.type.empty() && record.type.size() <= 4;
    return {Unmapped{fmt::format("{} {}", record.is_gdt() ? "GDT" : "BDT", named ? record.type : "?"), {SkipReason::kTypeNotImported, {}}}};
  }
  const std::string_view main = record.type == "6301" || record.type == "6100" ? "patient"
                                : record.type == "6310"                        ? "observation"
                                                                               : "encounter";
  if (record.damaged) reading.skip(main, SkipReason::kUnreadable);
  else if (!reading.read_person()) reading.skip(main, SkipReason::kNoPatient);
  else map_known(reading);
  return reading.take();
}

}  // namespace verbund::importer::xdt
