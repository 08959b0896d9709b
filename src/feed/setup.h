#pragma once
/// From settings to a stream that can be started: checks the server, keeps publication, slot and shadow tables in step
/// with the configuration, and finds out whether the stored position still continues the server's history. Blocking.
#include "feed/journal.h"
#include "feed/tables.h"
#include "platform/postgres/replication.h"

namespace verbund::feed {

struct Prepared {
  postgres::Connection source;
  postgres::Connection mid_tier;
  postgres::ReplicationStream stream;
  Tables tables;
  Position position;
  std::string forked;  ///< why a new history began; empty: it goes on, or this is the first start
};

/// `rebuild`: why the shadow can't be trusted; empty: it can.
/// Errors: kServerSetting (with the command that helps), kInUse (somebody else reads the slot), kBadConfig, kDatabaseDown.
Result<Prepared> prepare(const FeedSettings& settings, const std::string& rebuild, Log& log);

}  // namespace verbund::feed
