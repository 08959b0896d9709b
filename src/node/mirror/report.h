#pragma once
/// The pair's state as JSON: what production and mirror tell each other once a second, and what `mirror status` shows. Pure; any thread.
#include <optional>
#include <string>

#include <boost/json.hpp>

#include "mirror/following.h"
#include "mirror/loss.h"

namespace verbund::node {

boost::json::value to_json(const std::optional<mirror::Behind>& behind);
boost::json::object to_json(const mirror::LossReport& loss);
boost::json::value to_json(const std::optional<mirror::SlotSafety>& slot);
boost::json::object to_json(const mirror::Beat& beat);
boost::json::object to_json(const mirror::Received& received);

/// Errors: kBadMessage (names the field).
Result<mirror::Beat> beat_from(const boost::json::object& object);
Result<mirror::Received> received_from(const boost::json::object& object);
Result<std::optional<mirror::SlotSafety>> slot_from(const boost::json::object& object);

/// A string member; a number that is one (64 bits, in decimal). Errors: kBadMessage.
Result<std::string> text_of(const boost::json::object& object, std::string_view name);
Result<std::uint64_t> number_of(const boost::json::object& object, std::string_view name);
/// Errors: kBadMessage.
Result<boost::json::object> object_of(std::string_view text);

}  // namespace verbund::node
