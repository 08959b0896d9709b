#pragma once
/// Carries row versions from the feed's journal into the versions database, behind the feed and without ever holding it up.
///
/// Threads: one of its own, which blocks on the databases; `advance`, `status`, `wait_for` from any thread.
/// Exactly once: versions and position commit in one transaction of the versions database; what is read again after a
/// crash is read from that position. Journal rows are released (Feed::consumed) only after their versions are durable.
#include <memory>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/log.h"
#include "base/time.h"
#include "feed/feed.h"
#include "history/authorship.h"

namespace verbund::history {

/// Name of the feed's consumer: FeedSettings::consumers must have it.
inline constexpr const char* kConsumer = "history";

struct RelaySettings {
  postgres::ConnectionSettings versions;
  std::vector<std::string> types;              ///< record types with history; their tables are tracked with images
  std::size_t page_rows = 5'000;               ///< row changes per transaction, at most
  std::size_t page_bytes = 16 * 1024 * 1024;   ///< of their images
  milliseconds rest{200};                      ///< between transactions while nothing waits: their fsyncs are the writers' too
  std::uint64_t far_behind = 1'000'000;        ///< row changes: from here on status says so
};

enum class RelayState {
  kRunning,
  kFarBehind,  ///< running, but the journal grows
  kWaiting,    ///< for a database; tried again
  kStopped,
};

struct RelayStatus {
  RelayState state = RelayState::kStopped;
  std::string reason;           ///< of kWaiting
  Cursor position;              ///< stored up to here; history empty: nothing ever
  std::uint64_t behind = 0;     ///< csns between position and what the feed has handed on; across terms an estimate
  std::uint64_t versions = 0;   ///< stored by this process
  std::uint64_t breaks = 0;     ///< noted by this process, see feed::VersionBreak
};

class Relay {
 public:
  Relay(RelaySettings settings, feed::Feed& feed, Authorship& authorship, const Clock& clock, Log& log, Counters& counters);
  ~Relay();  ///< stops

  /// The feed has started; `head` as for `advance`. Never fails: what is not there yet is waited for.
  void start(const Cursor& head);
  /// Ends after the transaction that is under way.
  void stop();

  /// The feed has handed on everything up to `head`, and the authors of that are known as well as they will ever be.
  void advance(const Cursor& head);
  /// The feed has passed this position of the source's log; what it had to hand on of it was told by `advance` before.
  void passed(Lsn lsn);

  [[nodiscard]] RelayStatus status() const;
  /// Until everything up to `csn` is stored. Errors: kTimedOut, with the reason when a database is waited for.
  Status wait_for(Csn csn, Deadline deadline) const;
  /// The same for all that was committed before `lsn`.
  Status wait_for(Lsn lsn, Deadline deadline) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verbund::history
