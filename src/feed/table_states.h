#pragma once
/// What people are told of each table. Pure.
#include "feed/tables.h"

namespace verbund::feed {

/// By schema and name; each table once.
std::vector<TableStatus> table_states(const Tables& tables);

}  // namespace verbund::feed
