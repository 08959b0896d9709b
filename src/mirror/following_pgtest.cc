#include "mirror/following.h"

#include <gtest/gtest.h>

#include "mirror/loss.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/log_sink.h"
#include "platform/postgres/owned_server.h"
#include "testing/eventually.h"
#include "testing/scratch_directory.h"
#include "testing/scratch_postgres.h"

namespace verbund::mirror {
namespace {

using postgres::Connection;
using postgres::OwnedServer;
using verbund::testing::eventually;
using verbund::testing::ScratchPostgres;

constexpr Member kMirror = 2;
constexpr const char* kPassword = "it's\\a:password";

class FollowingTest : public ::testing::Test {
 protected:
  FollowingTest()
      : production_(open(ScratchPostgres::shared().superuser())), settings_(settings_in(scratch_.path() / "mirror")), server_(settings_, os::null_log(), clock_) {
    check(admit_mirror(production_, kMirror, kPassword, 2ULL << 30U));
  }
  ~FollowingTest() override {
    OwnedServer server(settings_, os::null_log(), clock_);
    EXPECT_TRUE(server.stop(postgres::StopMode::kImmediate, in(seconds{30})));
    EXPECT_TRUE(server.clear_up(in(seconds{30})));
    EXPECT_TRUE(eventually([&] { return dismiss_mirror(production_, kMirror).has_value(); }));
  }

  static postgres::OwnedServerSettings settings_in(const std::filesystem::path& directory) {
    postgres::OwnedServerSettings settings;
    settings.directory = directory;
    settings.superuser_password = ScratchPostgres::shared().superuser().password;
    settings.superuser = ScratchPostgres::shared().superuser().user;
    settings.settings = {{"shared_buffers", "16MB"}, {"fsync", "off"}};
    settings.follows = postgres::Followed{ScratchPostgres::shared().superuser(), mirror_role(kMirror)};
    settings.follows->server.user = mirror_role(kMirror);
    settings.follows->server.password = kPassword;
    return settings;
  }
  static Connection open(const postgres::ConnectionSettings& settings) {
    auto connection = Connection::open(settings);
    if (!connection) throw std::runtime_error(connection.error().message);
    return std::move(*connection);
  }
  static void check(const Status& status) {
    if (!status) throw std::runtime_error(status.error().message);
  }
  Deadline in(nanoseconds span) const { return Deadline::in(clock_, span); }
  Connection mirror() { return open(server_.connection("postgres")); }
  void copy_and_start() {
    check(server_.copy_from([](OwnedServer::CopyStep, std::uint64_t, std::uint64_t) { return true; }));
    check(server_.start(in(seconds{60})));
  }
  void write(std::string_view sql) { check(production_.execute(sql)); }
  bool caught_up(Connection& mirror) {
    const auto beat = read_beat(production_);
    const auto received = read_received(mirror);
    return beat && received && received->received >= beat->position && received->replayed >= beat->position;
  }

  os::SystemClock clock_;
  verbund::testing::ScratchDirectory scratch_;
  Connection production_;
  postgres::OwnedServerSettings settings_;
  OwnedServer server_;
};

TEST_F(FollowingTest, CopiesVerifiesAndFollows) {
  write("CREATE TABLE before AS SELECT generate_series(1, 1000) AS n");
  std::vector<OwnedServer::CopyStep> steps;
  std::uint64_t total = 0;
  const auto copied = server_.copy_from([&](OwnedServer::CopyStep step, std::uint64_t done, std::uint64_t all) {
    if (steps.empty() || steps.back() != step) steps.push_back(step);
    EXPECT_LE(done, all);
    total = all;
    return true;
  });
  ASSERT_TRUE(copied) << copied.error().message;
  EXPECT_GT(total, 1'000'000U);
  ASSERT_FALSE(steps.empty());
  EXPECT_EQ(steps.back(), OwnedServer::CopyStep::kVerify);
  const auto started = server_.start(in(seconds{60}));
  ASSERT_TRUE(started) << started.error().message;
  auto reader = mirror();
  write("CREATE TABLE after AS SELECT generate_series(1, 10) AS n");
  ASSERT_TRUE(eventually([&] { return caught_up(reader); }));
  EXPECT_EQ(reader.query("SELECT (SELECT count(*) FROM before) + (SELECT count(*) FROM after)")->text(0, 0), "1010");
  const auto received = read_received(reader);
  ASSERT_TRUE(received) << received.error().message;
  EXPECT_TRUE(received->in_recovery);
  EXPECT_TRUE(received->streaming);
  EXPECT_EQ(received->timeline, 1U);
  EXPECT_FALSE(reader.execute("CREATE TABLE refused (n int)"));
  const auto slot = read_slot(production_, kMirror);
  ASSERT_TRUE(slot) << slot.error().message;
  EXPECT_TRUE(slot->active);
  EXPECT_FALSE(slot->lost);
  ASSERT_TRUE(slot->safe_bytes);
  EXPECT_GT(*slot->safe_bytes, 1ULL << 30U);
  write("DROP TABLE before, after");
}

TEST_F(FollowingTest, KnowsWhatIsMissingWhileTheLogDoesNotArrive) {
  copy_and_start();
  LossMeter meter;
  {
    auto reader = mirror();
    ASSERT_TRUE(eventually([&] { return caught_up(reader); }));
  }
  meter.heard(*read_beat(production_), clock_.now());
  check(server_.stop(postgres::StopMode::kFast, in(seconds{30})));
  write("CREATE TABLE lost (n int)");
  for (int i = 0; i < 20; ++i) write("INSERT INTO lost SELECT generate_series(1, 100)");
  meter.heard(*read_beat(production_), clock_.now());
  // It starts without production's log: nothing can reach it under a wrong password.
  auto alone = settings_;
  alone.follows->server.password = "wrong";
  check(OwnedServer(alone, os::null_log(), clock_).start(in(seconds{60})));
  auto reader = mirror();
  const auto received = read_received(reader);
  ASSERT_TRUE(received) << received.error().message;
  EXPECT_FALSE(received->streaming);
  const auto behind = meter.behind(received->received, clock_.now());
  ASSERT_TRUE(behind);
  EXPECT_GT(behind->bytes, 2000U * 27);
  ASSERT_TRUE(behind->commits);
  EXPECT_GE(*behind->commits, 21U);
  const auto report = meter.report(Term{1}, received->received, {}, clock_.now());
  EXPECT_EQ(report.kind, LossKind::kUnknown);
  EXPECT_EQ(report.bytes, behind->bytes);
  EXPECT_GT(read_slot(production_, kMirror)->kept_bytes, behind->bytes / 2);
  write("DROP TABLE lost");
}

TEST_F(FollowingTest, BeginsAnewAfterACopyThatWasEnded) {
  const auto ended = server_.copy_from([](OwnedServer::CopyStep, std::uint64_t, std::uint64_t) { return false; });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(server_.initialised());
  EXPECT_TRUE(server_.copy_from([](OwnedServer::CopyStep, std::uint64_t, std::uint64_t) { return true; }));
  const auto again = server_.copy_from([](OwnedServer::CopyStep, std::uint64_t, std::uint64_t) { return true; });
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
}

TEST_F(FollowingTest, AMirrorThatFollowsCanBeDismissed) {
  copy_and_start();
  auto reader = mirror();
  ASSERT_TRUE(eventually([&] { return caught_up(reader); }));
  const auto gone = dismiss_mirror(production_, kMirror);
  EXPECT_TRUE(gone) << gone.error().message;
  EXPECT_FALSE(read_slot(production_, kMirror));
  EXPECT_TRUE(eventually([&] { return !read_received(reader)->streaming; }));
}

TEST_F(FollowingTest, AMirrorWithoutDataIsNotMadeEmpty) {
  const auto made = server_.initialise();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kNotFound);
}

TEST_F(FollowingTest, RefusesACopyWithoutARight) {
  auto wrong = settings_;
  wrong.follows->server.password = "wrong";
  const auto copied = OwnedServer(wrong, os::null_log(), clock_).copy_from([](OwnedServer::CopyStep, std::uint64_t, std::uint64_t) { return true; });
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code, ErrorCode::kUnauthenticated);
}

TEST_F(FollowingTest, NoLogHoldsThePassword) {
  write("SET log_statement = 'all'; SET log_min_duration_statement = 0");
  check(admit_mirror(production_, kMirror, "only-here-8492", 2ULL << 30U));
  write("SELECT 'a-mark-4711'");
  std::string logs;
  const auto read = [&] {
    logs.clear();
    for (const auto& entry : std::filesystem::recursive_directory_iterator(ScratchPostgres::shared().directory() / "pg" / "log")) {
      if (auto text = os::read_file(entry.path())) logs += *text;
    }
    return logs.find("a-mark-4711") != std::string::npos;
  };
  ASSERT_TRUE(eventually(read));
  EXPECT_EQ(logs.find("only-here-8492"), std::string::npos);
}

TEST_F(FollowingTest, AdmittingTwiceKeepsTheSlot) {
  const auto before = production_.query("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = $1", {mirror_role(kMirror)});
  ASSERT_TRUE(before);
  ASSERT_TRUE(admit_mirror(production_, kMirror, "another", 3ULL << 30U));
  const auto after = production_.query("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = $1", {mirror_role(kMirror)});
  ASSERT_TRUE(after);
  EXPECT_EQ(before->text(0, 0), after->text(0, 0));
  EXPECT_TRUE(eventually([&] { return production_.query("SHOW max_slot_wal_keep_size")->text(0, 0) == "3GB"; }));
}

TEST(SlotKeepBytes, IsHalfOfTheFreeDiskWithinReason) {
  EXPECT_EQ(slot_keep_bytes(0), 1ULL << 30U);
  EXPECT_EQ(slot_keep_bytes(20ULL << 30U), 10ULL << 30U);
  EXPECT_EQ(slot_keep_bytes(9'000ULL << 30U), 100ULL << 30U);
}

}  // namespace
}  // namespace verbund::mirror
