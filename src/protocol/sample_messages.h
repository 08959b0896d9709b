#pragma once
/// For tests: at least one of each message, with all fields and with as few as allowed.
#include <vector>

#include "protocol/codec.h"

namespace verbund::protocol {

std::vector<Request> sample_requests();
std::vector<Reply> sample_replies();
std::vector<Event> sample_events();

}  // namespace verbund::protocol
