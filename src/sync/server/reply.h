#pragma once
/// What a device gets: rows of its subscriptions as of one csn (D6 to D8). Blocking; any thread, one connection each.
#include <functional>

#include "sync/model/messages.h"
#include "sync/model/rows.h"
#include "sync/model/sums.h"
#include "sync/server/bound.h"

namespace verbund::sync::server {

/// Takes blocks in their order. False: nobody wants them any more.
using BlockSink = std::function<Status(const BlockHead& head, std::string block)>;

struct Wanted {
  const Bound* bound = nullptr;
  DeviceCursor cursor;       ///< what the device says that it has
  bool refresh = false;
  std::optional<RowSums> sums = {};  ///< of a refresh: the device has rows of these sums already, only slots that differ are written
  std::uint32_t first = 0;           ///< number of the first block; those before it are the session's, too
  bool more = false;                 ///< others follow behind these
};

/// Rows of one subscription as the connection's transaction sees them: all that came, changed or went behind the cursor, or everything. Returns how many blocks; 0:
/// there is nothing; with `first`, how many the session has. Errors: kTooLarge (over the subscription's limits), those of the database and of `sink`.
Result<std::uint32_t> write_rows(postgres::Connection& mid_tier, std::uint64_t device, const Wanted& wanted, const BlockSink& sink);

/// Whether the subscription has at least so many rows for the user.
Result<bool> has_rows(postgres::Connection& mid_tier, const Bound& bound, std::uint64_t least);

/// Decisions that the device has not acknowledged, and what is not decided.
Result<std::vector<Outcome>> outcomes_of(postgres::Connection& mid_tier, std::uint64_t device);

}  // namespace verbund::sync::server
