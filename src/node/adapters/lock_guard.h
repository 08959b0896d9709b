#pragma once
/// cluster::LockGuard on the source database's lock table: one ordered writer with group commit. While one transaction
/// commits, the next batch collects; a row that an open transaction keeps leaves the batch and is tried again; after 5 s the
/// connection that keeps it is ended and audited. Threads: calls and callbacks on the loop; the database on worker tasks.
#include <map>
#include <memory>

#include "cluster/service.h"
#include "guard/lock_rows.h"
#include "platform/os/worker_pool.h"

namespace verbund::node {

class SourceLockGuard final : public cluster::LockGuard {
 public:
  /// `gone` is called (on the loop) when somebody has removed the guard from the database: every lock counts as written then.
  SourceLockGuard(postgres::ConnectionSettings source, os::WorkerPool& workers, net::EventLoop& loop, const Clock& clock,
                  cluster::AuditTrail& audit, Log& log, std::function<void()> gone);
  ~SourceLockGuard() override;

  void write(std::vector<protocol::KeyToken> tokens, SessionId session, cluster::GuardPatience patience,
             std::function<void(Outcome)> done) override;
  void clear(std::vector<protocol::KeyToken> tokens) override;
  void earlier_than(LockEpoch epoch, std::function<void(std::vector<protocol::KeyToken>)> done) override;

 private:
  struct Request {
    Outcome outcome;
    std::size_t left = 0;
    std::function<void(Outcome)> done;
  };
  struct Wanted {
    guard::LockWrite write;
    std::shared_ptr<Request> request;  ///< none: nobody waits. Shared by the keys of one call.
    cluster::GuardPatience patience = cluster::GuardPatience::kBounded;
    TimePoint since;
  };
  /// What is to be done about one key: the last word counts.
  struct Work {
    Wanted wanted;
    TimePoint next;           ///< not before
    bool in_flight = false, blocked = false, ending_blockers = false;
    std::unique_ptr<Wanted> later;  ///< came while in flight
  };
  struct Writer;

  void want(Wanted wanted);
  void schedule();
  void look_at_overdue(TimePoint now);
  void written(const std::vector<RecordKey>& keys, const Result<std::vector<guard::LockOutcome>>& outcomes, bool gone);
  void settle(std::map<RecordKey, Work>::iterator place, const Result<guard::LockOutcome>& outcome);
  void answer(const Wanted& wanted, bool failed);
  void end_blockers(const RecordKey& key);
  void blockers_ended(const RecordKey& key, const Result<std::vector<guard::Blocker>>& ended);

  os::WorkerPool& workers_;
  net::EventLoop& loop_;
  const Clock& clock_;
  cluster::AuditTrail& audit_;
  Log& log_;
  std::function<void()> gone_;
  std::shared_ptr<Writer> writer_;  ///< shared with the task at work
  std::map<RecordKey, Work> works_;
  bool busy_ = false;
  net::Timer retry_, reading_;
};

}  // namespace verbund::node
