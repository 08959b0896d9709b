#pragma once
/// The guard's lock table: which token each guarded record's work lock has now.
/// Threads: functions block on the connections they are given. One writer at a time (platform of group commit: its caller).
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/postgres/connection.h"

namespace verbund::guard {

struct LockWrite {
  RecordKey key;
  FencingToken token;
  SessionId session;
  enum class Kind { kGrant, kOver } kind = Kind::kGrant;  ///< kOver: the row goes if it has this token or an older one
};
enum class LockOutcome {
  kWritten,
  kBlocked,  ///< an open transaction of an application has read the row under the token that is there
  kNewer,    ///< a higher token is there; nothing was changed
};

/// Settings under which `source` is the connection of the lock table's writer: what it commits is on disk here.
postgres::ConnectionSettings writer_settings(postgres::ConnectionSettings source);

/// In one transaction, committed when this returns; one outcome per write. Waits for nobody. Each key at most once.
Result<std::vector<LockOutcome>> write_locks(postgres::Connection& source, std::span<const LockWrite> writes);

struct LockRow {
  RecordKey key;
  FencingToken token;
  SessionId session;
  WallTime since;  ///< by the source's clock, as its commit times are
};
Result<std::vector<LockRow>> read_locks(postgres::Connection& source);

/// Takes out what no grant of this node's can have been: tokens from `first` on, before any of them has been given. They come
/// from a backup of another installation, and nothing lower could be granted over them.
Result<std::uint64_t> forget_tokens_from(postgres::Connection& source, FencingToken first);

/// Who keeps a lock row from being written.
struct Blocker {
  int pid = 0;  ///< 0: a prepared transaction, which nobody can terminate but who commits or rolls it back
  std::string user, application, address;
  bool terminated = false;
};
/// Ends the connections whose open transactions have read the row of `key`. `waiter` and `observer` are two connections of
/// the same database. Errors: kForbidden (pg_signal_backend is missing), kTimedOut, those of the database.
Result<std::vector<Blocker>> terminate_blockers(postgres::Connection& waiter, postgres::Connection& observer, const RecordKey& key,
                                                const Clock& clock);

}  // namespace verbund::guard
