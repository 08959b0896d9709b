#pragma once
/// Erasing a record's contents from the history; the fact stays. What was erased stands in the versions database and, since that
/// may be restored to a state before it, in a file of the installation: both are brought together at every start.
/// Threads: any; calls block. One erasure at a time.
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/log.h"
#include "feed/feed.h"
#include "history/erasure_list.h"
#include "history/relay.h"
#include "platform/postgres/connection.h"

namespace verbund::history {

inline constexpr std::size_t kMaxReasonBytes = 500;

class Erasures {
 public:
  /// Whether the source database has the record now. Errors: kBadKey (no such type), those of the database.
  using Exists = std::function<Result<bool>(const RecordKey&)>;

  /// `file`: DIR/history/erasures.jsonl. `relay` is null when history is off. All is borrowed and outlives this.
  Erasures(std::filesystem::path file, postgres::Pool& versions, feed::Feed& feed, Relay* relay, Exists exists, const Clock& clock, Log& log)
      : file_(std::move(file)), versions_(versions), feed_(feed), relay_(relay), exists_(std::move(exists)), clock_(clock), log_(log) {}

  /// Removes the contents of all versions of the record and of the journal's images, once everything that has been committed is
  /// stored. Errors: kAlreadyExists, kUsage (reason empty, too long or with control characters), kNotFound (no versions), kTimedOut
  /// (history is behind), those of files and databases: then what is missing is done at the next start.
  Result<Erasure> erase(const RecordKey& key, const std::string& by, const std::string& reason);
  /// Oldest first.
  Result<std::vector<Erasure>> list();
  /// After a restore contents may be back, or the erasure itself gone: does it again. How many were affected. Idempotent; to be
  /// called before the relay starts.
  Result<std::size_t> reapply();

 private:
  Status settle();
  Result<std::uint64_t> apply(postgres::Connection& versions, const Erasure& erasure);
  Result<std::vector<Erasure>> undone(postgres::Connection& versions, const std::vector<Erasure>& all);

  const std::filesystem::path file_;
  postgres::Pool& versions_;
  feed::Feed& feed_;
  Relay* const relay_;
  const Exists exists_;
  const Clock& clock_;
  Log& log_;
  std::mutex mutex_;  // one at a time
};

}  // namespace verbund::history
