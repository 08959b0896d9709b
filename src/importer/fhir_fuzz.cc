/// Any JSON, taken apart and mapped: no crash, and what is mapped keeps its promises.
#include <cstdlib>

#include "importer/references.h"
#include "importer/resources.h"

namespace {

using namespace verbund::importer;

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const Mapped& mapped) {
  if (const auto* patient = std::get_if<PatientRow>(&mapped.row)) {
    require(is_uuid(patient->id));
    require(!mapped.identifiers.empty());
    return;
  }
  require(mapped.patient.given());
  if (const auto* rows = std::get_if<ObservationRows>(&mapped.row)) {
    require(!rows->empty());
    for (const auto& row : *rows) require(is_uuid(row.id) && !row.display.empty() && !row.identifier_system.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 64;
  const auto value = json::parse({reinterpret_cast<const char*>(data), size}, error, {}, options);
  if (error || !value.is_object()) return 0;
  Medications medications;
  for_each_resource(value.get_object(), "https://host/fhir", medications, [](const Found& found) {
    if (found.resource == nullptr) return true;
    if (const auto mapped = map_resource(*found.resource, found.context)) check(*mapped);
    return true;
  });
  return 0;
}
