#pragma once
// Feed's inside: the capture thread's loop is in feed_run.cc, what looks after journal and catalog in feed_upkeep.cc.
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "feed/capture.h"
#include "feed/feed.h"
#include "feed/setup.h"
#include "feed/witness.h"

namespace verbund::feed {

inline constexpr seconds kAcquireConnection{10};

/// A person waits for the answer.
struct Request {
  enum class What { kCompare, kLook /* at the tables that are to be captured */ } what = What::kCompare;
  std::optional<TableName> table;  ///< to compare; none: all
  TimePoint asked;
  bool taken = false;  ///< into a preparation; should this have failed, refusals are its outcome
  std::promise<Result<ReconcileReport>> answer;  ///< of a table: the differences stand in `updated`
};

struct Feed::Impl {
  Impl(FeedSettings feed_settings, FeedEvents feed_events, const Clock& boot_clock, Log& to_log, Counters& counters);

  // Capture thread, feed_run.cc
  Result<Prepared> prepare_once();
  Result<Prepared> prepare_first();
  void compare_behind(const Cursor& stored, std::future<Result<Prepared>> preparing);
  void run(std::optional<Result<Prepared>> first);
  bool go_on_after(const Error& ended);
  void learn_from(const Error& ended, const Capture& captured);
  static Result<ReconcileReport> outcome_of(const Prepared& prepared, const TableName& name);
  static std::string shown(const Error& error);
  Error capture(Prepared& prepared);
  Status take_over(Prepared& prepared);
  void note_told(const Cursor& upto);
  void hand_on(TransactionEvent event);
  CaptureEvents capture_events();
  void gather_orders(std::vector<Request>& asked);
  void answer(std::vector<Request> asked, const Result<Prepared>& prepared);
  void adopt(Prepared& prepared);

  // feed_upkeep.cc
  void look_after();
  void prune();
  void look_at_catalog();
  void look_at_slot();
  void look_at_keys();
  void look_at_key_trigger();

  // feed_hold.cc
  /// Before and after the capture thread writes in the mid-tier; `before` waits while the feed is held.
  void before_write();
  void after_write();
  [[nodiscard]] bool holding() const { return held_until && clock.now() < *held_until; }  // under the mutex

  /// Ends the capture thread's present stream, so that it prepares anew.
  void interrupt();
  void set_state(FeedState state, const std::string& reason);
  /// Until `span` is over, the feed stops, or somebody asks for something.
  void rest(nanoseconds span);
  Result<std::future<Result<ReconcileReport>>> request(Request::What what, std::optional<TableName> table);
  Result<ReconcileReport> ask(std::optional<TableName> table);
  Cursor head();
  Result<Cursor> stored_head();

  FeedSettings settings;
  FeedEvents events;
  const Clock& clock;
  Log& log;
  Counter& changes;
  Counter& transactions;
  Counter& rebuilds;
  Gauge& lag;
  Gauge& kept;
  Histogram& batch_age;
  Histogram& read_age;
  Histogram& write_time;
  postgres::Pool source;
  postgres::Pool mid_tier;

  Orders orders;            // of the next preparation; capture thread only
  std::optional<Witness> witness;  // capture thread only
  bool witness_failed = false;     // it could not be written; capture thread only
  bool progressed = false;  // since the last interruption; capture thread only
  std::optional<Lsn> noticed_at;  // where the log stood when the catalog was seen changed; upkeep thread only
  std::string alarm_told;         // its kind; upkeep thread only
  std::string key_trouble;        // what was logged last; upkeep thread only
  std::atomic<bool> stopping{false};
  std::mutex mutex;         // what follows
  std::condition_variable wake;
  FeedStatus status;
  std::vector<TableStatus> tables;
  std::optional<TimePoint> last_message;
  Capture* running = nullptr;
  std::vector<Request> requests;
  std::optional<std::vector<std::string>> capture_next;  // instead of settings.capture, which is the capture thread's
  bool ended = true;        // the capture thread does not run
  bool look_again = false;  // the catalog has changed
  bool try_again = false;   // what was refused for the time being
  CatalogQuestion catalog;  // what is to be looked at, as of the last preparation
  std::string catalog_mark; // and what it was then
  std::set<std::uint32_t> truncated;    // since the last preparation
  std::set<std::uint32_t> unconfirmed;  // Prepared::unconfirmed
  std::optional<TimePoint> held_until;  // a copy is being made
  bool writing = false;                 // the capture thread writes in the mid-tier
  bool keys_watched = false;            // Prepared::keys_watched
  Lsn seen;
  std::thread capturing;
  std::thread upkeep;
};

}  // namespace verbund::feed
