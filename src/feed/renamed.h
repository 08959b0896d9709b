#pragma once
/// Captured tables that are called otherwise than before: a running feed follows them, a configuration does not. Blocking.
#include <string>
#include <utility>
#include <vector>

#include "platform/postgres/connection.h"

namespace verbund::feed {

/// Former and present name, as SQL and the configuration write them (public.patient, public."Änderung"); only former names that
/// nothing has any more. Empty, too, where the feed has never begun.
Result<std::vector<std::pair<std::string, std::string>>> renamed_tables(postgres::Connection& source, postgres::Connection& mid_tier);

}  // namespace verbund::feed
