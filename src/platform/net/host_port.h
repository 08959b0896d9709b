#pragma once
/// Addresses as people write them. Pure; any thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace verbund::net {

/// "HOST:PORT", "[::1]:PORT" or "HOST" (port 2222). Errors: kUsage.
Result<std::pair<std::string, std::uint16_t>> parse_host_port(std::string_view text);

}  // namespace verbund::net
