#pragma once
/// [[offsite]] of config/backup.toml. For this folder's units only.
#include <vector>

#include "backup/config.h"

namespace verbund::backup {

/// Errors: kBadConfig.
Status read_off_sites(os::ConfigFile& file, std::vector<OffSite>& into);

}  // namespace verbund::backup
