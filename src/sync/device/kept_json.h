#pragma once
/// JSON that a device keeps in its file. Any thread.
#include <boost/json/value.hpp>

#include "sync/model/layout.h"

namespace verbund::sync::device {

/// Errors: kDamaged (somebody else has written there: says what can't be read).
Result<boost::json::value> read_kept(std::string_view text, std::string_view what);
Result<TableLayout> read_kept_layout(std::string_view text, std::string_view subscription);

}  // namespace verbund::sync::device
