#pragma once
/// How age derives its keys. Pure. For this folder's units only.
#include <span>
#include <string_view>

#include "backup/keys.h"

namespace verbund::backup {

/// HKDF (RFC 5869) with SHA-256, 32 bytes.
SecretBytes<32> hkdf_sha256(std::span<const unsigned char> secret, std::span<const unsigned char> salt, std::string_view info);
/// What a file's key is wrapped with for one recipient.
SecretBytes<32> wrap_key(std::span<const unsigned char> shared, std::span<const unsigned char, 32> share,
                         std::span<const unsigned char, 32> recipient);

}  // namespace verbund::backup
