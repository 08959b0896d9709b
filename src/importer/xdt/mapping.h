#pragma once
/// GDT or BDT record -> rows of the demo practice. Pure; docs/formats/gdt.md is its table.
#include <variant>
#include <vector>

#include "importer/mapping.h"
#include "importer/xdt/reader.h"

namespace verbund::importer::xdt {

struct XdtNaming {
  /// System of the patient numbers (field 3000): the practice's own, so that they find its patients again.
  std::string number_system = "urn:verbund:xdt:3000";
  PatientMatch match = PatientMatch::kIdentifier;
};

/// Something of a record that is left out.
struct Unmapped {
  std::string type;
  Skip skip;
};
using XdtItem = std::variant<Mapped, Unmapped>;

/// All that a record holds, patient first. Empty for headers and ends of media (00xx), which hold no data.
/// Never throws; the same record always gives the same items in the same order.
std::vector<XdtItem> map_record(const XdtRecord& record, const XdtNaming& naming);

}  // namespace verbund::importer::xdt
