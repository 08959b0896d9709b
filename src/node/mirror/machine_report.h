#pragma once
/// A machine's facts and what was found, as JSON: "machine" of heartbeats, "machines" and "findings" of GET /api/mirror. Pure; any thread.
#include <boost/json.hpp>

#include "mirror/drift.h"

namespace verbund::node {

/// As it is sent: ages in place of times, since clocks differ. `now`: of this machine's clock.
boost::json::object to_message(const mirror::MachineFacts& facts, WallTime now);
/// Fields may be missing: an older program does not send them. Errors: kBadMessage (names the field).
Result<mirror::MachineFacts> machine_from(const boost::json::object& object, WallTime now);

/// As it is shown: without settings and options, of which what differs is a finding.
boost::json::object to_json(const mirror::MachineFacts& facts, WallTime now);
boost::json::array to_json(const std::vector<mirror::Finding>& findings);
/// One of them, so that it can be said in the reader's language; nothing: it is of a kind that this program does not know.
std::optional<mirror::Finding> finding_from(const boost::json::object& object);

}  // namespace verbund::node
