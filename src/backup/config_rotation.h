#pragma once
/// The part of config/backup.toml that says when, on which medium, and who: [plan], [calendar], [duty]. For config.cc.
#include "backup/config.h"

namespace verbund::backup {

/// Errors: kBadConfig, with line and range.
Status read_rotation(os::ConfigFile& file, Config& config);
/// These tables as `init` writes them.
std::string default_rotation();

}  // namespace verbund::backup
