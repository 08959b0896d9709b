#pragma once
/// Accepted changes of devices are judged at the shadow, applied to the source, and confirmed by the feed (D5, D6, D9 to D11, B3).
///
/// Blocking; an object belongs to one thread and one device; two of one device never run at once. A change is in the source once: the transaction that applies it
/// is named in sync.apply before it begins and carries that name into the log; what became of it after a crash the feed says.
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "base/log.h"
#include "sync/model/conflict.h"
#include "sync/server/bound.h"

namespace verbund::sync::server {

/// Authors of the log's transactions from here on are applies: this + sync.apply.id.
inline constexpr std::uint64_t kApplyAuthors = 1ULL << 62;

/// A change of sync.change.
struct Change {
  std::uint64_t id = 0;
  std::uint64_t upload = 0;
  std::string subscription, key;
  UpRow::Op op = UpRow::Op::kUpdate;
  Csn base;
  std::vector<std::string> columns;
  std::vector<std::size_t> changed;  ///< of columns
  std::vector<std::optional<std::string>> after, before;
};

/// Work locks on records, as cluster has them. From any thread.
class RecordLocks {
 public:
  using Row = std::map<std::string, std::optional<std::string>>;  ///< column → value, as the source prints it
  struct Taken {
    bool granted = true;
    std::string why;                    ///< for people, when not granted: who holds it
    std::vector<FencingToken> tokens;   ///< of guarded types, all that this author has: to be shown to the source
  };
  virtual ~RecordLocks() = default;
  /// Takes the locks of the records that the rows of a table belong to (a row before and after its change), all or none, without waiting for whoever
  /// holds them. `author`: of the source's transaction, one `release` for all that was taken under it. `source`: within that transaction.
  /// Errors: those of the source alone.
  virtual Result<Taken> take(postgres::Connection& source, std::uint64_t author, const DeviceIdentity& device, const SourceTable& table, const std::vector<Row>& rows) = 0;
  /// `written`: the source's log position behind the writes; none: nothing was written.
  virtual void release(std::uint64_t author, Lsn written) = 0;
};

struct SettleSurroundings {
  postgres::Pool& mid_tier;
  postgres::Pool& source;
  FeedProgress& feed;
  RecordLocks* locks = nullptr;  ///< none: nobody holds records
  const Clock& clock;
  Log& log;
};

class Settlement {
 public:
  /// `bounds`: what the device may sync; `not_now`: subscriptions that it may sync as well, but not in this set or not at
  /// present; their changes wait.
  Settlement(const SettleSurroundings& surroundings, const DeviceIdentity& device, const std::vector<Bound>& bounds, const std::set<std::string>& not_now)
      : surroundings_(surroundings), device_(device), bounds_(bounds), not_now_(not_now) {}

  /// Until nothing is undecided that could be decided, or `deadline`. What stays says in `waits_for` for whom. Errors: those of the databases.
  Status run(Deadline deadline);

 private:
  struct Shadow {
    Csn version;
    bool inside = false;  ///< the user's
    std::vector<std::optional<std::string>> values;  ///< all columns of the source table
  };
  struct Judged {
    Change change;
    const Bound* bound = nullptr;
    std::optional<Shadow> shadow;
    bool on_credit = false;  ///< its membership is one that the device brings with it: the source has the last word
    bool over = false;       ///< rejected or put back while it was applied
  };
  enum class Fits { kNo, kYes, kOnCredit };
  enum class Wrote { kYes, kNo /* rejected */, kUnseen /* judged again when the feed has told more */, kLater };
  struct Round {
    std::size_t written = 0, decided = 0, unseen = 0;
    bool again = false;  ///< nothing was written: without those that are over now
    Lsn behind;  ///< the source's position after it
  };

  Result<bool> anything_open();
  Result<std::size_t> recover(Deadline deadline);
  Result<std::vector<Change>> undecided(postgres::Connection& mid_tier);
  Result<std::vector<Judged>> judged(postgres::Connection& mid_tier, const std::vector<Change>& changes, std::size_t& decided);
  Result<std::optional<Shadow>> shadow_of(postgres::Connection& mid_tier, const Bound& bound, const std::string& key);
  Result<Situation> situation_of(postgres::Connection& mid_tier, Judged& item);
  Result<Fits> fits_filter(postgres::Connection& mid_tier, const Bound& bound, const Change& change);
  Result<bool> ask_function(postgres::Connection& mid_tier, Judged& item);
  Status reject(postgres::Connection& mid_tier, const Change& change, std::string_view reason, std::string_view message, const Bound* bound, const Shadow* shadow);
  Status wait_for(postgres::Connection& mid_tier, const Change& change, std::string_view what);
  Result<std::size_t> apply(postgres::Connection& mid_tier, std::vector<Judged>& items, Deadline deadline);
  Result<std::uint64_t> begin_apply(postgres::Connection& mid_tier, const std::vector<Judged>& items);
  Result<Round> apply_once(postgres::Connection& mid_tier, postgres::Connection& source, std::vector<Judged>& items, std::uint64_t author);
  Result<std::size_t> one_by_one(postgres::Connection& mid_tier, std::vector<Judged>& items, std::uint64_t id, Deadline deadline);
  Result<std::size_t> without_membership(postgres::Connection& mid_tier, postgres::Connection& source, std::vector<Judged>& items, bool others_wait);
  Result<Wrote> write(postgres::Connection& mid_tier, postgres::Connection& source, Judged& item, std::uint64_t author);
  Result<Wrote> refused(postgres::Connection& mid_tier, postgres::Connection& source, const Judged& item, const Error& error);
  Result<RecordLocks::Taken> lock(postgres::Connection& source, const Judged& item, std::uint64_t author);
  Result<bool> as_expected(postgres::Connection& source, const Judged& item);
  Status put_back(postgres::Connection& mid_tier, const Change& change, std::string_view waits_for);
  Result<bool> confirm(postgres::Connection& mid_tier, std::uint64_t apply_id);

  const SettleSurroundings& surroundings_;
  const DeviceIdentity& device_;
  const std::vector<Bound>& bounds_;
  const std::set<std::string>& not_now_;
};

}  // namespace verbund::sync::server
