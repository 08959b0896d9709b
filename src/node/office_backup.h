#pragma once
/// What an installation is to its backup. Blocking; one thread.
#include "backup/office.h"
#include "base/log.h"
#include "node/installation.h"

namespace verbund::node {

/// Reads config/backup.toml. Errors: kBadConfig.
Result<backup::Office> office_of(const Installation& installation);

/// Ends a restore that was interrupted: in the new state, or in the old one. For whatever comes next: the node's start, `backup run`,
/// `restore`, `recover`. The run's lock must be free. Returns what was done, for people; nothing: there was nothing to do.
/// Errors: kInUse (a run or a restore is under way; a node runs), those of the server, of backup::settle_restore.
Result<std::vector<Phrase>> settle_restore(const std::filesystem::path& directory, const Clock& clock);

/// This machine's name, as it stands in sets.
std::string this_host();

/// Starts what a killed backup has left stopped, unless a backup runs just now. For the node's start and `backup recover`.
/// Returns the names of applications that are still down.
Result<std::vector<std::string>> recover_services(const std::filesystem::path& directory, const Clock& clock, Log& log);

}  // namespace verbund::node
