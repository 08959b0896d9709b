#pragma once
/// The node of a machine that is not production: a mirror, or one that waits, is fenced, or rejoins. Answers status, page and metrics,
/// sends workstations to production. No feed, no sessions, no locks: its databases can only be read, or are down. What its PostgreSQL does
/// is the seat's.
///
/// Threads: run() is the event loop's; besides it the follower's and a worker pool.
#include "platform/net/event_loop.h"
#include "node/mirror/pair_seat.h"
#include "node/node.h"

namespace verbund::node {

/// Runs until the loop is stopped. `listen`: instead of the configured address; the port that it listens on is left in `port`. Errors: as Node::run.
Status run_mirror(const NodeOptions& options, net::EventLoop& loop, PairSeat& seat, std::uint64_t turn, std::uint16_t& port);

}  // namespace verbund::node
