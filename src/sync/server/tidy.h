#pragma once
/// What the way of a sync leaves behind, taken away when nobody can ask for it any more. Blocking; any thread, one connection each.
#include <chrono>

#include "platform/postgres/connection.h"

namespace verbund::sync::server {

inline constexpr std::chrono::days kKeptFor{30};

/// Changes that were applied or dismissed, that their device has heard of and whose outcome is behind its cursor; transactions and uploads that none of them is
/// of; blocks that no sync came for; what moved rows in and out of subscriptions; what lies ready for devices that were revoked: all of it older than kKeptFor. Watches that
/// no subscription has any more end. Rejects stay until somebody dismisses them.
/// Returns how many rows went.
Result<std::uint64_t> tidy(postgres::Connection& mid_tier);

}  // namespace verbund::sync::server
