/// Any bytes as GDT or BDT: no crash; what strict reading takes, lenient reading takes in the same way; items keep their promises.
#include <cstdlib>

#include "importer/references.h"
#include "importer/xdt/mapping.h"

namespace {

using namespace verbund::importer;
using namespace verbund::importer::xdt;

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const Mapped& mapped) {
  require(!mapped.type.empty());
  if (const auto* patient = std::get_if<PatientRow>(&mapped.row)) {
    require(is_uuid(patient->id) && !mapped.identifiers.empty() && !mapped.identifiers.back().system.empty());
    return;
  }
  require(mapped.patient.given() || mapped.person.has_value());
  if (const auto* rows = std::get_if<ObservationRows>(&mapped.row)) {
    require(!rows->empty());
    for (const auto& row : *rows) require(is_uuid(row.id) && !row.display.empty() && !row.identifier_system.empty());
  }
}

struct Read {
  bool whole = false;
  std::size_t records = 0, fields = 0, tolerated = 0;
};

Read read(std::string_view bytes, Strictness strictness, std::size_t piece) {
  Read out;
  XdtOptions options{strictness, {}, {4096, 500, 64 * 1024}};
  XdtReader reader(
      options,
      [&](XdtRecord& record) {
        ++out.records;
        out.fields += record.fields.size();
        for (const auto match : {PatientMatch::kIdentifier, PatientMatch::kEither}) {
          for (const auto& item : map_record(record, {"urn:fuzz", match})) {
            if (const auto* mapped = std::get_if<Mapped>(&item)) check(*mapped);
          }
        }
        return true;
      },
      [&](Tolerated, std::uint64_t line) {
        require(line > 0);
        ++out.tolerated;
      });
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    if (!reader.feed(bytes.substr(0, piece))) return out;
  }
  out.whole = reader.finish().has_value();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto strict = read(bytes, Strictness::kStrict, bytes.size() + 1);
  const auto lenient = read(bytes, Strictness::kLenient, 13);
  if (!strict.whole) return 0;
  require(lenient.whole && lenient.tolerated == 0);
  require(lenient.records == strict.records && lenient.fields == strict.fields);
  return 0;
}
