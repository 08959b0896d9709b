#include "node/mirror/pair_server.h"

#include <thread>

#include "base/messages.h"
#include "mirror/following.h"
#include "node/command_server.h"
#include "node/provision.h"
#include "platform/os/file.h"
#include "platform/postgres/live_settings.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
using postgres::Connection;
using postgres::OwnedServer;

constexpr seconds kPatience{3}, kStart{300}, kStop{60}, kDrain{5}, kPromote{60}, kReceiverEnds{5};
constexpr seconds kCheckpoint{25};         ///< of production before a switchover, which gives up after 30
constexpr milliseconds kLookEvery{20};


/// Client backends of others in a transaction that is not of this moment.
constexpr std::string_view kLongTransactions =
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND usename <> 'verbund_node'"
    " AND xact_start < clock_timestamp() - interval '200 milliseconds'";

}  // namespace

Status PairServer::checkpoint_at(const postgres::ConnectionSettings& server, seconds patience) {
  auto connection = Connection::open(server, kPatience);
  if (!connection) return pass(connection);
  if (auto bounded = connection->execute(fmt::format("SET statement_timeout = '{}s'", patience.count())); !bounded) return bounded;
  return connection->execute("CHECKPOINT");
}

PairServer::PairServer(const Installation& installation, mirror::Agent& agent, const Clock& clock, Log& log)
    : installation_(installation), agent_(agent), clock_(clock), log_(log) {}

bool PairServer::standby() const {
  std::error_code ignored;
  return fs::exists(installation_.directory() / "postgres" / "data" / "standby.signal", ignored);
}

/// Under looking_.
Result<mirror::Beat> PairServer::beat(bool standby) {
  if (!connection_ || !connection_->healthy()) {
    connection_.reset();
    auto settings = CommandServer::connection(installation_, "postgres");
    if (!settings) return pass(settings);
    auto opened = Connection::open(*settings, kPatience);
    if (!opened) return pass(opened);
    if (auto bounded = opened->execute("SET statement_timeout = '3s'"); !bounded) return pass(bounded);
    connection_ = std::move(*opened);
  }
  if (!standby) return mirror::read_beat(*connection_);
  const auto received = mirror::read_received(*connection_);
  if (!received) return std::unexpected(received.error());
  timeline_ = received->timeline;
  return mirror::Beat{received->received, 0, 0};
}

mirror::ServerFacts PairServer::facts() {
  mirror::ServerFacts facts;
  const std::lock_guard guard(looking_);
  facts.running = agent_.state() == mirror::ServerState::kRunning;
  facts.standby = standby();
  if (facts.running) {
    ended_.reset();
    if (const auto now = beat(facts.standby)) facts.beat = *now;  // else not known: 0
    return facts;
  }
  connection_.reset();
  if (facts.standby) return facts;
  if (!ended_ || ended_in_ != life_) {
    ended_.reset();
    ended_in_ = life_;
    mirror::Beat end;
    const auto read = agent_.with_server([&](OwnedServer& server) -> Status {
      if (server.running_pid() != 0 || !server.initialised()) return {};
      const auto stopped = server.stopped_at();
      if (!stopped) return std::unexpected(stopped.error());
      timeline_ = stopped->timeline;
      if (stopped->clean) end = {stopped->end, stopped->next_transaction, stopped->next_transaction};
      return {};
    });
    if (!read) {  // the next look tries again
      log_.error("pair.end_unknown", {{"error", read.error().message}});
      return facts;
    }
    ended_ = end;
  }
  facts.beat = *ended_;
  return facts;
}

Result<std::string> PairServer::scalar(std::string_view sql, seconds patience) {
  auto settings = CommandServer::connection(installation_, "postgres");
  if (!settings) return pass(settings);
  auto connection = Connection::open(*settings, kPatience);
  if (!connection) return pass(connection);
  if (auto bounded = connection->execute(fmt::format("SET statement_timeout = '{}s'", patience.count())); !bounded) return pass(bounded);
  auto rows = connection->query(sql);
  if (!rows) return pass(rows);
  return rows->size() == 0 ? std::string() : std::string(rows->text(0, 0));
}

Status PairServer::checkpoint() {
  auto settings = CommandServer::connection(installation_, "postgres");
  if (!settings) return pass(settings);
  return checkpoint_at(*settings, kCheckpoint);
}

Status PairServer::drain() {
  const auto until = Deadline::in(clock_, kDrain);
  while (true) {
    const auto open = scalar(kLongTransactions, kPatience);
    if (!open) return std::unexpected(open.error());
    if (*open == "0") break;
    if (until.passed(clock_)) {
      log_.warning("pair.transactions_ended", {{"open", *open}});
      break;
    }
    std::this_thread::sleep_for(kLookEvery);
  }
  // The feed's own receiver would be waited for at the end; it reads on from where it was.
  const auto ended = scalar("SELECT count(pg_terminate_backend(active_pid)) FROM pg_replication_slots WHERE active AND slot_type = 'logical'", kPatience);
  return ended ? Status{} : std::unexpected(ended.error());
}

Status PairServer::stop() {
  auto stopped = agent_.stop(Deadline::in(clock_, kStop));
  ++life_;
  return stopped;
}

Status PairServer::start_with(Result<postgres::OwnedServerSettings> settings, bool as_mirror) {
  if (!settings) return pass(settings);
  auto used = agent_.with_server([&](OwnedServer& server) -> Status {
    if (auto done = server.use(std::move(*settings)); !done) return done;
    return as_mirror && server.running_pid() == 0 ? server.become_mirror() : Status{};
  });
  if (!used) return used;
  return agent_.start(Deadline::in(clock_, kStart));
}

Status PairServer::open(Term term, const std::optional<Peer>& peer) {
  if (standby()) return fail(ErrorCode::kInternal, phrase("open for writes: the data here are a mirror's"));
  if (auto begun = agent_.begin_term(term); !begun) return begun;
  if (auto started = start_with(production_server_settings(installation_), false); !started) return started;
  if (!peer) return {};
  auto secret = installation_.secret(kPairSecret);
  if (!secret) return pass(secret);
  const auto room = os::free_bytes(installation_.directory() / "postgres");
  if (!room) return std::unexpected(room.error());
  auto settings = CommandServer::connection(installation_, "postgres");
  if (!settings) return pass(settings);
  auto connection = Connection::open(*settings, kPatience);
  if (!connection) return pass(connection);
  return mirror::admit_mirror(*connection, peer->member, *secret, mirror::slot_keep_bytes(*room));
}

Status PairServer::follow(mirror::Member member, const Peer& peer) {
  if (agent_.state() == mirror::ServerState::kRunning && !standby()) return fail(ErrorCode::kInternal, phrase("follow: PostgreSQL runs here, and not as a mirror"));
  return start_with(mirror_server_settings(installation_, member, peer), true);
}

Status PairServer::await_no_receiver() {
  const auto until = Deadline::in(clock_, kReceiverEnds);
  while (true) {
    const auto receivers = scalar("SELECT count(*) FROM pg_stat_wal_receiver WHERE pid IS NOT NULL", kPatience);
    if (!receivers) return std::unexpected(receivers.error());
    if (*receivers == "0") return {};
    if (until.passed(clock_)) return fail(ErrorCode::kTimedOut, phrase("promote: PostgreSQL goes on receiving"));
    std::this_thread::sleep_for(kLookEvery);
  }
}

Status PairServer::promote(mirror::Member member, const Peer& peer) {
  if (!standby()) return {};  // it was promoted before this agent was killed
  if (agent_.state() != mirror::ServerState::kRunning) {
    if (auto started = follow(member, peer); !started) return started;
  }
  // What it was told as production in its time (whom commits wait for), or as a mirror in intervals, is none of the new production's.
  if (auto cleared = postgres::write_live_settings(installation_.directory() / "postgres", {}); !cleared) return cleared;
  auto promoted = leave_recovery();
  if (promoted) return promoted;
  // It may still do what it was asked: not while somebody else takes over since this one says that it has not.
  if (auto stopped = stop(); !stopped) log_.error("pair.not_stopped", {{"error", stopped.error().message}});
  return promoted;
}

Status PairServer::leave_recovery() {
  // Without where to receive from: nothing comes in after what was confirmed, and the settings are production's from now on.
  if (auto used = start_with(production_server_settings(installation_), false); !used) return used;
  if (auto ended = await_no_receiver(); !ended) return ended;
  const auto promoted = scalar(fmt::format("SELECT pg_promote(true, {})", kPromote.count()), kPromote + kPatience);
  if (!promoted) return std::unexpected(promoted.error());
  const auto until = Deadline::in(clock_, kPatience);
  while (standby() && !until.passed(clock_)) std::this_thread::sleep_for(kLookEvery);
  if (*promoted != "t" || standby()) return fail(ErrorCode::kTimedOut, phrase("promote: PostgreSQL is still in recovery"));
  return {};
}

}  // namespace verbund::node
