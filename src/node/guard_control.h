#pragma once
/// Switching the guard on and off: the database's part (src/guard) and the service's in the right order.
/// Threads: from any but the loop, which they wait for; one call at a time gets through.
#include <atomic>
#include <mutex>
#include <set>

#include "cluster/service.h"
#include "guard/guard.h"
#include "guard/lock_rows.h"

namespace verbund::node {

class GuardControl {
 public:
  using Types = std::set<std::string, std::less<>>;
  GuardControl(postgres::ConnectionSettings source, const records::RecordTypes& types, net::EventLoop& loop,
               cluster::AuditTrail& audit, Log& log)
      : source_(std::move(source)), types_(types), loop_(loop), audit_(audit), log_(log) {}

  /// Before the service: brings the guard up to date with the configuration, as far as that can be done now, and unguards what is not
  /// configured any more. The value: what is guarded.
  Result<Types> start(LockEpoch epoch);
  void attach(cluster::Service& service) { service_ = &service; }
  void detach() {  ///< on the loop's thread, before the service goes: nobody waits for the loop any more
    service_ = nullptr;
    stopping_ = true;
  }

  /// Errors: kNotFound (no such record type), those of guard::prepare and of the service.
  Status enable(const std::string& type, guard::Mode mode);
  Status disable(const std::string& type);
  Result<std::vector<guard::GuardedType>> state();
  /// What stands in the lock table; without any guard nothing.
  Result<std::vector<guard::LockRow>> held_locks();
  Result<std::vector<guard::WarningCount>> warnings();
  /// Keeps what applications leave behind in warn mode small.
  void count_warnings();
  /// The source database was restored: its lock table knows nothing of the locks that are held now. Says them anew.
  Status restored(LockEpoch epoch);
  /// On the loop: somebody has removed the guard from the database.
  void removed();

 private:
  Status tell_service(const Types& types);
  Status start_type(postgres::Connection& source, const guard::GuardedType& type, Types& guarded);

  const postgres::ConnectionSettings source_;
  const records::RecordTypes& types_;
  net::EventLoop& loop_;
  cluster::AuditTrail& audit_;
  Log& log_;
  cluster::Service* service_ = nullptr;  // loop thread, once it runs
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
};

}  // namespace verbund::node
