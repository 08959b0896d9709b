#include "feed/feed.h"

#include "base/messages.h"
#include "feed/event_text.h"
#include "feed/feed_impl.h"
#include "feed/migrations.inc"
#include "feed/row_versions.h"

namespace verbund::feed {
namespace {

constexpr milliseconds kTryAgain{100};
/// After a kill -9 of the node the server may need a moment to notice that the slot's reader is gone.
constexpr seconds kSlotInUse{15};

}  // namespace

postgres::MigrationSet migrations() { return {"feed", kMigrations}; }

Feed::Feed(FeedSettings settings, FeedEvents events, const Clock& clock, Log& log, Counters& counters)
    : impl_(std::make_unique<Impl>(std::move(settings), std::move(events), clock, log, counters)) {}

Feed::~Feed() { stop(); }

Status Feed::start() {
  if (impl_->capturing.joinable()) return fail(ErrorCode::kInUse, phrase("feed: it runs already"));
  impl_->stopping = false;
  impl_->set_state(FeedState::kStarting, {});
  auto preparing = std::async(std::launch::async, [impl = impl_.get()] { return impl->prepare_first(); });
  if (preparing.wait_for(impl_->settings.start_patience) == std::future_status::timeout) {
    // Without a position there is nothing yet that anybody could be told.
    if (auto stored = impl_->stored_head()) {
      impl_->compare_behind(*stored, std::move(preparing));
      return {};
    }
  }
  auto prepared = preparing.get();
  // A person can say what to do only to a feed that runs; open transactions end some time.
  const auto may_wait = [](const Error& error) { return error.code == ErrorCode::kFeedStopped || error.code == ErrorCode::kTimedOut; };
  if (!prepared && !may_wait(prepared.error())) return pass(prepared, "feed");
  auto stored = impl_->stored_head();
  if (!stored) return pass(stored, "feed");
  {
    const std::lock_guard guard(impl_->mutex);
    impl_->status.head = *stored;
    if (prepared) impl_->status.passed = prepared->position.lsn;
    impl_->ended = false;
  }
  if (!prepared) impl_->set_state(FeedState::kWaiting, Impl::shown(prepared.error()));
  auto first = prepared ? std::optional(std::move(prepared)) : std::nullopt;
  impl_->capturing = std::thread([impl = impl_.get(), first = std::move(first)]() mutable { impl->run(std::move(first)); });
  impl_->upkeep = std::thread([impl = impl_.get()] { impl->look_after(); });
  return {};
}

Result<Prepared> Feed::Impl::prepare_first() {
  const auto deadline = Deadline::in(clock, kSlotInUse);
  auto prepared = prepare_once();
  while (!prepared && prepared.error().code == ErrorCode::kInUse && !deadline.passed(clock) && !stopping) {
    rest(kTryAgain);
    prepared = prepare_once();
  }
  return prepared;
}

/// The office can work meanwhile: it is told of the differences when they are found, as of any change.
void Feed::Impl::compare_behind(const Cursor& stored, std::future<Result<Prepared>> preparing) {
  bool unsaid = false;
  {
    const std::lock_guard guard(mutex);
    status.head = stored;
    ended = false;
    unsaid = status.state == FeedState::kStarting;
  }
  if (unsaid) set_state(FeedState::kWaiting, msgid("comparing with the source"));
  capturing = std::thread([this, preparing = std::move(preparing)]() mutable { run(preparing.get()); });
  upkeep = std::thread([this] { look_after(); });
}

void Feed::stop() {
  {
    const std::lock_guard guard(impl_->mutex);
    impl_->stopping = true;
    if (impl_->running != nullptr) impl_->running->interrupt();
    impl_->held_until.reset();
  }
  impl_->wake.notify_all();
  if (impl_->capturing.joinable()) impl_->capturing.join();
  if (impl_->upkeep.joinable()) impl_->upkeep.join();
}

Result<std::vector<TransactionEvent>> Feed::replay(const Cursor& from, std::size_t limit) {
  const Cursor head = impl_->head();
  if (from == head) return std::vector<TransactionEvent>{};
  if (from.history != head.history || from.csn > head.csn) return fail(ErrorCode::kSnapshotNeeded, "history_changed");
  auto lease = impl_->mid_tier.acquire(Deadline::in(impl_->clock, kAcquireConnection));
  if (!lease) return pass(lease, "replay");
  return read_journal(**lease, from, head, limit);
}

Result<VersionPage> Feed::versions_after(const std::string& consumer, const Cursor& from, const VersionLimits& limits) {
  auto lease = impl_->mid_tier.acquire(Deadline::in(impl_->clock, kAcquireConnection));
  if (!lease) return pass(lease, "row versions");
  return read_versions(**lease, consumer, from, limits);
}

Result<RowLayout> Feed::layout(int id) {
  auto lease = impl_->mid_tier.acquire(Deadline::in(impl_->clock, kAcquireConnection));
  if (!lease) return pass(lease, "layout of row versions");
  return read_layout(**lease, id);
}

Status Feed::consumed(const std::string& consumer, Csn csn) {
  auto lease = impl_->mid_tier.acquire(Deadline::in(impl_->clock, kAcquireConnection));
  if (!lease) return pass(lease, "consumer of the journal");
  return move_consumer(**lease, consumer, csn);
}

Status Feed::forget_images(const RecordKey& record, WallTime upto) {
  auto lease = impl_->mid_tier.acquire(Deadline::in(impl_->clock, kAcquireConnection));
  if (!lease) return pass(lease, "erase images of the journal");
  return feed::forget_images(**lease, record, upto);
}

Status Feed::announce(std::span<const RecordEvent> records, SessionId by) {
  auto lease = impl_->source.acquire(Deadline::in(impl_->clock, kAcquireConnection));
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
  auto lease = impl_->source.acquire(Deadline::in(impl_->clock, kAcquireConnection));
  if (!lease) return pass(lease, "current position");
  auto rows = (**lease).query("SELECT pg_current_wal_insert_lsn()");
  if (!rows) return pass(rows, "current position");
  return parse_lsn(rows->text(0, 0));
}

Status Feed::capture(std::vector<std::string> patterns, milliseconds patience) {
  {
    const std::lock_guard guard(impl_->mutex);
    impl_->capture_next = std::move(patterns);
  }
  auto asked = impl_->request(Request::What::kLook, std::nullopt);
  if (!asked) return pass(asked);
  if (asked->wait_for(patience) != std::future_status::ready) return fail(ErrorCode::kTimedOut, phrase("feed: the tables are still being taken in"));
  auto looked = asked->get();
  if (!looked) return pass(looked);
  return {};
}

Result<std::vector<TableStatus>> Feed::tables() const {
  const std::lock_guard guard(impl_->mutex);
  return impl_->tables;
}

Result<std::uint64_t> Feed::continue_table(std::string schema, std::string table) {
  auto report = impl_->ask(TableName(std::move(schema), std::move(table)));
  if (!report) return pass(report);
  return report->updated;
}

Result<ReconcileReport> Feed::reconcile() { return impl_->ask(std::nullopt); }

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
