#pragma once
/// The id of a record (base/ids.h, RecordKey): the parts of its key joined by ',', a ',' or '\' inside a part preceded by '\',
/// also when there is but one part. Pure, any thread.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verbund::records {

/// `parts` is not empty.
std::string join_key(const std::vector<std::string>& parts);

/// The exact inverse; always at least one part. Errors: kBadKey ('\' before something else or at the end).
Result<std::vector<std::string>> split_key(std::string_view id);

}  // namespace verbund::records
