#include <gmock/gmock.h>
#include <signal.h>
#include <netinet/in.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/log_sink.h"
#include "platform/os/process.h"
#include "platform/postgres/owned_server.h"
#include "testing/eventually.h"
#include "testing/scratch_directory.h"

namespace verbund::postgres {
namespace {

using ::testing::HasSubstr;
using verbund::testing::eventually;

class OwnedServerTest : public ::testing::Test {
 protected:
  OwnedServerTest() {
    settings_.directory = scratch_.path() / "pg";
    settings_.superuser_password = "it's \\secret";
    settings_.sync_initdb = false;
    settings_.settings = {{"shared_buffers", "16MB"}, {"fsync", "off"}};
  }
  ~OwnedServerTest() override { EXPECT_TRUE(server().clear_up(in(seconds{60}))); }
  OwnedServer server() { return {settings_, os::null_log(), clock_}; }
  Deadline in(nanoseconds span) const { return Deadline::in(clock_, span); }

  os::SystemClock clock_;
  verbund::testing::ScratchDirectory scratch_;
  OwnedServerSettings settings_;
};

TEST_F(OwnedServerTest, FindsAServerNewEnough) {
  const auto binaries = OwnedServer::find_binaries();
  ASSERT_TRUE(binaries);
  EXPECT_TRUE(std::filesystem::exists(*binaries / "initdb"));
}

TEST_F(OwnedServerTest, InitialisesOnceAndLeavesNoPasswordBehind) {
  auto mine = server();
  EXPECT_FALSE(mine.initialised());
  std::filesystem::create_directories(settings_.directory / "data.new");  // an earlier attempt was killed
  std::ofstream(settings_.directory / "data.new" / "half") << "x";
  const auto done = mine.initialise();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(mine.initialised());
  EXPECT_TRUE(mine.initialise());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(settings_.directory)) {
    if (entry.is_regular_file() && entry.file_size() < 100'000) {
      EXPECT_THAT(os::read_file(entry.path()).value_or(""), ::testing::Not(HasSubstr(settings_.superuser_password)));
    }
  }
  struct stat status {};
  ASSERT_EQ(::stat(mine.data_directory().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 077U, 0U);
}

TEST_F(OwnedServerTest, AsksForThePasswordOnTheSocketToo) {
  auto mine = server();
  ASSERT_TRUE(mine.initialise());
  const auto started = mine.start(in(seconds{60}));
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_TRUE(Connection::open(mine.connection("postgres")));
  auto wrong = mine.connection("postgres");
  wrong.password = "wrong";
  EXPECT_EQ(Connection::open(wrong).error().code, ErrorCode::kUnauthenticated);
  EXPECT_TRUE(mine.stop(StopMode::kFast, in(seconds{60})));
  EXPECT_TRUE(mine.stop(StopMode::kFast, in(seconds{60})));
  EXPECT_EQ(mine.running_pid(), 0);
}

TEST_F(OwnedServerTest, StartsAfterAKillWithBackendsLeftOver) {
  auto mine = server();
  ASSERT_TRUE(mine.initialise());
  ASSERT_TRUE(mine.start(in(seconds{60})));
  auto busy = Connection::open(mine.connection("postgres"));
  ASSERT_TRUE(busy);
  const int backend = busy->backend_pid();
  std::thread statement([&] { EXPECT_FALSE(busy->execute("DO $$ BEGIN LOOP END LOOP; END $$")); });
  auto observer = Connection::open(mine.connection("postgres"));
  ASSERT_TRUE(observer);
  EXPECT_TRUE(eventually([&] {
    return observer->query("SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", {std::to_string(backend)})->size() == 1;
  }));
  ASSERT_TRUE(os::signal_and_wait(mine.running_pid(), SIGKILL, in(seconds{30}), clock_));
  EXPECT_EQ(mine.running_pid(), 0);
  EXPECT_TRUE(os::process_start_time(backend));  // in a loop it does not notice
  const auto started = server().start(in(seconds{60}));
  EXPECT_TRUE(started) << started.error().message;
  statement.join();
  EXPECT_FALSE(os::process_start_time(backend));
}

// A page that the disk had changed survived a rejoin: pg_rewind copies what the log says has changed, and reads nothing else.
TEST_F(OwnedServerTest, FindsAPageThatIsNotAsItWasWritten) {
  auto mine = server();
  ASSERT_TRUE(mine.initialise());
  ASSERT_TRUE(mine.start(in(seconds{60})));
  std::filesystem::path table;
  {
    auto connection = Connection::open(mine.connection("postgres"));
    ASSERT_TRUE(connection);
    ASSERT_TRUE(connection->execute("CREATE TABLE victim AS SELECT n FROM generate_series(1, 1000) n; CHECKPOINT"));
    table = mine.data_directory() / connection->query("SELECT pg_relation_filepath('victim')")->text(0, 0);
    ASSERT_TRUE(connection->execute("INSERT INTO victim VALUES (1001)"));  // so that there is something to recover
  }
  ASSERT_TRUE(mine.stop(StopMode::kImmediate, in(seconds{30})));
  const auto go_on = [] { return true; };
  const auto good = mine.check_pages(go_on);
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_TRUE(mine.stopped_at()->clean) << "what was killed has been recovered";
  {
    std::fstream file(table, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4000);
    file.put('\x5a');
  }
  const auto bad = mine.check_pages(go_on);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::kDamaged) << bad.error().message;
  EXPECT_THAT(bad.error().message, HasSubstr(table.filename().string()));
  EXPECT_EQ(mine.check_pages([] { return false; }).error().code, ErrorCode::kCancelled);
}

TEST_F(OwnedServerTest, StopsTheOrphanOfAnotherLifeBeforeItStarts) {
  auto first = server();
  ASSERT_TRUE(first.initialise());
  ASSERT_TRUE(first.start(in(seconds{60})));
  const int orphan = first.running_pid();
  auto second = server();
  ASSERT_TRUE(second.start(in(seconds{60})));
  EXPECT_NE(second.running_pid(), orphan);
  EXPECT_FALSE(os::process_start_time(orphan));
}

// A node was killed when it had just started PostgreSQL. The next one found no pid file yet and started its own, which
// ended before the other's pid file: "it ended while it started".
TEST_F(OwnedServerTest, ClearsUpAServerThatHasNotComeToItsDirectoryYet) {
  ASSERT_TRUE(server().initialise());
  const auto program = OwnedServer::find_binaries().value() / "postgres";
  const auto data = (settings_.directory / "data").string();
  const int orphan = ::fork();
  if (orphan == 0) {
    // Stops behind its exec, before the program's first step.
    if (::chdir("/") == 0 && ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0) {
      ::execl(program.c_str(), program.c_str(), "-D", data.c_str(), nullptr);
    }
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(orphan, &status, 0), orphan);
  if (!WIFSTOPPED(status)) GTEST_SKIP() << "this machine lets no process be traced";
  ASSERT_EQ(::ptrace(PTRACE_DETACH, orphan, nullptr, SIGSTOP), 0);
  auto mine = server();
  EXPECT_EQ(mine.running_pid(), 0) << "no pid file";
  const auto started = mine.start(in(seconds{60}));
  EXPECT_TRUE(started) << started.error().message;
  EXPECT_FALSE(os::process_start_time(orphan));
}

TEST_F(OwnedServerTest, SaysThatThePortIsTaken) {
  settings_.listen_addresses = "127.0.0.1";
  auto mine = server();
  ASSERT_TRUE(mine.initialise());
  // A listener of our own on a port that the kernel chose.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  settings_.port = ntohs(address.sin_port);
  const auto started = server().start(in(seconds{60}));
  ::close(listener);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::kInUse) << started.error().message;
}

TEST_F(OwnedServerTest, RefusesAnUninitialisedDirectoryAndALongSocketName) {
  EXPECT_EQ(server().start(in(seconds{1})).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(server().initialise());
  const auto deep = scratch_.path() / std::string(90, 'd');
  std::filesystem::rename(settings_.directory, deep);
  settings_.directory = deep;
  const auto started = server().start(in(seconds{1}));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::kServerSetting);
  EXPECT_THAT(started.error().hint, HasSubstr("shorter"));
}

TEST_F(OwnedServerTest, NamesTheDirectoryThatTheServersUserMayNotEnter) {
  if (!os::running_as_root()) GTEST_SKIP() << "only root runs the server as somebody else";
  ASSERT_EQ(::chmod(scratch_.path().c_str(), 0700), 0);
  const auto done = server().initialise();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kServerSetting);
  EXPECT_THAT(done.error().hint, HasSubstr("chmod o+x " + scratch_.path().string()));
}

}  // namespace
}  // namespace verbund::postgres
