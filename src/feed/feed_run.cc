#include "base/messages.h"
#include "feed/catalog.h"
#include "feed/feed_impl.h"
#include "feed/row_versions.h"

namespace verbund::feed {
namespace {

constexpr milliseconds kFirstBackoff{100};
constexpr milliseconds kLastBackoff{5'000};
constexpr std::size_t kReplayPage = 1'000;
constexpr std::size_t kConnections = 4;
/// A person waits no longer for what keeps a preparation from being done.
constexpr seconds kPatience{30};

}  // namespace

Feed::Impl::Impl(FeedSettings feed_settings, FeedEvents feed_events, const Clock& boot_clock, Log& to_log, Counters& counters)
    : settings(std::move(feed_settings)), events(std::move(feed_events)), clock(boot_clock), log(to_log),
      changes(counters.counter("verbund_feed_changes_total", "Row changes written to the journal.")),
      transactions(counters.counter("verbund_feed_transactions_total", "Transactions handed on.")),
      rebuilds(counters.counter("verbund_feed_rebuilds_total", "New histories begun because the old one could not go on.")),
      lag(counters.gauge("verbund_feed_lag_bytes", "WAL of the source that capture has not passed yet.")),
      kept(counters.gauge("verbund_feed_slot_kept_bytes", "WAL that the source keeps for the slot.")),
      batch_age(counters.histogram("verbund_feed_commit_to_event_seconds", "From a transaction's commit to its event.")),
      read_age(counters.histogram("verbund_feed_commit_to_read_seconds", "From a transaction's commit until capture has read it.")),
      write_time(counters.histogram("verbund_feed_batch_write_seconds", "Writing a batch in the mid-tier, its commit included.")),
      source(settings.source, kConnections, clock), mid_tier(settings.mid_tier, kConnections, clock) {
  if (!settings.witness.empty()) witness.emplace(settings.witness);
}

void Feed::Impl::gather_orders(std::vector<Request>& asked) {
  const std::lock_guard guard(mutex);
  asked = std::exchange(requests, {});
  look_again = false;
  if (capture_next) settings.capture = std::move(*std::exchange(capture_next, std::nullopt));
  orders.truncated = truncated;
  orders.settled = status.passed >= seen ? unconfirmed : std::set<std::uint32_t>{};
  orders.reconcile = false;
  orders.continued.clear();
  for (Request& request : asked) {
    const bool first = !std::exchange(request.taken, true);
    if (request.what == Request::What::kLook) continue;
    if (request.table) {
      if (first) orders.refused.erase(*request.table);
      if (!orders.refused.contains(*request.table)) orders.continued.insert(*request.table);
    } else {
      if (first) orders.refused.clear();
      orders.reconcile = true;
    }
  }
  if (std::exchange(try_again, false)) {
    std::erase_if(orders.refused, [](const auto& item) { return item.second.code == ErrorCode::kTimedOut; });
  }
}

Result<Prepared> Feed::Impl::prepare_once() {
  std::vector<Request> asked;
  gather_orders(asked);
  orders.on_loss = [this](const std::string& reason) { set_state(FeedState::kWaiting, translated(Language::kEnglish, "comparing with the source: {}", reason)); };
  auto prepared = prepare(settings, orders, clock, log);
  if (prepared) {
    if (auto kept = keep_consumers(prepared->mid_tier, settings.consumers); !kept) prepared = pass(kept);
  }
  if (prepared) adopt(*prepared);
  answer(std::move(asked), prepared);
  return prepared;
}

void Feed::Impl::adopt(Prepared& prepared) {
  // Tables that only a pattern names stand behind these, and are looked for anew each time.
  const std::size_t configured = settings.tables.size();
  settings.tables = prepared.tables.tracked;
  settings.tables.resize(std::min(configured, settings.tables.size()));
  orders.rebuild.clear();
  orders.new_slot = false;
  orders.forked = false;
  orders.running = true;
  orders.doubtful.clear();
  const std::lock_guard guard(mutex);
  status.excluded = prepared.tables.excluded;
  tables = prepared.states;
  catalog = prepared.catalog;
  catalog_mark = prepared.catalog_mark;
  unconfirmed = prepared.unconfirmed;
  seen = prepared.seen;
  keys_watched = prepared.keys_watched;
  std::erase_if(truncated, [&](std::uint32_t relation) { return orders.truncated.contains(relation); });
}

void Feed::Impl::answer(std::vector<Request> asked, const Result<Prepared>& prepared) {
  for (Request& request : asked) {
    if (!prepared) {
      const bool passes = prepared.error().code == ErrorCode::kInUse && clock.now() < request.asked + kPatience && !stopping;
      if (passes) {
        const std::lock_guard guard(mutex);
        requests.push_back(std::move(request));
      } else {
        request.answer.set_value(std::unexpected(prepared.error()));
      }
      continue;
    }
    if (request.what == Request::What::kLook) {
      request.answer.set_value(ReconcileReport{});
    } else if (!request.table) {
      request.answer.set_value(prepared->report);
    } else if (const auto refused = orders.refused.find(*request.table); refused != orders.refused.end()) {
      request.answer.set_value(std::unexpected(refused->second));
    } else {
      request.answer.set_value(outcome_of(*prepared, *request.table));
    }
  }
}

Result<ReconcileReport> Feed::Impl::outcome_of(const Prepared& prepared, const TableName& name) {
  const std::string shown = shown_name(name.first, name.second);
  const auto found = prepared.differences.find(name);
  if (found != prepared.differences.end()) {
    ReconcileReport report;
    report.updated = found->second;
    return report;
  }
  const auto state = std::ranges::find_if(prepared.states, [&](const TableStatus& table) { return TableName(table.schema, table.table) == name; });
  if (state == prepared.states.end()) return fail(ErrorCode::kNotFound, phrase("feed: table {} is not configured", shown));
  if (state->state != TableState::kCaptured) return fail(ErrorCode::kNotFound, phrase("feed: table {} can't be captured: {}", shown, state->reason));
  return ReconcileReport{};
}

void Feed::Impl::run(std::optional<Result<Prepared>> first) {
  milliseconds backoff = kFirstBackoff;
  while (!stopping) {
    auto prepared = first ? std::move(*first) : prepare_once();
    first.reset();
    Error ended = prepared ? capture(*prepared) : std::move(prepared.error());
    if (stopping) break;
    if (ended.code == ErrorCode::kCancelled) continue;
    if (std::exchange(progressed, false)) backoff = kFirstBackoff;
    if (!go_on_after(ended)) break;
    rest(backoff);
    backoff = std::min(backoff * 2, kLastBackoff);
  }
  if (stopping) set_state(FeedState::kStopped, msgid("stopped"));
  std::vector<Request> left;
  {
    const std::lock_guard guard(mutex);
    this->ended = true;
    left = std::exchange(requests, {});
  }
  for (Request& request : left) request.answer.set_value(fail(ErrorCode::kFeedStopped, phrase("feed: capture has ended")));
}

std::string Feed::Impl::shown(const Error& error) { return error.hint.empty() ? error.message : error.message + ". " + error.hint; }

/// False: the thread ends.
bool Feed::Impl::go_on_after(const Error& ended) {
  log.warning("feed.interrupted", {{"reason", ended.message}, {"code", wire_name(ended.code)}});
  if (ended.code == ErrorCode::kBadStream) {
    set_state(FeedState::kStopped, ended.message);
    return false;
  }
  set_state(FeedState::kWaiting, shown(ended));
  return true;
}

/// What an interrupted stream says about the next preparation.
void Feed::Impl::learn_from(const Error& ended, const Capture& captured) {
  if (const auto strange = captured.strange_relation()) orders.doubtful.insert(*strange);
  // The publication was dropped, and decoding goes by what was there at the time: this slot comes no further.
  const bool dead_end = ended.code == ErrorCode::kNotFound;
  // WAL is gone, or the shadow is not what the stream builds on.
  const bool broken = ended.code == ErrorCode::kSnapshotNeeded || ended.code == ErrorCode::kConstraint;
  if (!dead_end && !broken) return;
  orders.rebuild = ended.message;
  orders.forked = captured.forked();
  orders.new_slot = dead_end || orders.forked || (ended.code == ErrorCode::kSnapshotNeeded && !progressed);
}

Error Feed::Impl::capture(Prepared& prepared) {
  const bool forked = !prepared.forked.empty();
  note_told(prepared.position.head);
  if (auto caught_up = take_over(prepared); !caught_up) return std::move(caught_up.error());
  if (!prepared.made_good.empty()) {
    rebuilds.add();
    log.warning(forked ? "feed.history_changed" : "feed.reconciled",
                {{"reason", prepared.made_good}, {"csn", prepared.position.head.csn.value}, {"inserted", prepared.report.inserted},
                 {"updated", prepared.report.updated}, {"deleted", prepared.report.deleted}});
  }
  if (forked && events.on_snapshot) events.on_snapshot("history_changed", prepared.position.head);
  Capture run(settings, prepared, capture_events(), clock, log);
  {
    const std::lock_guard guard(mutex);
    running = &run;
    if (stopping || look_again || try_again || !requests.empty()) run.interrupt();
  }
  set_state(FeedState::kRunning, {});
  Error ended = run.run();
  {
    const std::lock_guard guard(mutex);
    running = nullptr;
  }
  learn_from(ended, run);
  return ended;
}

/// Sets the head; hands on what an earlier commit wrote whose answer never came.
Status Feed::Impl::take_over(Prepared& prepared) {
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

/// Less is noticed when it can't be written; nothing else depends on it.
void Feed::Impl::note_told(const Cursor& upto) {
  if (!witness) return;
  auto noted = witness->note(upto);
  if (!noted && !witness_failed) log.warning("feed.witness_not_written", {{"reason", noted.error().message}});
  witness_failed = !noted;
}

void Feed::Impl::hand_on(TransactionEvent event) {
  {
    const std::lock_guard guard(mutex);
    status.head = event.cursor;
    ++status.transactions_total;
  }
  transactions.add();
  batch_age.observe(std::chrono::duration<double>(clock.wall() - event.commit_time).count());
  if (events.on_transaction) events.on_transaction(std::move(event));
}

CaptureEvents Feed::Impl::capture_events() {
  return {
      [this](const Cursor& stored) { note_told(stored); },
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
      [this](std::uint32_t relation) {
        const std::lock_guard guard(mutex);
        truncated.insert(relation);
      },
      [this](nanoseconds took) { write_time.observe(std::chrono::duration<double>(took).count()); },
      [this] { before_write(); },
      [this] { after_write(); }};
}

void Feed::Impl::set_state(FeedState state, const std::string& reason) {
  {
    const std::lock_guard guard(mutex);
    if (status.state == state && status.reason == reason) return;
    status.state = state;
    status.reason = reason;
  }
  if (events.on_state) events.on_state(state, reason);
}

void Feed::Impl::rest(nanoseconds span) {
  std::unique_lock guard(mutex);
  wake.wait_for(guard, span, [this] { return stopping || look_again || try_again || !requests.empty(); });
}

void Feed::Impl::interrupt() {
  const std::lock_guard guard(mutex);
  if (running != nullptr) running->interrupt();
  wake.notify_all();
}

Result<std::future<Result<ReconcileReport>>> Feed::Impl::request(Request::What what, std::optional<TableName> table) {
  std::future<Result<ReconcileReport>> answered;
  {
    const std::lock_guard guard(mutex);
    if (ended || stopping) return fail(ErrorCode::kFeedStopped, phrase("feed: capture does not run"));
    Request request{what, std::move(table), clock.now(), false, {}};
    answered = request.answer.get_future();
    requests.push_back(std::move(request));
  }
  interrupt();
  return answered;
}

Result<ReconcileReport> Feed::Impl::ask(std::optional<TableName> table) {
  auto asked = request(Request::What::kCompare, std::move(table));
  if (!asked) return pass(asked);
  return asked->get();
}

Cursor Feed::Impl::head() {
  const std::lock_guard guard(mutex);
  return status.head;
}

Result<Cursor> Feed::Impl::stored_head() {
  auto lease = mid_tier.acquire(Deadline::in(clock, kAcquireConnection));
  if (!lease) return pass(lease);
  auto position = read_position(**lease);
  if (!position) return pass(position);
  if (!*position) return fail(ErrorCode::kFeedStopped, phrase("feed: it has not begun"));
  return (*position)->head;
}

}  // namespace verbund::feed
