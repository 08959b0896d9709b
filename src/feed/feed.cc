#include "feed/feed.h"

#include <condition_variable>

#include "feed/capture.h"
#include "feed/event_text.h"
#include "feed/migrations.inc"
#include "feed/row_versions.h"

namespace verbund::feed {
namespace {

constexpr milliseconds kFirstBackoff{100};
constexpr milliseconds kLastBackoff{5'000};
constexpr seconds kPruneEvery{5};
constexpr seconds kAcquire{10};
/// After a kill -9 of the node the server may need a moment to notice that the slot's reader is gone.
constexpr seconds kSlotInUse{15};
constexpr std::size_t kReplayPage = 1'000;
constexpr std::size_t kConnections = 4;

}  // namespace

postgres::MigrationSet migrations() { return {"feed", kMigrations}; }

struct Feed::Impl {
  Impl(FeedSettings feed_settings, FeedEvents feed_events, const Clock& boot_clock, Log& to_log, Counters& counters)
      : settings(std::move(feed_settings)), events(std::move(feed_events)), clock(boot_clock), log(to_log),
        changes(counters.counter("verbund_feed_changes_total", "Row changes written to the journal.")),
        transactions(counters.counter("verbund_feed_transactions_total", "Transactions handed on.")),
        rebuilds(counters.counter("verbund_feed_rebuilds_total", "New histories begun because the old one could not go on.")),
        lag(counters.gauge("verbund_feed_lag_bytes", "WAL of the source that capture has not passed yet.")),
        batch_age(counters.histogram("verbund_feed_commit_to_event_seconds", "From a transaction's commit to its event.")),
        read_age(counters.histogram("verbund_feed_commit_to_read_seconds", "From a transaction's commit until capture has read it.")),
        write_time(counters.histogram("verbund_feed_batch_write_seconds", "Writing a batch in the mid-tier, its commit included.")),
        source(settings.source, kConnections, clock), mid_tier(settings.mid_tier, kConnections, clock) {}

  Result<Prepared> prepare_once() {
    auto prepared = prepare(settings, rebuild, log);
    if (!prepared) return prepared;
    if (auto kept = keep_consumers(prepared->mid_tier, settings.consumers); !kept) return pass(kept);
    rebuild.clear();
    const std::lock_guard guard(mutex);
    status.excluded = prepared->tables.excluded;
    return prepared;
  }

  void run(std::optional<Prepared> first) {
    milliseconds backoff = kFirstBackoff;
    while (!stopping) {
      auto prepared = first ? Result<Prepared>(std::move(*first)) : prepare_once();
      first.reset();
      Error ended = prepared ? capture(*prepared) : std::move(prepared.error());
      if (stopping) break;
      if (std::exchange(progressed, false)) backoff = kFirstBackoff;
      if (!go_on_after(ended)) return;
      wait(backoff);
      backoff = std::min(backoff * 2, kLastBackoff);
    }
    set_state(FeedState::kStopped, "stopped");
  }

  /// False: the thread ends.
  bool go_on_after(const Error& ended) {
    log.warning("feed.interrupted", {{"reason", ended.message}, {"code", wire_name(ended.code)}});
    if (ended.code == ErrorCode::kBadStream) {
      set_state(FeedState::kStopped, ended.message);
      return false;
    }
    // The slot or publication is gone, or the shadow is not what the stream builds on.
    const bool broken = ended.code == ErrorCode::kSnapshotNeeded || ended.code == ErrorCode::kNotFound ||
                        ended.code == ErrorCode::kConstraint;
    if (broken) rebuild = ended.message;
    set_state(FeedState::kWaiting, ended.message);
    return true;
  }

  Error capture(Prepared& prepared) {
    const bool forked = !prepared.forked.empty();
    if (auto caught_up = take_over(prepared); !caught_up) return std::move(caught_up.error());
    if (forked) {
      rebuilds.add();
      log.warning("feed.history_changed", {{"reason", prepared.forked}, {"csn", prepared.position.head.csn.value}});
      if (events.on_snapshot) events.on_snapshot("history_changed", prepared.position.head);
    }
    Capture run(settings, prepared, capture_events(), clock, log);
    {
      const std::lock_guard guard(mutex);
      running = &run;
      if (stopping) run.interrupt();
    }
    set_state(FeedState::kRunning, {});
    Error ended = run.run();
    const std::lock_guard guard(mutex);
    running = nullptr;
    return ended;
  }

  /// Sets the head; hands on what an earlier commit wrote whose answer never came.
  Status take_over(Prepared& prepared) {
    const Cursor stored = prepared.position.head;
    Cursor mine = head();
    while (mine.history == stored.history && mine.csn < stored.csn) {
      auto missed = read_journal(prepared.mid_tier, mine, stored, kReplayPage);
      if (!missed) return pass(missed);
      for (TransactionEvent& event : *missed) hand_on(std::move(event));
      if (missed->size() < kReplayPage) break;
      mine = head();
    }
    const std::lock_guard guard(mutex);
    status.head = stored;
    status.passed = prepared.position.lsn;
    return {};
  }

  void hand_on(TransactionEvent event) {
    {
      const std::lock_guard guard(mutex);
      status.head = event.cursor;
      ++status.transactions_total;
    }
    transactions.add();
    batch_age.observe(std::chrono::duration<double>(clock.wall() - event.commit_time).count());
    if (events.on_transaction) events.on_transaction(std::move(event));
  }

  CaptureEvents capture_events() {
    return {
        [this](TransactionEvent event) {
          progressed = true;
          hand_on(std::move(event));
        },
        [this](Lsn passed, Lsn server_end) {
          {
            const std::lock_guard guard(mutex);
            status.passed = passed;
            status.server_end = server_end;
            status.lag_bytes = server_end.value - passed.value;
          }
          lag.set(static_cast<double>(server_end.value - passed.value));
          if (events.on_passed) events.on_passed(passed);
        },
        [this] {
          const std::lock_guard guard(mutex);
          last_message = clock.now();
        },
        [this](std::uint64_t rows) {
          changes.add(static_cast<double>(rows));
          const std::lock_guard guard(mutex);
          status.changes_total += rows;
        },
        [this](WallTime committed) { read_age.observe(std::chrono::duration<double>(clock.wall() - committed).count()); },
        [this](nanoseconds took) { write_time.observe(std::chrono::duration<double>(took).count()); }};
  }

  void set_state(FeedState state, const std::string& reason) {
    {
      const std::lock_guard guard(mutex);
      if (status.state == state && status.reason == reason) return;
      status.state = state;
      status.reason = reason;
    }
    if (events.on_state) events.on_state(state, reason);
  }

  void wait(nanoseconds span) {
    std::unique_lock guard(mutex);
    wake.wait_for(guard, span, [this] { return stopping.load(); });
  }

  /// Keeps the journal bounded, in steps small enough that capture does not notice.
  void prune() {
    while (!stopping) {
      wait(kPruneEvery);
      for (bool more = true; more && !stopping;) {
        auto lease = mid_tier.acquire(Deadline::in(clock, kAcquire));
        if (!lease) break;  // the capture thread tells of a database that is gone
        auto pruned = prune_journal(**lease, settings.journal_rows_kept);
        if (!pruned) log.warning("feed.prune_failed", {{"reason", pruned.error().message}});
        more = pruned && *pruned;
      }
    }
  }

  Cursor head() {
    const std::lock_guard guard(mutex);
    return status.head;
  }

  FeedSettings settings;
  FeedEvents events;
  const Clock& clock;
  Log& log;
  Counter& changes;
  Counter& transactions;
  Counter& rebuilds;
  Gauge& lag;
  Histogram& batch_age;
  Histogram& read_age;
  Histogram& write_time;
  postgres::Pool source;
  postgres::Pool mid_tier;

  std::string rebuild;      // why the next preparation starts a new history; capture thread only
  bool progressed = false;  // since the last interruption; capture thread only
  std::atomic<bool> stopping{false};
  std::mutex mutex;         // what follows
  std::condition_variable wake;
  FeedStatus status;
  std::optional<TimePoint> last_message;
  Capture* running = nullptr;
  std::thread capturing;
  std::thread pruning;
};

Feed::Feed(FeedSettings settings, FeedEvents events, const Clock& clock, Log& log, Counters& counters)
    : impl_(std::make_unique<Impl>(std::move(settings), std::move(events), clock, log, counters)) {}

Feed::~Feed() { stop(); }

Status Feed::start() {
  if (impl_->capturing.joinable()) return fail(ErrorCode::kInUse, "feed: it runs already");
  impl_->stopping = false;
  impl_->set_state(FeedState::kStarting, {});
  const auto deadline = Deadline::in(impl_->clock, kSlotInUse);
  auto prepared = impl_->prepare_once();
  while (!prepared && prepared.error().code == ErrorCode::kInUse && !deadline.passed(impl_->clock)) {
    impl_->wait(kFirstBackoff);
    prepared = impl_->prepare_once();
  }
  if (!prepared) return pass(prepared, "feed");
  {
    const std::lock_guard guard(impl_->mutex);
    impl_->status.head = prepared->position.head;
    impl_->status.passed = prepared->position.lsn;
  }
  impl_->capturing = std::thread([impl = impl_.get(), first = std::optional(std::move(*prepared))]() mutable {
    impl->run(std::move(first));
  });
  impl_->pruning = std::thread([impl = impl_.get()] { impl->prune(); });
  return {};
}

void Feed::stop() {
  {
    const std::lock_guard guard(impl_->mutex);
    impl_->stopping = true;
    if (impl_->running != nullptr) impl_->running->interrupt();
  }
  impl_->wake.notify_all();
  if (impl_->capturing.joinable()) impl_->capturing.join();
  if (impl_->pruning.joinable()) impl_->pruning.join();
}

Result<std::vector<TransactionEvent>> Feed::replay(const Cursor& from, std::size_t limit) {
  const Cursor head = impl_->head();
  if (from == head) return std::vector<TransactionEvent>{};
  if (from.history != head.history || from.csn > head.csn) return fail(ErrorCode::kSnapshotNeeded, "history_changed");
  auto lease = impl_->mid_tier.acquire(Deadline::in(impl_->clock, kAcquire));
  if (!lease) return pass(lease, "replay");
  return read_journal(**lease, from, head, limit);
}

Result<VersionPage> Feed::versions_after(const std::string& consumer, const Cursor& from, const VersionLimits& limits) {
  auto lease = impl_->mid_tier.acquire(Deadline::in(impl_->clock, kAcquire));
  if (!lease) return pass(lease, "row versions");
  return read_versions(**lease, consumer, from, limits);
}

Result<RowLayout> Feed::layout(int id) {
  auto lease = impl_->mid_tier.acquire(Deadline::in(impl_->clock, kAcquire));
  if (!lease) return pass(lease, "layout of row versions");
  return read_layout(**lease, id);
}

Status Feed::consumed(const std::string& consumer, Csn csn) {
  auto lease = impl_->mid_tier.acquire(Deadline::in(impl_->clock, kAcquire));
  if (!lease) return pass(lease, "consumer of the journal");
  return move_consumer(**lease, consumer, csn);
}

Status Feed::forget_images(const RecordKey& record) {
  auto lease = impl_->mid_tier.acquire(Deadline::in(impl_->clock, kAcquire));
  if (!lease) return pass(lease, "erase images of the journal");
  return feed::forget_images(**lease, record);
}

Status Feed::announce(std::span<const RecordEvent> records, SessionId by) {
  auto lease = impl_->source.acquire(Deadline::in(impl_->clock, kAcquire));
  if (!lease) return pass(lease, "announce");
  // One statement is one transaction; the author stands in front.
  auto sent = by ? (**lease).query("SELECT pg_logical_emit_message(true, 'verbund.by', $1),"
                                   " pg_logical_emit_message(true, 'verbund.changed', $2)",
                                   {std::to_string(by.value), announcement_text(records)})
                 : (**lease).query("SELECT pg_logical_emit_message(true, 'verbund.changed', $1)", {announcement_text(records)});
  if (!sent) return pass(sent, "announce");
  return {};
}

Result<Lsn> Feed::current_lsn() {
  auto lease = impl_->source.acquire(Deadline::in(impl_->clock, kAcquire));
  if (!lease) return pass(lease, "current position");
  auto rows = (**lease).query("SELECT pg_current_wal_insert_lsn()");
  if (!rows) return pass(rows, "current position");
  return parse_lsn(rows->text(0, 0));
}

FeedStatus Feed::status() const {
  const std::lock_guard guard(impl_->mutex);
  FeedStatus status = impl_->status;
  if (impl_->last_message) {
    status.last_message_age = std::chrono::duration_cast<milliseconds>(impl_->clock.now() - *impl_->last_message);
  }
  return status;
}

Cursor Feed::head() const { return impl_->head(); }

Lsn Feed::passed() const {
  const std::lock_guard guard(impl_->mutex);
  return impl_->status.passed;
}

}  // namespace verbund::feed
