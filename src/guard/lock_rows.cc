#include "guard/lock_rows.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/postgres/arrays.h"

namespace verbund::guard {
namespace {

using postgres::Connection;

/// Longer than any backend needs to notice that it has been terminated, unless its machine hangs.
constexpr seconds kTerminationBound{5};

/// What PostgreSQL says about those for whom the connection `pid` waits now.
Result<std::vector<Blocker>> blockers_of(Connection& observer, int pid) {
  auto rows = observer.query(
      "SELECT b.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(host(a.client_addr), '')"
      "  FROM unnest(pg_blocking_pids($1::int)) AS b (pid) LEFT JOIN pg_stat_activity AS a ON a.pid = b.pid",
      {std::to_string(pid)});
  if (!rows) return pass(rows, "find who blocks a lock row");
  std::vector<Blocker> blockers;
  for (int row = 0; row < rows->size(); ++row) {
    blockers.push_back({static_cast<int>(parse_u64(rows->text(row, 0)).value_or(0)), std::string(rows->text(row, 1)),
                        std::string(rows->text(row, 2)), std::string(rows->text(row, 3)), false});
  }
  return blockers;
}

/// Terminates those that are new; false: there is one that can't be.
Status terminate(Connection& observer, const std::vector<Blocker>& found, std::vector<Blocker>& all) {
  for (const auto& blocker : found) {
    if (std::ranges::find(all, blocker.pid, &Blocker::pid) != all.end()) continue;
    all.push_back(blocker);
    if (blocker.pid == 0) {
      return fail(ErrorCode::kTimedOut, phrase("write a lock row: a prepared transaction has read it"),
                  phrase("find it in pg_prepared_xacts and COMMIT or ROLLBACK PREPARED it"));
    }
    auto ended = observer.query("SELECT pg_terminate_backend($1::int)", {std::to_string(blocker.pid)});
    if (!ended) return pass(ended, "terminate a connection that blocks a lock row");
    all.back().terminated = ended->text(0, 0) == "t";
  }
  return {};
}

}  // namespace

postgres::ConnectionSettings writer_settings(postgres::ConnectionSettings source) {
  source.application_name = "verbund guard";
  // Local: a lock is granted also when a synchronous mirror does not answer.
  source.options += " options='-c synchronous_commit=local -c search_path=pg_catalog -c statement_timeout=10s -c lock_timeout=5s'";
  return source;
}

Result<std::vector<LockOutcome>> write_locks(Connection& source, std::span<const LockWrite> writes) {
  std::vector<std::string> types, ids, tokens, sessions;
  for (const auto& write : writes) {
    types.push_back(write.key.type);
    ids.push_back(write.key.id);
    tokens.push_back(fmt::format("{}{}", write.kind == LockWrite::Kind::kOver ? "-" : "", write.token.value));
    sessions.push_back(std::to_string(write.session.value));
  }
  auto rows = source.query(
      "SELECT place, outcome FROM verbund_guard.write($1::text[], $2::text[], $3::bigint[], $4::bigint[])",
      {postgres::array_literal(types), postgres::array_literal(ids), postgres::array_literal(tokens), postgres::array_literal(sessions)});
  if (!rows) return pass(rows, "write the guard's lock table");
  std::vector<LockOutcome> outcomes(writes.size(), LockOutcome::kWritten);
  for (int row = 0; row < rows->size(); ++row) {
    const auto place = parse_u64(rows->text(row, 0)).value_or(0);
    if (place == 0 || place > outcomes.size()) continue;
    outcomes[place - 1] = rows->text(row, 1) == "blocked" ? LockOutcome::kBlocked : LockOutcome::kNewer;
  }
  return outcomes;
}

Result<std::vector<LockRow>> read_locks(Connection& source) {
  auto rows = source.query("SELECT type, id, token, session, (extract(epoch FROM since) * 1000000)::bigint FROM verbund_guard.lock");
  if (!rows) return pass(rows, "read the guard's lock table");
  std::vector<LockRow> locks;
  for (int row = 0; row < rows->size(); ++row) {
    locks.push_back({{std::string(rows->text(row, 0)), std::string(rows->text(row, 1))},
                     {parse_u64(rows->text(row, 2)).value_or(0)},
                     {parse_u64(rows->text(row, 3)).value_or(0)},
                     WallTime{microseconds{static_cast<std::int64_t>(parse_u64(rows->text(row, 4)).value_or(0))}}});
  }
  return locks;
}

Result<std::uint64_t> forget_tokens_from(Connection& source, FencingToken first) {
  auto gone = source.query("DELETE FROM verbund_guard.lock WHERE token >= $1::bigint", {std::to_string(first.value)});
  if (!gone) return pass(gone, "look at the guard's lock table");
  return gone->affected();
}

Result<std::vector<Blocker>> terminate_blockers(Connection& waiter, Connection& observer, const RecordKey& key,
                                                const Clock& clock) {
  // PostgreSQL names the blockers of whoever waits, so one waits.
  std::atomic<bool> over = false;
  Status waited;
  const int pid = waiter.backend_pid();
  std::jthread waiting([&] {
    auto rows = waiter.query("SELECT FROM verbund_guard.lock WHERE type = $1 AND id = $2 FOR UPDATE", {key.type, key.id});
    if (!rows) waited = pass(rows);
    over = true;
  });
  std::vector<Blocker> all;
  const auto deadline = clock.now() + kTerminationBound;
  Status outcome;
  while (!over && outcome && clock.now() < deadline) {
    auto found = blockers_of(observer, pid);
    outcome = found ? terminate(observer, *found, all) : Status(pass(found));
    std::this_thread::sleep_for(milliseconds{5});
  }
  if (!over) {
    if (auto cancelled = observer.query("SELECT pg_cancel_backend($1::int)", {std::to_string(pid)}); !cancelled && outcome) {
      outcome = pass(cancelled);
    }
  }
  waiting.join();
  if (!outcome) return pass(outcome);
  if (!waited) return pass(waited, "wait for a lock row");
  return all;
}

}  // namespace verbund::guard
