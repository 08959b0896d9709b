#pragma once
/// Which rows leave a bucket: triggers on the shadow tables, in the transaction in which the feed writes (docs/adr/0033-departures-by-triggers.md).
/// Blocking; any thread, one connection each.
#include "sync/server/bound.h"

namespace verbund::sync::server {

/// From there on departures of the subscription are known; a device whose cursor lies before it gets everything anew. Makes what is missing: index, function,
/// triggers. Waits for the feed's write under way. Errors: those of the database; kBadConfig (the last departure could not be told: says why).
Result<Csn> keep_watch(postgres::Connection& mid_tier, const Bound& bound);

/// Of subscriptions that are not among `names`: their triggers and departures go.
Status end_watches(postgres::Connection& mid_tier, const std::vector<std::string>& names);

}  // namespace verbund::sync::server
