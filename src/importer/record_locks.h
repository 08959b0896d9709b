#pragma once
/// Work locks of the records that an import writes, where the guard of the source database enforces them (docs/formats/guard.md).
/// The import finds out which it needs by writing: `verbund.refuse = 'at commit'`, then `verbund.wanted_locks()`.
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "platform/postgres/connection.h"

namespace verbund::importer {

/// SQLSTATE of what the guard refuses.
inline constexpr std::string_view kRefusedByGuard = "VG001";

/// Where locks come from: a session at the node (src/cli). One thread.
class RecordLocks {
 public:
  virtual ~RecordLocks() = default;
  /// All of `keys`, after a bounded wait for those that somebody holds. The value: the tokens to show.
  /// Errors: kHeld (names the holder), kTooManyLocks, kNotReachable and the like; nothing need be given back then.
  virtual Result<std::vector<FencingToken>> take(std::span<const RecordKey> keys) = 0;
  /// Gives back everything taken; what was written under it has been committed or rolled back. What can't be given back (no
  /// connection) ends with the session.
  virtual void release() = 0;
  /// Who holds the record now, for the report ("Empfang 1 (anna)"); empty: nobody knows.
  virtual std::string holder(const RecordKey& key) = 0;
};

/// One transaction of an import after the other, in a database that may be guarded. Without RecordLocks it does nothing.
class UnderGuard {
 public:
  UnderGuard(postgres::Connection& connection, RecordLocks* locks) : connection_(connection), locks_(locks) {}
  ~UnderGuard() { over(); }
  UnderGuard(const UnderGuard&) = delete;
  UnderGuard& operator=(const UnderGuard&) = delete;

  /// In a transaction that has just begun.
  Status begin();
  /// Before its commit: takes the locks of what it has written. Errors: those of RecordLocks::take; then roll back.
  Status settle();
  /// The transaction has ended.
  void over();
  /// The last statement was refused because somebody else holds a record: who ("" when nobody knows). Nothing: it was not.
  [[nodiscard]] std::optional<std::string> held_by() const;

 private:
  postgres::Connection& connection_;
  RecordLocks* locks_;
  std::optional<bool> guarded_;  ///< none: not asked yet
  std::deque<std::string> earlier_;  ///< tokens given back, of the last batches: they may still stand in the lock table
  bool holding_ = false;
};

}  // namespace verbund::importer
