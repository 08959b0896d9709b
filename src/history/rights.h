#pragma once
/// Who may do what in the versions database. One thread; blocks.
#include <string>

#include "base/result.h"
#include "platform/postgres/connection.h"

namespace verbund::history {

/// Owns the versions on an owned server; nobody can log in as this role.
inline constexpr const char* kOwner = "verbund_history";

/// As superuser, after the migrations, connected to the versions database: gives everything in it to kOwner (made when it is
/// missing), so that `node_role` may read and add, move the position and erase, and nothing else. Idempotent.
Status hand_over(postgres::Connection& superuser, const std::string& node_role);

}  // namespace verbund::history
