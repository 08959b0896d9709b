#pragma once
/// What an installation is to its backup. Blocking; one thread.
#include "backup/office.h"
#include "base/log.h"
#include "node/installation.h"

namespace verbund::node {

/// Reads config/backup.toml. Errors: kBadConfig.
Result<backup::Office> office_of(const Installation& installation);

/// Starts what a killed backup has left stopped, unless a backup runs just now. For the node's start and `backup recover`.
/// Returns the names of applications that are still down.
Result<std::vector<std::string>> recover_services(const std::filesystem::path& directory, const Clock& clock, Log& log);

}  // namespace verbund::node
