#pragma once
/// Connection strings that name several hosts ("host=a,b port=5432,5433"), as libpq reads them. Pure.
#include <vector>

#include "platform/postgres/connection.h"

namespace verbund::postgres {

/// The same with one host each, in the order in which they are named; one host gives itself. Errors: kBadConfig (numbers of hosts and ports differ).
Result<std::vector<ConnectionSettings>> each_host(const ConnectionSettings& settings);

}  // namespace verbund::postgres
