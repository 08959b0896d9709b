#pragma once
/// How far a set has been proven (DESIGN "Backup", verification ladder). Values; any thread.
#include <string_view>

#include "base/result.h"

namespace verbund::backup {

enum class Level { kNone, kExitCodes, kHashes, kReadable, kFromMedium, kRestored, kElsewhere };

/// "L0" … "L5"; kNone is "L-".
std::string_view level_name(Level level);
/// "L1" to "L4", also "l1". Errors: kUsage.
Result<Level> parse_level(std::string_view text);

}  // namespace verbund::backup
