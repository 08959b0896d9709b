#include "backup/level.h"

#include "base/messages.h"

namespace verbund::backup {

std::string_view level_name(Level level) {
  switch (level) {
    case Level::kNone: return "L-";
    case Level::kExitCodes: return "L0";
    case Level::kHashes: return "L1";
    case Level::kReadable: return "L2";
    case Level::kFromMedium: return "L3";
    case Level::kRestored: return "L4";
    case Level::kElsewhere: return "L5";
  }
  return "L-";
}

Result<Level> parse_level(std::string_view text) {
  for (const Level level : {Level::kHashes, Level::kReadable, Level::kFromMedium, Level::kRestored}) {
    const auto name = level_name(level);
    if (text == name || (text.size() == 2 && text[0] == 'l' && text[1] == name[1])) return level;
  }
  return fail(ErrorCode::kUsage, phrase("'{}' is no level of verification", text), phrase("L1, L2, L3 or L4"));
}

}  // namespace verbund::backup
