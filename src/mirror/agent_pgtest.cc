#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mirror/agent.h"
#include "platform/os/clock.h"
#include "platform/os/log_sink.h"
#include "platform/os/process.h"
#include "platform/postgres/connection.h"
#include "platform/postgres/replication.h"
#include "testing/eventually.h"
#include "testing/scratch_directory.h"
#include "testing/scratch_postgres.h"

namespace verbund::mirror {
namespace {

using postgres::Connection;
using postgres::OwnedServer;
using verbund::testing::eventually;

class AgentTest : public ::testing::Test {
 protected:
  AgentTest() {
    settings_.directory = scratch_.path() / "pg";
    settings_.superuser_password = "scratch";
    settings_.sync_initdb = false;
    settings_.settings = {{"shared_buffers", "16MB"}, {"fsync", "off"}};
  }
  ~AgentTest() override {
    OwnedServer server(settings_, os::null_log(), clock_);
    EXPECT_TRUE(server.stop(postgres::StopMode::kImmediate, in(seconds{30})));
    EXPECT_TRUE(server.clear_up(in(seconds{30})));
  }

  Deadline in(nanoseconds span) const { return Deadline::in(clock_, span); }
  std::unique_ptr<Agent> agent() {
    auto made = Agent::own(scratch_.path(), settings_, os::null_log(), clock_);
    if (!made) throw std::runtime_error(made.error().message);
    return std::move(*made);
  }
  int postmaster() const { return OwnedServer(settings_, os::null_log(), clock_).running_pid(); }
  postgres::ConnectionSettings superuser() const {
    return OwnedServer(settings_, os::null_log(), clock_).connection("postgres");
  }
  std::string one(std::string_view sql) {
    auto connection = Connection::open(superuser());
    if (!connection) return "error: " + connection.error().message;
    auto rows = connection->query(sql);
    return rows ? std::string(rows->text(0, 0)) : "error: " + rows.error().message;
  }
  std::size_t journal_lines() const {
    const auto text = os::read_file(scratch_.path() / "agent" / "journal");
    return text ? static_cast<std::size_t>(std::ranges::count(*text, '\n')) : 0;
  }
  /// The journal's last entry says that the server runs.
  bool has_started() const {
    const auto text = os::read_file(scratch_.path() / "agent" / "journal");
    if (!text || text->empty()) return false;
    const auto last = text->substr(text->rfind('\n', text->size() - 2) + 1);
    return last.find(" start done") != std::string::npos || last.find(" run ") != std::string::npos;
  }
  /// An agent in a process of its own, which starts the server and then waits to be killed.
  int fork_agent() {
    const int pid = ::fork();
    if (pid != 0) return pid;
    auto mine = Agent::own(scratch_.path(), settings_, os::null_log(), clock_);
    if (!mine || !(*mine)->start(in(seconds{60}))) ::_exit(1);
    for (;;) ::pause();
  }
  static void kill_process(int pid) {
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  }

  os::SystemClock clock_;
  verbund::testing::ScratchDirectory scratch_;
  postgres::OwnedServerSettings settings_;
};

TEST_F(AgentTest, InitialisesStartsAndStops) {
  std::vector<ServerState> seen;
  auto mine = agent();
  mine->on_change([&](ServerState state, const std::string&) { seen.push_back(state); });
  const auto started = mine->start(in(seconds{60}));
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(one("SHOW wal_level"), "logical");
  EXPECT_EQ(one("SHOW data_checksums"), "on");
  EXPECT_EQ(one("SHOW max_slot_wal_keep_size"), "4GB");
  EXPECT_EQ(one("SHOW listen_addresses"), "");
  EXPECT_EQ(one("SHOW password_encryption"), "scram-sha-256");
  EXPECT_EQ(one("SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'verbund'"), "t");
  ASSERT_TRUE(mine->stop(in(seconds{60})));
  EXPECT_EQ(postmaster(), 0);
  mine.reset();
  using enum ServerState;
  EXPECT_THAT(seen, ::testing::ElementsAre(kInitialising, kStarting, kRunning, kStopping, kStopped));
}

TEST_F(AgentTest, SecondStartFindsEverything) {
  for (int i = 0; i < 2; ++i) {
    auto mine = agent();
    ASSERT_TRUE(mine->start(in(seconds{60})));
    ASSERT_TRUE(Connection::open(superuser())->execute("CREATE TABLE IF NOT EXISTS t AS SELECT 7 AS x"));
    EXPECT_EQ(one("SELECT x FROM t"), "7");
    EXPECT_EQ(mine->next_epoch()->start_count, i + 1);
    ASSERT_TRUE(mine->stop(in(seconds{60})));
  }
}

TEST_F(AgentTest, OnlyOneAgentPerDirectory) {
  auto mine = agent();
  const auto second = Agent::own(scratch_.path(), settings_, os::null_log(), clock_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kInUse);
}

TEST_F(AgentTest, RestartsAPostmasterThatWasKilled) {
  auto mine = agent();
  ASSERT_TRUE(mine->start(in(seconds{60})));
  ASSERT_TRUE(Connection::open(superuser())->execute("CREATE TABLE t AS SELECT 7 AS x"));
  const int first = postmaster();
  // A backend in the middle of a statement outlives its postmaster and holds the shared memory.
  auto busy = Connection::open(superuser());
  ASSERT_TRUE(busy);
  std::thread statement([&] { EXPECT_FALSE(busy->execute("DO $$ BEGIN LOOP END LOOP; END $$")); });
  ASSERT_TRUE(eventually([&] { return one("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()") == "1"; }));
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  statement.join();
  ASSERT_TRUE(eventually([&] { return mine->state() == ServerState::kRunning && postmaster() != 0 && postmaster() != first; }));
  EXPECT_EQ(one("SELECT x FROM t"), "7");
  ASSERT_TRUE(mine->stop(in(seconds{60})));
}

TEST_F(AgentTest, KilledBackendIsPostgresOwnAffair) {
  auto mine = agent();
  ASSERT_TRUE(mine->start(in(seconds{60})));
  const int first = postmaster();
  auto victim = Connection::open(superuser());
  ASSERT_TRUE(victim);
  ASSERT_EQ(::kill(victim->backend_pid(), SIGKILL), 0);
  EXPECT_TRUE(eventually([&] { return one("SELECT 1") == "1"; }));
  EXPECT_EQ(victim->query("SELECT 1").error().code, ErrorCode::kDatabaseDown);
  EXPECT_EQ(postmaster(), first);
  EXPECT_EQ(mine->state(), ServerState::kRunning);
  ASSERT_TRUE(mine->stop(in(seconds{60})));
}

TEST_F(AgentTest, StopsTheServerThatAKilledNodeLeftRunning) {
  const int child = fork_agent();
  ASSERT_TRUE(eventually([&] { return journal_lines() == 4; }));
  const int orphan = postmaster();
  ASSERT_NE(orphan, 0);
  kill_process(child);
  EXPECT_EQ(postmaster(), orphan);  // it has a session of its own
  auto mine = agent();
  const auto started = mine->start(in(seconds{60}));
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_NE(postmaster(), orphan);
  EXPECT_FALSE(os::process_start_time(orphan));
  EXPECT_EQ(one("SELECT 1"), "1");
  ASSERT_TRUE(mine->stop(in(seconds{60})));
}

TEST_F(AgentTest, GoesOnWhereAnAgentKilledAtAnyEntryStood) {
  for (std::size_t lines = 1; lines <= 3; ++lines) {
    const std::size_t before = journal_lines();
    const int child = fork_agent();
    // Where the one before was killed decides how many entries are left to write: one that is through writes no more.
    ASSERT_TRUE(eventually([&] { return journal_lines() >= before + lines || (journal_lines() > before && has_started()); }));
    kill_process(child);
  }
  auto mine = agent();
  const auto started = mine->start(in(seconds{60}));
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(one("SELECT 1"), "1");
  ASSERT_TRUE(mine->stop(in(seconds{60})));
  EXPECT_EQ(postmaster(), 0);
}

TEST_F(AgentTest, StalePidFileOfAReusedPidHurtsNobody) {
  auto mine = agent();
  ASSERT_TRUE(mine->start(in(seconds{60})));
  ASSERT_TRUE(mine->stop(in(seconds{60})));
  // Our own pid: alive, but no postgres of this directory.
  ASSERT_TRUE(os::write_file_atomically(settings_.directory / "data" / "postmaster.pid",
                                        fmt::format("{}\n{}\n", ::getpid(), (settings_.directory / "data").string())));
  const auto started = mine->start(in(seconds{60}));
  ASSERT_TRUE(started) << started.error().message;
  ASSERT_TRUE(mine->stop(in(seconds{60})));
}

TEST_F(AgentTest, NamesWhatKeepsAServerFromStarting) {
  settings_.settings["shared_buffers"] = "no number";
  auto mine = agent();
  const auto started = mine->start(in(seconds{60}));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::kServerSetting);
  EXPECT_THAT(started.error().message, ::testing::HasSubstr("shared_buffers"));
  EXPECT_EQ(mine->state(), ServerState::kStopped);
}

TEST_F(AgentTest, StopsEvenWhenAReplicationClientDoesNotAnswer) {
  auto mine = agent();
  ASSERT_TRUE(mine->start(in(seconds{60})));
  auto stream = postgres::ReplicationStream::open(superuser());
  ASSERT_TRUE(stream);
  const auto slot = stream->create_slot("silent");
  ASSERT_TRUE(slot);
  ASSERT_TRUE(Connection::open(superuser())->execute("CREATE PUBLICATION feed"));
  ASSERT_TRUE(stream->start(slot->name, slot->consistent_point, "feed"));
  ASSERT_TRUE(Connection::open(superuser())->execute("CREATE TABLE t AS SELECT 7 AS x"));
  const Deadline deadline = in(seconds{6});
  ASSERT_TRUE(mine->stop(deadline));
  EXPECT_FALSE(deadline.passed(clock_));
}

TEST_F(AgentTest, WatchesAServerOfSomebodyElse) {
  auto& server = verbund::testing::ScratchPostgres::shared();
  auto watcher = Agent::watch(scratch_.path(), server.superuser(), os::null_log(), clock_);
  ASSERT_TRUE(watcher);
  ASSERT_TRUE((*watcher)->start(in(seconds{30})));
  const int pid = server.postmaster_pid();
  server.kill_immediate();
  EXPECT_TRUE(eventually([&] { return (*watcher)->state() == ServerState::kCrashed; }));
  server.restart();
  EXPECT_TRUE(eventually([&] { return (*watcher)->state() == ServerState::kRunning; }));
  ASSERT_TRUE((*watcher)->stop(in(seconds{30})));
  EXPECT_NE(server.postmaster_pid(), 0);
  EXPECT_NE(server.postmaster_pid(), pid);
  auto wrong = server.superuser();
  wrong.password = "wrong";
  watcher->reset();
  auto refused = Agent::watch(scratch_.path(), wrong, os::null_log(), clock_);
  EXPECT_EQ((*refused)->start(in(seconds{30})).error().code, ErrorCode::kUnauthenticated);
}

}  // namespace
}  // namespace verbund::mirror
