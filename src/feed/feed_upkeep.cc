#include "feed/catalog.h"
#include "base/messages.h"
#include "feed/feed_impl.h"
#include "feed/journal_parts.h"
#include "feed/keyless.h"

namespace verbund::feed {
namespace {

/// What was refused because of a lock or of open transactions is tried again this often.
constexpr seconds kTryAgainEvery{60};

}  // namespace

/// Keeps the journal bounded and sees what the log does not tell, until the feed stops.
void Feed::Impl::look_after() {
  auto tried = clock.now();
  auto looked = tried;
  while (!stopping) {
    {
      std::unique_lock guard(mutex);
      wake.wait_for(guard, std::min(settings.upkeep_every, settings.keys_looked_at_every), [this] { return stopping.load(); });
    }
    if (stopping) return;
    look_at_keys();
    if (clock.now() < looked + settings.upkeep_every) continue;
    looked = clock.now();
    look_at_key_trigger();
    prune();
    look_at_catalog();
    look_at_slot();
    if (clock.now() < tried + kTryAgainEvery) continue;
    tried = clock.now();
    {
      const std::lock_guard guard(mutex);
      try_again = std::ranges::any_of(tables, [](const TableStatus& table) { return table.state == TableState::kPaused; });
      if (!try_again) continue;
    }
    interrupt();
  }
}

void Feed::Impl::prune() {
  for (bool more = true; more && !stopping;) {
    auto lease = mid_tier.acquire(Deadline::in(clock, kAcquireConnection));
    if (!lease) return;  // the capture thread tells of a database that is gone
    auto pruned = prune_journal(**lease, {settings.journal_rows_kept, settings.journal_kept_for, settings.journal_kept_bytes});
    if (!pruned && pruned.error().code != ErrorCode::kTimedOut) log.warning("feed.prune_failed", {{"reason", pruned.error().message}});
    more = pruned && *pruned;
  }
}

/// Whatever state capture is in: the application's UPDATE fails until the table is out of the publication.
void Feed::Impl::look_at_keys() {
  {
    const std::lock_guard guard(mutex);
    if (keys_watched) return;
  }
  auto lease = source.acquire(Deadline::in(clock, kAcquireConnection));
  if (!lease) return;
  auto released = release_keyless(**lease, settings.publication, log);
  std::string trouble = released ? std::string() : released.error().message;
  if (!released && trouble != key_trouble) log.warning("feed.keyless_published", {{"reason", trouble}});
  key_trouble = std::move(trouble);
}

/// A person may have dropped or disabled it, or made it in our place.
void Feed::Impl::look_at_key_trigger() {
  auto lease = source.acquire(Deadline::in(clock, kAcquireConnection));
  if (!lease) return;
  auto watched = keep_key_trigger(**lease, settings.publication, log);
  const std::lock_guard guard(mutex);
  keys_watched = watched && *watched;
}

/// Not all that is done to a table shows in the log: a column that is dropped and made anew, a rewrite, a partition that is
/// attached. Capture first passes all that was there when it was noticed: it may have understood by then, and what it has
/// applied need not be found by comparing.
void Feed::Impl::look_at_catalog() {
  CatalogQuestion question;
  std::string before;
  {
    const std::lock_guard guard(mutex);
    if (status.state != FeedState::kRunning || look_again) return;
    question = catalog;
    before = catalog_mark;
  }
  auto lease = source.acquire(Deadline::in(clock, kAcquireConnection));
  if (!lease) return;
  auto mark = table_mark(**lease, question);
  auto publication = mark ? publication_mark(**lease, question.publication) : Result<std::string>(std::string());
  if (!mark || !publication) {
    log.warning("feed.catalog_unread", {{"reason", mark ? publication.error().message : mark.error().message}});
    return;
  }
  if (*mark + '|' + *publication == before) {
    noticed_at.reset();
    const std::lock_guard guard(mutex);
    look_again = !unconfirmed.empty() && status.passed >= seen;
    if (look_again && running != nullptr) running->interrupt();
    return;
  }
  if (!noticed_at) {
    auto rows = (**lease).query("SELECT pg_current_wal_insert_lsn()");
    auto lsn = rows ? parse_lsn(rows->text(0, 0)) : Result<Lsn>(std::unexpected(rows.error()));
    if (lsn) noticed_at = *lsn;
    return;
  }
  {
    const std::lock_guard guard(mutex);
    if (status.passed < *noticed_at || catalog_mark != before) return;
    look_again = true;
  }
  noticed_at.reset();
  log.info("feed.catalog_changed", {});
  interrupt();
}

/// A slot that nobody reads, or that is read too slowly, fills the source's disk, until the server gives it up.
void Feed::Impl::look_at_slot() {
  auto lease = source.acquire(Deadline::in(clock, kAcquireConnection));
  if (!lease) return;
  auto rows = (**lease).query(
      "SELECT coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint, coalesce(wal_status, 'lost'), coalesce(safe_wal_size, -1)"
      "  FROM pg_replication_slots WHERE slot_name = $1",
      {settings.slot});
  if (!rows || rows->size() == 0) return;  // the capture thread tells of a slot that is gone
  const std::uint64_t bytes = parse_u64(rows->text(0, 0)).value_or(0);
  const std::string_view state = rows->text(0, 1);
  std::string alarm;
  if (state == "lost") {
    alarm = msgid("the server has removed WAL that the slot needed");
  } else if (state == "unreserved") {
    alarm = msgid("the server may remove WAL that the slot needs at its next checkpoint");
  } else if (bytes > settings.lag_warn_bytes) {
    alarm = translated(Language::kEnglish, "the server keeps {} MB of WAL for the slot", bytes / 1'000'000);
  }
  kept.set(static_cast<double>(bytes));
  bool turned = false;
  {
    const std::lock_guard guard(mutex);
    turned = status.alarm.empty() != alarm.empty();
    status.kept_bytes = bytes;
    status.alarm = alarm;
  }
  if (turned) {
    log.warning("feed.lag_alarm", {{"state", alarm.empty() ? "over" : "on"}, {"kept_bytes", bytes}, {"wal_status", state},
                                   {"bytes_left", rows->text(0, 2)}, {"reason", alarm}});
  }
  // The bytes in its text change all the time: clients are told of its kind.
  const std::string kind = bytes > settings.lag_warn_bytes && state != "lost" && state != "unreserved" ? "lag" : alarm;
  if (events.on_alarm && kind != alarm_told) events.on_alarm(alarm);
  alarm_told = kind;
}

}  // namespace verbund::feed
