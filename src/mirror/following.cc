#include "mirror/following.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::mirror {
namespace {

using postgres::Connection;

constexpr std::uint64_t kGigabyte = 1ULL << 30U;

Result<Lsn> lsn_at(const postgres::Rows& rows, int column) {
  if (rows.null(0, column)) return Lsn{};
  return parse_lsn(rows.text(0, column));
}

Result<std::uint64_t> number(Connection& connection, std::string_view sql) {
  auto rows = connection.query(sql);
  if (!rows) return pass(rows);
  return parse_u64(rows->text(0, 0));
}

Result<bool> exists(Connection& connection, std::string_view sql, const std::string& name) {
  auto rows = connection.query(sql, {name});
  if (!rows) return pass(rows);
  return rows->size() != 0;
}

constexpr std::string_view kRole = "SELECT 1 FROM pg_roles WHERE rolname = $1";
constexpr std::string_view kSlot = "SELECT 1 FROM pg_replication_slots WHERE slot_name = $1";

}  // namespace

std::string mirror_role(Member member) { return fmt::format("verbund_mirror_{}", member); }

std::uint64_t slot_keep_bytes(std::uint64_t free_bytes) { return std::clamp(free_bytes / 2, kGigabyte, 100 * kGigabyte); }

Status admit_mirror(Connection& superuser, Member member, const std::string& password, std::uint64_t keep_bytes) {
  const std::string name = mirror_role(member);
  const std::string quoted = Connection::quote_identifier(name);
  const auto there = exists(superuser, kRole, name);
  if (!there) return std::unexpected(there.error());
  // A server that is told to wait for its mirror would wait here for the one that is let in.
  if (auto local = superuser.execute("SET synchronous_commit = local"); !local) return local;
  auto transaction = superuser.begin();
  if (!transaction) return pass(transaction);
  // Before the statement that holds a password, and apart from it: a text is logged whole when it comes in.
  auto silent = superuser.execute("SET LOCAL log_statement = 'none'; SET LOCAL log_min_duration_statement = -1; "
                                  "SET LOCAL log_min_error_statement = panic");
  if (!silent) return silent;
  std::string sql;
  if (!*there) sql = fmt::format("CREATE ROLE {};", quoted);
  sql += fmt::format("ALTER ROLE {} LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 8 PASSWORD {};", quoted,
                     Connection::quote_literal(password));
  // A mirror that rejoins asks for a checkpoint: pg_control of a server that was promoted names its new timeline only after the first one,
  // and pg_rewind reads it there.
  sql += fmt::format("GRANT pg_monitor, pg_checkpoint TO {};", quoted);
  // What pg_rewind asks for (its manual page, "Notes"): whoever has a copy of all files may read them.
  sql += fmt::format("GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean), pg_catalog.pg_stat_file(text, boolean), "
                     "pg_catalog.pg_read_binary_file(text), pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO {}", quoted);
  if (auto made = superuser.execute(sql); !made) return pass(made, phrase("make the role {}", name));
  if (auto committed = transaction->commit(); !committed) return pass(committed, phrase("make the role {}", name));
  const auto kept = exists(superuser, kSlot, name);
  if (!kept) return std::unexpected(kept.error());
  if (!*kept) {
    auto made = superuser.query("SELECT pg_create_physical_replication_slot($1, true)", {name});
    if (!made) return pass(made, phrase("make the replication slot {}", name));
  }
  const std::string limit = fmt::format("ALTER SYSTEM SET max_slot_wal_keep_size = '{}MB'", keep_bytes >> 20U);
  if (auto set = superuser.execute(limit); !set) return pass(set, "limit the log that slots keep");
  auto reloaded = superuser.query("SELECT pg_reload_conf()");
  if (!reloaded) return pass(reloaded);
  return {};
}

Status dismiss_mirror(Connection& superuser, Member member) {
  const std::string name = mirror_role(member);
  const auto there = exists(superuser, kRole, name);
  if (!there) return std::unexpected(there.error());
  // First, so that what is ended does not come back before the slot is dropped.
  if (*there) {
    auto barred = superuser.execute(fmt::format("ALTER ROLE {} NOLOGIN", Connection::quote_identifier(name)));
    if (!barred) return pass(barred, phrase("drop the role {}", name));
  }
  auto ended = superuser.query("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1", {name});
  if (!ended) return pass(ended);
  auto dropped = superuser.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", {name});
  if (!dropped) return pass(dropped, phrase("drop the replication slot {}", name));
  if (!*there) return {};
  const auto quoted = Connection::quote_identifier(name);
  if (auto gone = superuser.execute(fmt::format("DROP OWNED BY {0}; DROP ROLE {0}", quoted)); !gone) return pass(gone, phrase("drop the role {}", name));
  return {};
}

Result<Beat> read_beat(Connection& production) {
  // Three statements in this order. What has ended by the first has been written before the second; and what is begun after the
  // third is not written by the second. Not the flushed position: with synchronous_commit = off a commit is told before it is flushed.
  const auto finished = number(production, "SELECT pg_snapshot_xmin(pg_current_snapshot())");
  if (!finished) return std::unexpected(finished.error());
  auto rows = production.query("SELECT pg_current_wal_insert_lsn()");
  if (!rows) return pass(rows);
  const auto position = lsn_at(*rows, 0);
  if (!position) return std::unexpected(position.error());
  const auto begun = number(production, "SELECT pg_snapshot_xmax(pg_current_snapshot())");
  if (!begun) return std::unexpected(begun.error());
  return Beat{*position, *finished, *begun};
}

Result<SlotSafety> read_slot(Connection& production, Member member) {
  auto rows = production.query("SELECT active, wal_status = 'lost', "
                               "greatest(0, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0))::bigint, greatest(0, safe_wal_size), "
                               "coalesce(restart_lsn, '0/0') FROM pg_replication_slots WHERE slot_name = $1", {mirror_role(member)});
  if (!rows) return pass(rows);
  if (rows->size() == 0) return fail(ErrorCode::kNotFound, phrase("look at the replication slot {}: there is none", mirror_role(member)));
  SlotSafety slot;
  slot.active = rows->text(0, 0) == "t";
  slot.lost = rows->text(0, 1) == "t";
  const auto kept = parse_u64(rows->text(0, 2));
  if (!kept) return std::unexpected(kept.error());
  slot.kept_bytes = *kept;
  const auto from = lsn_at(*rows, 4);
  if (!from) return std::unexpected(from.error());
  slot.from = *from;
  if (rows->null(0, 3)) return slot;
  const auto safe = parse_u64(rows->text(0, 3));
  if (!safe) return std::unexpected(safe.error());
  slot.safe_bytes = *safe;
  return slot;
}

Result<Received> read_received(Connection& mirror) {
  // Nothing received since its start: what it has replayed, from its own disk, is there too. A timeline is that of the last checkpoint
  // before anything was received.
  auto rows = mirror.query("SELECT pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), "
                           "coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint())), "
                           "EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'), pg_is_in_recovery()");
  if (!rows) return pass(rows);
  const auto received = lsn_at(*rows, 0);
  const auto replayed = lsn_at(*rows, 1);
  const auto timeline = parse_u64(rows->text(0, 2));
  if (!received) return std::unexpected(received.error());
  if (!replayed) return std::unexpected(replayed.error());
  if (!timeline) return std::unexpected(timeline.error());
  return Received{.received = std::max(*received, *replayed), .replayed = *replayed,
                  .timeline = static_cast<std::uint32_t>(*timeline), .streaming = rows->text(0, 3) == "t",
                  .in_recovery = rows->text(0, 4) == "t"};
}

}  // namespace verbund::mirror
