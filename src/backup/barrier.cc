#include "backup/barrier.h"

#include <algorithm>

#include "backup/table_hashes.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

/// A feed that is further behind than this much time can make good is not waited for: the office stands still.
constexpr seconds kDrain{60};
/// Opening some connections takes a second; a held feed is not noticed by anybody within this time.
constexpr seconds kHold{20};

/// A table that goes while the others are locked: the whole is begun anew, so often.
constexpr int kTries = 5;
/// Well within kHold. Who waits longer is waited for by the dump itself.
constexpr int kLockPatienceMs = 5'000;

enum class Locking { kBefore, kByTheDump };

/// The feed drops parts of its journal at any time, and of a snapshot that knows a table that is gone no dump can be made: so
/// tables are locked before it is handed on. `sqlstate` of the lock that failed.
Result<Snapshot> take_once(const OfficeDatabase& database, Locking locking, std::string& sqlstate) {
  auto connection = postgres::Connection::open(database.settings);
  if (!connection) return pass(connection);
  // It waits, idle, for as long as the dumps take.
  auto begun = connection->execute(fmt::format("SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; SET lock_timeout = {};"
                                               " BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", kLockPatienceMs));
  if (!begun) return pass(begun);
  if (locking == Locking::kBefore) {
    auto tables = hashed_tables(*connection);
    if (!tables) return pass(tables);
    if (auto locked = lock_tables(*connection, *tables); !locked) {
      sqlstate = connection->last_sqlstate();
      return pass(locked);
    }
  }
  auto rows = connection->query("SELECT pg_export_snapshot(), CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END");
  if (!rows) return pass(rows);
  std::string id(rows->text(0, 0)), lsn(rows->text(0, 1));
  return Snapshot{database, std::move(*connection), std::move(id), std::move(lsn)};
}

Result<Snapshot> take(const OfficeDatabase& database) {
  auto locking = Locking::kBefore;
  for (int tries = 1;; ++tries) {
    std::string sqlstate;
    auto snapshot = take_once(database, locking, sqlstate);
    if (snapshot) return snapshot;
    const bool gone = sqlstate == "42P01", busy = sqlstate == "55P03";
    if (busy) locking = Locking::kByTheDump;
    if (!(gone || busy) || tries == kTries) return pass(snapshot, phrase("snapshot of {}", database.settings.database));
  }
}

std::string text_of(const FeedGate::Held& held, bool still_held, const std::vector<Snapshot>& snapshots) {
  const auto english = [](const Phrase& part) { return said(Language::kEnglish, part); };
  std::string text = snapshots.empty() ? msgid("one snapshot each") : english(phrase("one snapshot each at LSN {}", snapshots.back().lsn));
  text += "; ";
  if (held.mirror && held.held && still_held) return text + english(phrase("mirror paused at LSN {}", held.lsn));
  if (held.mirror && held.held) return text + english(phrase("mirror at LSN {} or later, it was not paused long enough", held.lsn));
  if (held.mirror) return text + english(phrase("mirror not paused: {}", held.why_not));
  if (held.held && still_held) return text + english(phrase("feed held at LSN {}", held.lsn));
  if (held.held) return text + english(phrase("feed at LSN {} or later, it was not held long enough", held.lsn));
  return text + english(phrase("feed not held: {}", held.why_not));
}

}  // namespace

Result<Barrier> take_barrier(std::vector<OfficeDatabase> databases, FeedGate& gate, const Clock& clock) {
  std::ranges::stable_sort(databases, {}, &OfficeDatabase::kind);
  const auto held = gate.hold(Deadline::in(clock, kDrain), kHold);
  Barrier barrier;
  Status outcome;
  for (const auto& database : databases) {
    auto snapshot = take(database);
    if (!snapshot) {
      outcome = pass(snapshot);
      break;
    }
    barrier.snapshots.push_back(std::move(*snapshot));
  }
  const bool still_held = !held.held || gate.release();
  if (!outcome) {
    gate.copied();
    return pass(outcome);
  }
  barrier.text = text_of(held, still_held, barrier.snapshots);
  return barrier;
}

}  // namespace verbund::backup
