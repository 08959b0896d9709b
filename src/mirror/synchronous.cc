#include "mirror/synchronous.h"

#include <functional>
#include <thread>

#include "base/messages.h"
#include "mirror/following.h"
#include "platform/postgres/live_settings.h"

namespace verbund::mirror {
namespace {

using postgres::Connection;

constexpr const char* kNames = "synchronous_standby_names";
/// PostgreSQL takes any name with a dot for a setting of somebody's own.
constexpr const char* kPromises = "verbund.fall_back_ms";
constexpr milliseconds kLookEvery{20};

Status reload(Connection& connection) {
  auto reloaded = connection.query("SELECT pg_reload_conf()");
  return reloaded ? Status{} : pass(reloaded);
}

/// The postmaster tells its children before it starts another: a connection that begins with the new value begins after all were told.
Status await_names(const postgres::ConnectionSettings& superuser, const std::string& names, Deadline deadline, const Clock& clock) {
  while (true) {
    auto connection = Connection::open(superuser, seconds{3});
    if (!connection) return pass(connection);
    auto rows = connection->query("SELECT current_setting('synchronous_standby_names')");
    if (!rows) return pass(rows);
    if (rows->text(0, 0) == names) return {};
    if (deadline.passed(clock)) return fail(ErrorCode::kTimedOut, phrase("let commits wait for the mirror: PostgreSQL has not read its settings again"));
    std::this_thread::sleep_for(kLookEvery);
  }
}

}  // namespace

Result<SyncFacts> read_sync_facts(Connection& production, Member member) {
  auto rows = production.query("SELECT pg_current_wal_insert_lsn(), flush_lsn, reply_time FROM (SELECT 1) AS one LEFT JOIN pg_stat_replication "
                               "ON application_name = $1 AND state = 'streaming' ORDER BY flush_lsn NULLS FIRST LIMIT 1", {mirror_role(member)});
  if (!rows) return pass(rows);
  SyncFacts facts;
  const auto position = parse_lsn(rows->text(0, 0));
  if (!position) return std::unexpected(position.error());
  facts.position = *position;
  if (rows->null(0, 1)) return facts;
  const auto flushed = parse_lsn(rows->text(0, 1));
  if (!flushed) return std::unexpected(flushed.error());
  facts.flushed = *flushed;
  if (!rows->null(0, 2)) facts.word = std::hash<std::string_view>{}(rows->text(0, 2));
  return facts;
}

Result<std::uint64_t> waiting_commits(Connection& production) {
  auto rows = production.query("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
  if (!rows) return pass(rows);
  return parse_u64(rows->text(0, 0));
}

Result<Lsn> engage_mirror(const std::filesystem::path& server, const postgres::ConnectionSettings& superuser, Member member,
                          nanoseconds promises_of, nanoseconds within, const Clock& clock) {
  const std::string name = mirror_role(member);
  const auto promised = std::chrono::duration_cast<milliseconds>(promises_of).count();
  auto connection = Connection::open(superuser, seconds{3});
  if (!connection) return pass(connection);
  // So that the one below, during which commits wait already and nobody looks after them, is short.
  if (auto lighter = connection->execute("CHECKPOINT"); !lighter) return pass(lighter);
  const auto deadline = Deadline::in(clock, within);
  if (auto written = postgres::write_live_settings(server, {{kNames, name}, {kPromises, std::to_string(promised)}}); !written) return pass(written);
  if (auto told = reload(*connection); !told) return pass(told);
  if (auto taken = await_names(superuser, name, deadline, clock); !taken) return pass(taken);
  const auto left = std::max<std::int64_t>(1, std::chrono::duration_cast<milliseconds>(deadline.left(clock)).count());
  if (auto bounded = connection->execute(fmt::format("SET statement_timeout = {}", left)); !bounded) return pass(bounded);
  // The checkpointer reads its settings before it begins the checkpoint that is asked for here.
  if (auto proven = connection->execute("CHECKPOINT"); !proven) return pass(proven);
  auto rows = connection->query("SELECT pg_current_wal_insert_lsn()");
  if (!rows) return pass(rows);
  return parse_lsn(rows->text(0, 0));
}

Status release_mirror(const std::filesystem::path& server, Connection& superuser) {
  if (auto written = postgres::write_live_settings(server, {}); !written) return written;
  return reload(superuser);
}

Result<sync::Booted> found_engaged(const std::filesystem::path& server) {
  auto settings = postgres::read_live_settings(server);
  if (!settings) return pass(settings);
  sync::Booted booted;
  const auto names = settings->find(kNames);
  booted.engaged = names != settings->end() && !names->second.empty();
  const auto promised = settings->contains(kPromises) ? parse_u64(settings->at(kPromises)) : Result<std::uint64_t>{0};
  booted.promises_of = milliseconds{static_cast<std::int64_t>(promised.value_or(0))};
  return booted;
}

}  // namespace verbund::mirror
