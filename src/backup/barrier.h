#pragma once
/// One point for all databases of a run: the feed drained and held, then a snapshot of each that stays open for its dump.
///
/// Snapshots are taken in the order versions, mid-tier, the rest, source. So whatever happens meanwhile, what is derived never knows
/// more than what it is derived from, and what it knows less is found by the feed after a restore (docs/adr). With the feed held
/// and the applications stopped they agree to the byte.
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "platform/postgres/connection.h"

namespace verbund::backup {

/// What keeps the databases still: the running node's feed (implemented over REST by the command line), or a mirror's replay.
class FeedGate {
 public:
  struct Held {
    bool held = false;      ///< mid-tier and versions have everything up to `lsn` and stand still
    std::string lsn;        ///< of the source; empty: not known
    std::string why_not;    ///< of !held: no node runs, the feed waits for …
    bool mirror = false;    ///< a mirror's replay: all databases stand still, at one position
  };
  virtual ~FeedGate() = default;
  /// Blocks until drained, at most until `deadline`; the feed stands still for `span` at most. What can't be held is no error.
  virtual Held hold(Deadline deadline, seconds span) = 0;
  /// Whether it still stood still.
  virtual bool release() = 0;
  /// All databases have been read, or won't be.
  virtual void copied() {}
};

enum class DatabaseKind { kVersions, kMidTier, kOther, kSource };

struct OfficeDatabase {
  DatabaseKind kind = DatabaseKind::kOther;
  postgres::ConnectionSettings settings;  ///< of who may read all of it
};

/// Open as long as it lives.
struct Snapshot {
  OfficeDatabase database;
  postgres::Connection connection;
  std::string id;      ///< for pg_dump --snapshot
  std::string lsn;     ///< of the log when it was taken
};

struct Barrier {
  std::vector<Snapshot> snapshots;  ///< in the order in which they were taken
  std::string text;                 ///< for the manifest and for people
};

/// Blocking. Errors: kDatabaseDown, kNotFound (no such database), kForbidden.
Result<Barrier> take_barrier(std::vector<OfficeDatabase> databases, FeedGate& gate, const Clock& clock);

}  // namespace verbund::backup
