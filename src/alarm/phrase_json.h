#pragma once
/// A phrase as JSON, so that it can still be said in either language after a restart. Pure; any thread. Inside this folder only.
#include <optional>

#include <boost/json/value.hpp>

#include "base/result.h"

namespace verbund::alarm {

/// A text of others is a string; what can be translated is an array: msgid, values.
boost::json::value json_of(const Phrase& phrase);
std::optional<Phrase> phrase_of_json(const boost::json::value& value, int depth = 0);

}  // namespace verbund::alarm
