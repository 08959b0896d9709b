#pragma once
/// What the feed needs of the source server, and the publication that names the captured tables. Blocking.
#include <set>

#include "feed/tables.h"

namespace verbund::feed {

/// wal_level and the role's right. Errors: kServerSetting, the hint is the command to run.
Status check_server(postgres::Connection& source);

/// Creates the publication, or makes it name exactly the captured tables, with all their rows, columns and operations.
/// Returns the tables that were not in it like this before, quoted: what happened to them meanwhile is not in the log.
Result<std::set<std::string>> keep_publication(postgres::Connection& source, const std::string& name, const Tables& tables, Log& log);

}  // namespace verbund::feed
