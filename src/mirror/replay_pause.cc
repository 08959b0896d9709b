#include "mirror/replay_pause.h"

#include <thread>

#include "base/messages.h"

namespace verbund::mirror {
namespace {

using postgres::Connection;

constexpr milliseconds kLookEvery{50};
/// Log that holds a table is replayed on for so long before the next try.
constexpr milliseconds kGoOn{200};

Result<std::string> one(Connection& connection, std::string_view sql) {
  auto rows = connection.query(sql);
  if (!rows) return pass(rows);
  return std::string(rows->text(0, 0));
}

constexpr std::string_view kState = "SELECT pg_get_wal_replay_pause_state()";
constexpr std::string_view kTablesLocked =
    "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE a.backend_type = 'startup' AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'";

/// Errors: kTimedOut.
Status await_paused(Connection& connection, Deadline deadline, const Clock& clock) {
  while (true) {
    const auto state = one(connection, kState);
    if (!state) return std::unexpected(state.error());
    if (*state == "paused") return {};
    if (deadline.passed(clock)) return fail(ErrorCode::kTimedOut, phrase("pause the mirror's replay: it goes on"));
    std::this_thread::sleep_for(kLookEvery);
  }
}

}  // namespace

Result<ReplayPause> read_pause(Connection& mirror) {
  auto rows = mirror.query("SELECT pg_is_in_recovery() AND pg_get_wal_replay_pause_state() <> 'not paused', pg_last_wal_replay_lsn(), "
                           "greatest(0, coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0))::bigint WHERE pg_is_in_recovery()");
  if (!rows) return pass(rows);
  ReplayPause pause;
  if (rows->size() == 0) return pause;
  pause.paused = rows->text(0, 0) == "t";
  if (!rows->null(0, 1)) {
    const auto replayed = parse_lsn(rows->text(0, 1));
    if (!replayed) return std::unexpected(replayed.error());
    pause.replayed = *replayed;
  }
  const auto waiting = parse_u64(rows->text(0, 2));
  if (!waiting) return std::unexpected(waiting.error());
  pause.waiting_bytes = *waiting;
  return pause;
}

Status pause_replay(Connection& superuser, Deadline deadline, const Clock& clock) {
  const auto recovers = one(superuser, "SELECT pg_is_in_recovery()");
  if (!recovers) return std::unexpected(recovers.error());
  if (*recovers != "t") return fail(ErrorCode::kServerSetting, phrase("pause the mirror's replay: this PostgreSQL is no mirror's"));
  while (true) {
    if (auto asked = one(superuser, "SELECT pg_wal_replay_pause()"); !asked) return pass(asked);
    const auto paused = await_paused(superuser, deadline, clock);
    const auto locked = paused ? one(superuser, kTablesLocked) : Result<std::string>(std::unexpected(paused.error()));
    if (locked && *locked == "0") return {};
    if (auto resumed = resume_replay(superuser); !resumed) return resumed;
    if (!locked) return std::unexpected(locked.error());
    if (deadline.passed(clock)) return fail(ErrorCode::kTimedOut, phrase("pause the mirror's replay: tables are being changed all the time"));
    std::this_thread::sleep_for(kGoOn);
  }
}

Status resume_replay(Connection& superuser) {
  auto resumed = superuser.query("SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_replay_resume() END");
  return resumed ? Status{} : pass(resumed);
}

bool PauseBound::over(const ReplayPause& pause, TimePoint now) {
  if (!pause.paused) {
    since_.reset();
    return false;
  }
  if (!since_) since_ = now;
  return now - *since_ >= kLongest || pause.waiting_bytes >= kMostBytes;
}

}  // namespace verbund::mirror
