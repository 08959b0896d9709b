#pragma once
/// The node on a Patroni cluster: waits for the seat (sends workstations to its holder meanwhile); while it holds it, an ordinary node on the
/// cluster's leader; a promotion of PostgreSQL or a lost lease ends that one, and it waits again. Never promotes.
///
/// Threads: run_on_patroni() is the event loop's, of one or the other; besides it the watch's, the seat's and workers.
#include "node/node.h"
#include "platform/net/event_loop.h"

namespace verbund::node {

/// config/verbund.toml says so. Errors: as Installation::load.
Result<bool> uses_patroni(const std::filesystem::path& directory);

/// Runs until SIGINT, SIGTERM or `loop` is stopped. Errors: as Node::run.
Status run_on_patroni(const NodeOptions& options, net::EventLoop& loop);

}  // namespace verbund::node
