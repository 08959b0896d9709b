#include "history/relay.h"

#include <condition_variable>

#include "base/messages.h"
#include "feed/row_versions.h"
#include "history/version_writer.h"

namespace verbund::history {
namespace {

constexpr milliseconds kFirstBackoff{100};
constexpr milliseconds kLastBackoff{5'000};
/// Pruning happens every 5 s: telling it more often would only write.
constexpr seconds kReleaseEvery{2};

}  // namespace

struct Relay::Impl {
  Impl(RelaySettings relay_settings, feed::Feed& from, Authorship& who, const Clock& boot_clock, Log& to_log, Counters& counters)
      : settings(std::move(relay_settings)), feed(from), authorship(who), clock(boot_clock), log(to_log),
        versions(counters.counter("verbund_history_versions_total", "Row versions stored in the versions database.")),
        behind(counters.gauge("verbund_history_behind_changes", "Row changes that the versions database does not have yet.")),
        age(counters.histogram("verbund_history_commit_to_stored_seconds", "From a transaction's commit until its versions were stored.")),
        writer(settings.versions, [this](int id) { return feed.layout(id); }) {}

  void run() {
    milliseconds backoff = kFirstBackoff;
    while (!stopping()) {
      auto done = step();
      if (done) {
        backoff = kFirstBackoff;
        continue;
      }
      failed(done.error());
      pause(backoff);
      backoff = std::min(backoff * 2, kLastBackoff);
    }
  }

  /// One page, or a wait for one.
  Status step() {
    if (!position) {
      if (auto begun = begin(); !begun) return begun;
    }
    const Csn upto = told_csn();
    feed::VersionLimits limits{upto, settings.page_rows, settings.page_bytes};
    auto page = feed.versions_after(kConsumer, *position, limits);
    if (!page) return pass(page);
    if (page->upto == *position) {
      running();
      return wait_for_more(upto);
    }
    if (auto stored = store(*page); !stored) return stored;
    running();
    if (auto released = release(false); !released) return released;
    // A full page: there is more, and it is old already.
    if (page->rows.size() < settings.page_rows && page->upto.csn >= upto) pause(settings.rest);
    return {};
  }

  Status begin() {
    auto stored = writer.position();
    if (!stored) return pass(stored);
    if (!stored->history.value.empty()) {
      if (auto noted = writer.note_types(*stored, settings.types); !noted) return noted;
    }
    set_position(*stored);
    return {};
  }

  Status store(const feed::VersionPage& page) {
    auto entries = entries_of(page);
    if (!entries) return pass(entries);
    auto written = writer.write(*position, page, *entries);
    if (!written) {
      // It may be committed all the same, or another node writes: the stored position says.
      position.reset();
      return written;
    }
    const bool first = position->history.value.empty();
    if (page.interrupted) {
      log.warning("history.interrupted", {{"why", static_cast<int>(page.interrupted->why)}, {"from", position->csn.value}, {"to", page.upto.csn.value}});
    }
    set_position(page.upto);
    count(page, entries->size());
    return first ? writer.note_types(page.upto, settings.types) : Status{};
  }

  Result<std::vector<VersionEntry>> entries_of(const feed::VersionPage& page) {
    std::vector<VersionEntry> entries;
    entries.reserve(page.rows.size());
    for (const feed::RowVersion& row : page.rows) {
      // An update that changed nothing is no version.
      if (row.op == feed::RowOp::kUpdate && row.changed == "{}" && !row.was_key) continue;
      const auto& transaction = page.transactions[row.transaction];
      if (row.records.empty()) entries.push_back({{}, &row, &transaction, {}});
      for (const RecordKey& record : row.records) {
        if (std::ranges::find(settings.types, record.type) == settings.types.end()) continue;
        auto author = author_of(transaction, record);
        if (!author) return pass(author, "who made a change");
        entries.push_back({to_string(record), &row, &transaction, std::move(*author)});
      }
    }
    return entries;
  }

  /// Rows of one record stand side by side as a rule: asked once for them.
  Result<Author> author_of(const feed::VersionedTransaction& transaction, const RecordKey& record) {
    if (transaction.merged) return Author{};  // of many, at times that nobody knows
    if (last_author && last_author->transaction == transaction.last_csn && last_author->record == record) return last_author->author;
    auto author = authorship.author(transaction.last_csn, transaction.by, transaction.commit_time, record);
    if (author) last_author = {transaction.last_csn, record, *author};
    return author;
  }

  /// Tells the feed what it may prune; seldom, unless there is nothing else to do.
  Status release(bool idle) {
    if (released == position->csn) return {};
    if (!idle && clock.now() < released_at + kReleaseEvery) return {};
    if (auto told = feed.consumed(kConsumer, position->csn); !told) return told;
    released = position->csn;
    released_at = clock.now();
    authorship.stored(released);
    return {};
  }

  Status wait_for_more(Csn upto) {
    if (released != position->csn) {
      std::unique_lock guard(mutex);
      const bool more = wake.wait_for(guard, std::max(nanoseconds{0}, released_at + kReleaseEvery - clock.now()),
                                      [&] { return stop || told.csn != upto; });
      guard.unlock();
      return more ? Status{} : release(true);
    }
    std::unique_lock guard(mutex);
    wake.wait(guard, [&] { return stop || told.csn != upto; });
    return {};
  }

  void count(const feed::VersionPage& page, std::size_t stored) {
    versions.add(static_cast<double>(stored));
    if (!page.transactions.empty()) {
      age.observe(std::chrono::duration<double>(clock.wall() - page.transactions.back().commit_time).count());
    }
    const std::lock_guard guard(mutex);
    state.versions += stored;
    if (page.interrupted) ++state.breaks;
  }

  void running() {
    const std::lock_guard guard(mutex);
    if (state.state == RelayState::kWaiting) log.info("history.goes_on");
    const std::uint64_t csns = behind_now();
    state.state = csns >= settings.far_behind ? RelayState::kFarBehind : RelayState::kRunning;
    state.reason.clear();
    behind.set(static_cast<double>(csns));
  }

  void failed(const Error& error) {
    const std::lock_guard guard(mutex);
    if (state.reason != error.message) log.warning("history.waits", {{"reason", error.message}, {"code", wire_name(error.code)}});
    state.state = RelayState::kWaiting;
    state.reason = error.message;
    behind.set(static_cast<double>(behind_now()));
  }

  /// With the mutex held. Csns of another term are far away by number alone: then this term's are counted, at least.
  std::uint64_t behind_now() const {
    if (told.csn <= state.position.csn) return 0;
    const Csn from = told.csn.term() == state.position.csn.term() ? state.position.csn : Csn::of(told.csn.term(), 0);
    return told.csn.value - from.value;
  }

  void set_position(const Cursor& cursor) {
    position = cursor;
    const std::lock_guard guard(mutex);
    state.position = cursor;
    stored.notify_all();
  }

  Csn told_csn() {
    const std::lock_guard guard(mutex);
    return told.csn;
  }
  bool stopping() {
    const std::lock_guard guard(mutex);
    return stop;
  }
  void pause(nanoseconds span) {
    std::unique_lock guard(mutex);
    wake.wait_for(guard, span, [this] { return stop; });
  }

  const RelaySettings settings;
  feed::Feed& feed;
  Authorship& authorship;
  const Clock& clock;
  Log& log;
  Counter& versions;
  Gauge& behind;
  Histogram& age;

  // The relay's thread only.
  VersionWriter writer;
  std::optional<Cursor> position;  // none: to be read
  Csn released;
  TimePoint released_at{};
  struct Asked {
    Csn transaction;
    RecordKey record;
    Author author;
  };
  std::optional<Asked> last_author;

  mutable std::mutex mutex;  // what follows
  std::condition_variable wake;
  mutable std::condition_variable stored;
  bool stop = true;
  Cursor told;
  Lsn passed;
  RelayStatus state;
  std::thread thread;
};

Relay::Relay(RelaySettings settings, feed::Feed& feed, Authorship& authorship, const Clock& clock, Log& log, Counters& counters)
    : impl_(std::make_unique<Impl>(std::move(settings), feed, authorship, clock, log, counters)) {}

Relay::~Relay() { stop(); }

void Relay::start(const Cursor& head) {
  {
    const std::lock_guard guard(impl_->mutex);
    if (!impl_->stop) return;
    impl_->stop = false;
    impl_->told = head;
    impl_->state.state = RelayState::kRunning;
  }
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

void Relay::stop() {
  {
    const std::lock_guard guard(impl_->mutex);
    impl_->stop = true;
  }
  impl_->wake.notify_all();
  impl_->stored.notify_all();
  if (impl_->thread.joinable()) impl_->thread.join();
  const std::lock_guard guard(impl_->mutex);
  impl_->state.state = RelayState::kStopped;
}

void Relay::advance(const Cursor& head) {
  {
    const std::lock_guard guard(impl_->mutex);
    impl_->told = head;
  }
  impl_->wake.notify_all();
}

void Relay::passed(Lsn lsn) {
  {
    const std::lock_guard guard(impl_->mutex);
    impl_->passed = lsn;
  }
  impl_->stored.notify_all();
}

RelayStatus Relay::status() const {
  const std::lock_guard guard(impl_->mutex);
  RelayStatus status = impl_->state;
  status.behind = impl_->behind_now();
  return status;
}

Status Relay::wait_for(Lsn lsn, Deadline deadline) const {
  Csn csn;
  {
    std::unique_lock guard(impl_->mutex);
    const auto reached = [&] { return impl_->stop || impl_->passed >= lsn; };
    if (!impl_->stored.wait_for(guard, deadline.left(impl_->clock), reached)) {
      return fail(ErrorCode::kTimedOut, phrase("wait for the versions: {}", msgid("the feed is behind")),
                  phrase("Try again in a moment; `verbund status` says how far behind they are."));
    }
    csn = impl_->told.csn;
  }
  return wait_for(csn, deadline);
}

Status Relay::wait_for(Csn csn, Deadline deadline) const {
  std::unique_lock guard(impl_->mutex);
  const bool reached = impl_->stored.wait_for(guard, deadline.left(impl_->clock), [&] { return impl_->stop || impl_->state.position.csn >= csn; });
  if (reached && impl_->state.position.csn >= csn) return {};
  const std::string reason = impl_->state.reason.empty() ? msgid("history is behind") : impl_->state.reason;
  return fail(ErrorCode::kTimedOut, phrase("wait for the versions: {}", reason), phrase("Try again in a moment; `verbund status` says how far behind they are."));
}

}  // namespace verbund::history
