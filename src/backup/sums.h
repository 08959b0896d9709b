#pragma once
/// SHA256SUMS as `sha256sum -c` reads it. Pure, any thread.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verbund::backup {

inline constexpr std::string_view kSumsName = "SHA256SUMS";
inline constexpr std::size_t kMaxSumsBytes = 64 * 1024 * 1024;

struct Sum {
  std::string name;  ///< relative to the set's directory (names.h)
  std::string hash;  ///< SHA-256, 64 lower-case hex digits
};

/// "HASH  NAME" lines, sorted by name.
std::string sums_text(std::vector<Sum> sums);
/// Only what sums_text writes. Errors: kDamaged with the line (its form, a bad name, a name twice even where case does not count).
Result<std::vector<Sum>> read_sums(std::string_view text);

}  // namespace verbund::backup
