// A device whose process is killed before any of its SQL statements: the next one goes on, nothing is lost and nothing done twice.
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "sync/device_scene.h"

namespace verbund::sync {
namespace {

using server::testing_scene::SyncScene;

long statements_left = 0;  // in the child alone

int before_statement(unsigned, void*, void*, void*) {
  if (--statements_left == 0) ::kill(::getpid(), SIGKILL);
  return 0;
}
int watch_statements(sqlite3* database, const char**, const sqlite3_api_routines*) { return sqlite3_trace_v2(database, SQLITE_TRACE_STMT, before_statement, nullptr); }

bool write_all(int to, const void* bytes, std::size_t size) {
  for (std::size_t at = 0; at < size;) {
    const auto wrote = ::send(to, static_cast<const char*>(bytes) + at, size - at, MSG_NOSIGNAL);
    if (wrote <= 0) return false;
    at += static_cast<std::size_t>(wrote);
  }
  return true;
}
bool read_all(int from, void* bytes, std::size_t size) {
  for (std::size_t at = 0; at < size;) {
    const auto got = ::recv(from, static_cast<char*>(bytes) + at, size - at, 0);
    if (got <= 0) return false;
    at += static_cast<std::size_t>(got);
  }
  return true;
}
bool write_text(int to, const std::string& text) {
  const std::uint64_t size = text.size();
  return write_all(to, &size, sizeof size) && write_all(to, text.data(), text.size());
}
bool read_text(int from, std::string& text) {
  std::uint64_t size = 0;
  if (!read_all(from, &size, sizeof size)) return false;
  text.resize(size);
  return read_all(from, text.data(), text.size());
}

/// To the process that has the server.
class Line final : public DeviceTransport {
 public:
  explicit Line(int socket) : socket_(socket) {}
  Result<DeviceAnswer> call(const DeviceCall& call, std::stop_token) override {
    DeviceAnswer answer;
    std::uint64_t status = 0;
    const bool done = write_text(socket_, call.method) && write_text(socket_, call.target) && write_text(socket_, call.authorization) && write_text(socket_, call.body) &&
                      read_all(socket_, &status, sizeof status) && read_text(socket_, answer.body);
    if (!done) return fail(ErrorCode::kNotReachable, "the line is cut");
    answer.status = static_cast<int>(status);
    return answer;
  }

 private:
  int socket_;
};

/// A device of which this process has no connection open when it forks: SQLite forbids to carry one over.
class KilledTablet {
 public:
  enum class End { kKilled, kSucceeded, kFailed };

  explicit KilledTablet(SyncScene& scene) : scene_(scene), file_(directory_.path() / "tablet.db") {
    testing_scene::Loopback line(scene);
    if (auto made = device::Device::enrol(file_, {{"server"}, ""}, {"anna", "Tablet"}, line, clock_); !made) throw std::runtime_error(made.error().message);
  }

  /// Killed before its `limit`th statement; 0: never.
  End sync(long limit = 0) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::runtime_error("socketpair");
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      ::_exit(sync_in_child(limit, ends[1]) ? 0 : 1);
    }
    ::close(ends[1]);
    serve(ends[0]);
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) return End::kKilled;
    return WEXITSTATUS(status) == 0 ? End::kSucceeded : End::kFailed;
  }
  void sql(std::string_view statements) {
    if (auto done = open().execute(statements); !done) throw std::runtime_error(done.error().message);
  }
  std::string value(std::string_view query) {
    auto found = open().value(query);
    return found ? *found : found.error().message;
  }

 private:
  bool sync_in_child(long limit, int socket) {
    statements_left = limit;
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(watch_statements));
    Line line(socket);
    auto device = device::Device::open(file_, clock_);
    if (!device) return false;
    auto report = device->sync(line, "", {}, {});
    return report && report->result == device::SyncResult::kSucceeded;
  }
  void serve(int socket) {
    DeviceCall call;
    while (read_text(socket, call.method) && read_text(socket, call.target) && read_text(socket, call.authorization) && read_text(socket, call.body)) {
      auto answer = scene_.service().handle(call, "127.0.0.1");
      if (!answer) answer = server::error_answer(answer.error());
      const auto status = static_cast<std::uint64_t>(answer->status);
      if (!write_all(socket, &status, sizeof status) || !write_text(socket, answer->body)) return;
    }
  }
  sqlite::Database open() { return std::move(sqlite::Database::open(file_, sqlite::Database::Mode::kOpen, milliseconds{5000}).value()); }

  SyncScene& scene_;
  testing::ScratchDirectory directory_;
  os::SystemClock clock_;
  std::filesystem::path file_;
};

class KilledDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "ThreadSanitizer starts no threads in a process that was forked from one with threads";
#endif
    scene.sql("INSERT INTO patient SELECT n, 'P' || n, 'nord' FROM generate_series(1, 5) n; INSERT INTO encounter VALUES (1, 1, 'a'), (2, 2, 'b')");
    scene.office().settle();
    scene.user("anna");
    scene.subscribe("patient");
    scene.subscribe("encounter");
  }
  void expect_equal(KilledTablet& tablet) {
    EXPECT_EQ(tablet.value("SELECT group_concat(r) FROM (SELECT id || name || coalesce(letter, '-') AS r FROM patient ORDER BY id)"),
              scene.office().value("SELECT string_agg(id || name || coalesce(letter, '-'), ',' ORDER BY id) FROM patient"));
    EXPECT_EQ(tablet.value("SELECT group_concat(r) FROM (SELECT id || '.' || patient_id AS r FROM encounter ORDER BY id)"),
              scene.office().value("SELECT string_agg(id || '.' || patient_id, ',' ORDER BY id) FROM encounter"));
    EXPECT_EQ(tablet.value("PRAGMA integrity_check"), "ok");
    EXPECT_EQ(tablet.value("SELECT count(*) FROM pragma_foreign_key_check"), "0");
  }
  SyncScene scene;
};

TEST_F(KilledDeviceTest, AFirstSyncThatIsKilledAtAnyStatementIsFinishedByTheNext) {
  auto end = KilledTablet::End::kKilled;
  long limit = 1;
  for (; end == KilledTablet::End::kKilled && !HasFailure(); ++limit) {
    SCOPED_TRACE(limit);
    KilledTablet tablet(scene);
    end = tablet.sync(limit);
    EXPECT_NE(end, KilledTablet::End::kFailed);
    EXPECT_EQ(tablet.sync(), KilledTablet::End::kSucceeded);
    expect_equal(tablet);
  }
  EXPECT_GT(limit, 20);
}

TEST_F(KilledDeviceTest, ChangesGoUpOnceAndRejectsAreKeptOnceWhereverItIsKilled) {
  scene.sql("CREATE TABLE trace (id serial PRIMARY KEY, what text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO trace (what) VALUES (TG_OP || NEW.name); RETURN NULL; END $$;"
            "CREATE TRIGGER note AFTER INSERT OR UPDATE ON patient FOR EACH ROW EXECUTE FUNCTION note()");
  KilledTablet tablet(scene);
  ASSERT_EQ(tablet.sync(), KilledTablet::End::kSucceeded);
  auto end = KilledTablet::End::kKilled;
  long limit = 1;
  for (; end == KilledTablet::End::kKilled && !HasFailure(); ++limit) {
    SCOPED_TRACE(limit);
    const auto run = std::to_string(limit);
    tablet.sql("UPDATE patient SET name = 'tablet " + run + "' WHERE id = 1; INSERT INTO patient VALUES (" + std::to_string(1000 + limit) + ", 'neu', NULL); UPDATE patient SET letter = 'mine' WHERE id = 2");
    scene.sql("TRUNCATE trace; UPDATE patient SET name = 'office " + run + "' WHERE id = 2; INSERT INTO encounter VALUES (" + std::to_string(2000 + limit) + ", 3, 'x')");
    scene.office().settle();
    end = tablet.sync(limit);
    EXPECT_NE(end, KilledTablet::End::kFailed);
    EXPECT_EQ(tablet.sync(), KilledTablet::End::kSucceeded);
    expect_equal(tablet);
    EXPECT_EQ(scene.office().value("SELECT string_agg(what, ',' ORDER BY what) FROM trace"), "INSERTneu,UPDATEoffice " + run + ",UPDATEtablet " + run);
    EXPECT_EQ(tablet.value("SELECT count(*) || ' ' || (SELECT count(*) FROM verbund_upload) FROM verbund_reject"), run + " 0");
    EXPECT_EQ(scene.office().mid_tier_value("SELECT count(*) FROM sync.reject"), run);
  }
  EXPECT_GT(limit, 30);
}

}  // namespace
}  // namespace verbund::sync
