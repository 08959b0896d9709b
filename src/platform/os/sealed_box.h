#pragma once
/// What only the owner of a key can open again: libsodium's sealed box (X25519, XSalsa20-Poly1305). Any thread.
#include <string>
#include <string_view>

#include "base/result.h"

namespace verbund::os {

/// Raw bytes.
struct BoxKeys {
  std::string open, secret;  ///< `open` seals; both together unseal
};
BoxKeys make_box_keys();
/// Errors: kBadMessage (`open` is no such key).
Result<std::string> seal(std::string_view text, std::string_view open);
/// Errors: kDamaged (changed, or sealed for somebody else), kBadMessage (no such keys).
Result<std::string> unseal(std::string_view sealed, const BoxKeys& keys);

}  // namespace verbund::os
