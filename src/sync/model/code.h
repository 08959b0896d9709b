#pragma once
/// The code that lets one device enrol: a secret and the authority's fingerprint, in letters that can be read out. Pure; any thread.
#include <string>
#include <string_view>

#include "base/result.h"

namespace verbund::sync {

struct EnrolCode {
  std::string secret;       ///< kEnrolSecretBytes random bytes
  std::string fingerprint;  ///< the first kEnrolFingerprintBytes of the SHA-256 of the authority's certificate
};
inline constexpr std::size_t kEnrolSecretBytes = 32, kEnrolFingerprintBytes = 16;

/// "abcdefg-hijklmn-…": eleven groups of seven of a–z and 2–7.
std::string to_text(const EnrolCode& code);
/// Blanks and '-' may stand anywhere; capitals are small letters. Errors: kUsage (too short, too long, a sign that is none of these).
Result<EnrolCode> parse_enrol_code(std::string_view text);

}  // namespace verbund::sync
