#pragma once
/// A short hash that tells texts apart, and base64 (libsodium). Any thread.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verbund::os {

/// SipHash-2-4 under a fixed key: the same on every machine, good for comparing, not for secrets. `purpose`: hashes for different ones have nothing to do with each other.
std::uint64_t short_hash(std::string_view text, std::uint64_t purpose = 0);

std::string to_base64(std::string_view bytes);
/// Errors: kBadMessage.
Result<std::string> from_base64(std::string_view text);

}  // namespace verbund::os
