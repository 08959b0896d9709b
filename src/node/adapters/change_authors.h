#pragma once
/// history::Authorship by cluster's locks and the stored sessions. What only the running service knows, who held a lock at
/// a commit, is noted when the change is told; sessions are looked up in the mid-tier, also after they have ended.
/// Threads: `note` on the loop; the rest on the relay's thread.
#include <map>
#include <mutex>

#include "cluster/service.h"
#include "feed/feed.h"
#include "guard/lock_rows.h"
#include "history/authorship.h"
#include "platform/postgres/connection.h"

namespace verbund::node {

class ChangeAuthors final : public history::Authorship {
 public:
  static constexpr std::size_t kMostNoted = 200'000;  ///< (transaction, record) pairs; beyond it the oldest become unknown
  static constexpr std::size_t kMostSessions = 10'000;

  ChangeAuthors(postgres::Pool& mid_tier, const Clock& clock) : mid_tier_(mid_tier), clock_(clock) {}

  /// Before the relay starts: what the guard's lock table says. A node that ended between a commit and its history knows so who held
  /// guarded records then.
  void held_at_start(const std::vector<guard::LockRow>& rows);
  void note(const feed::TransactionEvent& event, const cluster::Service& service);

  Result<history::Author> author(Csn transaction, SessionId by, WallTime committed, const RecordKey& record) override;
  void stored(Csn upto) override;

 private:
  using Holders = std::vector<std::pair<RecordKey, history::Author>>;
  struct HeldBefore {
    SessionId session;
    WallTime since;
  };
  Result<history::Author> by_session(SessionId session);

  postgres::Pool& mid_tier_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<Csn, Holders> noted_;  // mutex_
  std::size_t noted_pairs_ = 0;   // mutex_
  std::map<SessionId, history::Author> sessions_;  // relay's thread
  std::map<RecordKey, HeldBefore> held_before_;    // as `held_at_start` has left it
  WallTime started_;
};

}  // namespace verbund::node
