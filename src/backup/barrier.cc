#include "backup/barrier.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::backup {
namespace {

/// A feed that is further behind than this much time can make good is not waited for: the office stands still.
constexpr seconds kDrain{60};
/// Opening some connections takes a second; a held feed is not noticed by anybody within this time.
constexpr seconds kHold{20};

Result<Snapshot> take(OfficeDatabase database) {
  auto connection = postgres::Connection::open(database.settings);
  if (!connection) return pass(connection, phrase("snapshot of {}", database.settings.database));
  // It waits, idle, for as long as the dumps take.
  auto begun = connection->execute("SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0;"
                                   " BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (!begun) return pass(begun, phrase("snapshot of {}", database.settings.database));
  auto rows = connection->query("SELECT pg_export_snapshot(), pg_current_wal_insert_lsn()");
  if (!rows) return pass(rows, phrase("snapshot of {}", database.settings.database));
  std::string id(rows->text(0, 0)), lsn(rows->text(0, 1));
  return Snapshot{std::move(database), std::move(*connection), std::move(id), std::move(lsn)};
}

std::string text_of(const FeedGate::Held& held, bool still_held, const std::vector<Snapshot>& snapshots) {
  std::string text = "one snapshot each";
  if (!snapshots.empty()) text += " at LSN " + snapshots.back().lsn;
  if (held.held && still_held) return text + "; feed held at LSN " + held.lsn;
  if (held.held) return text + "; feed at LSN " + held.lsn + " or later, it was not held long enough";
  return text + "; feed not held: " + held.why_not;
}

}  // namespace

Result<Barrier> take_barrier(std::vector<OfficeDatabase> databases, FeedGate& gate, const Clock& clock) {
  std::ranges::stable_sort(databases, {}, &OfficeDatabase::kind);
  const auto held = gate.hold(Deadline::in(clock, kDrain), kHold);
  Barrier barrier;
  Status outcome;
  for (auto& database : databases) {
    auto snapshot = take(std::move(database));
    if (!snapshot) {
      outcome = pass(snapshot);
      break;
    }
    barrier.snapshots.push_back(std::move(*snapshot));
  }
  const bool still_held = !held.held || gate.release();
  if (!outcome) return pass(outcome);
  barrier.text = text_of(held, still_held, barrier.snapshots);
  return barrier;
}

}  // namespace verbund::backup
