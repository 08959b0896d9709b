#pragma once
/// Takes a document apart into its resources: a bundle's entries (bundles within bundles too), or the document itself. Pure.
#include <functional>

#include "base/result.h"
#include "importer/mapping.h"

namespace verbund::importer {

inline constexpr std::size_t kMaxMedications = 100'000;

/// One resource, or an entry that asks for something else.
struct Found {
  const json::object* resource = nullptr;  ///< null: see problem or deletion_of
  Context context;
  std::size_t entry = 0;     ///< from 1; 0: not in a bundle
  std::string deletion_of;   ///< type that an entry wants to delete
  Phrase problem;
};

/// Calls `visit` for each; false from it ends the walk. `medications` learns the Medication resources on the way, up to
/// kMaxMedications. Contexts are valid during the call only.
void for_each_resource(const json::object& document, std::string_view source, Medications& medications,
                       const std::function<bool(const Found&)>& visit);

}  // namespace verbund::importer
