#pragma once
/// cluster::SessionStore on the mid-tier database. Saves and removals are gathered: while one transaction commits, the
/// next batch collects (group commit). Threads: calls and callbacks on the loop; the database on one worker task.
#include <deque>
#include <mutex>
#include <vector>

#include "cluster/service.h"
#include "platform/os/worker_pool.h"
#include "platform/postgres/connection.h"
#include "platform/postgres/migrations.h"

namespace verbund::node {

postgres::MigrationSet session_migrations();

/// What a starting node needs of the node that ran before. Blocks.
struct StoredSessions {
  std::vector<cluster::StoredSession> sessions;
  SessionId next;
};
Result<StoredSessions> load_sessions(postgres::Pool& pool, const Clock& clock);

class PostgresSessionStore final : public cluster::SessionStore {
 public:
  PostgresSessionStore(postgres::Pool& pool, os::WorkerPool& workers, net::EventLoop& loop, const Clock& clock, Log& log)
      : pool_(pool), workers_(workers), loop_(loop), clock_(clock), log_(log) {}
  void save(cluster::StoredSession session, std::function<void(Status)> done) override;
  void remove(SessionId session, std::function<void(Status)> done) override;

 private:
  struct Entry {
    cluster::StoredSession session;  ///< of a removal only the id counts
    std::function<void(Status)> done;
    bool removes = false;
  };
  void submit();
  void drain();
  Status write(const std::vector<Entry>& batch);

  postgres::Pool& pool_;
  os::WorkerPool& workers_;
  net::EventLoop& loop_;
  const Clock& clock_;
  Log& log_;
  std::mutex mutex_;
  std::vector<Entry> waiting_;
  bool draining_ = false;
};

}  // namespace verbund::node
