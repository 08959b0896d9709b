#pragma once
/// The code that lets one machine join as mirror: a secret and the authority's fingerprint, in letters that can be read out. Pure; any thread.
#include <string>
#include <string_view>

#include "base/result.h"

namespace verbund::node {

struct MirrorCode {
  std::string secret;       ///< 10 bytes (80 random bits), as 20 hex digits
  std::string fingerprint;  ///< the first 16 bytes of the SHA-256 of the authority's certificate, raw
};
inline constexpr std::size_t kCodeSecretBytes = 10, kCodeFingerprintBytes = 16;

/// "abcdefg-hijklmn-…": six groups of seven of a–z and 2–7.
std::string to_text(const MirrorCode& code);
/// Blanks and '-' may stand anywhere; capitals are small letters. Errors: kUsage (too short, too long, a sign that is none of these).
Result<MirrorCode> parse_mirror_code(std::string_view text);

}  // namespace verbund::node
