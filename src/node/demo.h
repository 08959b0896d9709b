#pragma once
/// The demo practice: its tables and its first records. Threads: one, at start; blocks.
#include <filesystem>
#include <string>

#include "base/log.h"
#include "base/messages.h"
#include "base/result.h"
#include "node/installation.h"

namespace verbund::node {

/// Creates the demo tables when the source database has no tables. Returns whether it did.
Result<bool> ensure_demo_schema(const Installation& installation);

/// Imports the FHIR files below `data`, or makes synthetic patients when there are none, if no patient exists.
/// Returns the report for people, empty when there was nothing to do. Progress goes to standard error.
Result<std::string> load_demo_records(const Installation& installation, const std::filesystem::path& data, Language language,
                                      Log& log);

}  // namespace verbund::node
