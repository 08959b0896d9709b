#pragma once
/// Which of the cluster's PostgreSQL servers takes writes now. Blocks.
#include "mirror/patroni.h"
#include "platform/postgres/connection.h"

namespace verbund::node {

struct LeaderConnection {
  postgres::Connection connection;
  postgres::ConnectionSettings server;  ///< one host
  std::uint32_t timeline = 0;           ///< that it writes
};

/// Opens the server that takes writes on the highest timeline; whom `view` names is asked first, and the others not at all when it will do. A
/// server that nobody looks after any more may take writes, too: on an older timeline than `at_least`, it is left alone.
/// `options` are added to the connection. Errors: kDatabaseDown (none takes writes, with the last one's reason), kUnauthenticated, kBadConfig.
Result<LeaderConnection> open_leader(const postgres::ConnectionSettings& hosts, const std::string& options,
                                     const std::optional<mirror::PatroniView>& view, std::uint32_t at_least);

/// An expression that gives the timeline that the server writes.
inline constexpr const char* kTimelineSql = "('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::bigint";

}  // namespace verbund::node
