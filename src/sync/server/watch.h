#pragma once
/// Which rows come into a bucket or leave it without that their version says so: triggers on the shadow tables, in the transaction in which the feed writes
/// (docs/adr/0033-departures-by-triggers.md, docs/adr/0035-memberships-move-rows.md). Blocking; any thread, one connection each.
#include "sync/server/bound.h"

namespace verbund::sync::server {

/// From there on moves of the subscription are known; a device whose cursor lies before it gets everything anew. Makes what is missing: indexes, functions,
/// triggers. Waits for the feed's write under way. Errors: those of the database; kUnavailable (others hold its tables).
Result<Csn> keep_watch(postgres::Connection& mid_tier, const Bound& bound);

/// The same, of one that keep_watch has found a moment ago, without looking whether everything still stands. None: look again.
Result<std::optional<Csn>> watched_since(postgres::Connection& mid_tier, const Bound& bound);

/// Of subscriptions that are no longer among the rules: triggers, indexes and moves go; what is in use stays until the next call.
Status end_watches(postgres::Connection& mid_tier);

}  // namespace verbund::sync::server
