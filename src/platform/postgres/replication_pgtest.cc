#include <gmock/gmock.h>

#include "platform/postgres/connection.h"
#include "platform/postgres/replication.h"
#include "testing/eventually.h"
#include "testing/scratch_postgres.h"

namespace verbund::postgres {
namespace {

using ::testing::HasSubstr;
using verbund::testing::eventually;
using verbund::testing::ScratchPostgres;
using Kind = ReplicationStream::Event::Kind;

class ReplicationTest : public ::testing::Test {
 protected:
  ReplicationTest() : slot_(settings_.database) {
    need(connection_->execute("CREATE TABLE t (id int PRIMARY KEY, name text); CREATE PUBLICATION feed FOR TABLE t"));
  }
  ~ReplicationTest() override {
    (void)connection_->execute(fmt::format(
        "SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE active_pid IS NOT NULL;"
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{}'", slot_));
  }
  template <typename T>
  static T need(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
  }
  ReplicationStream stream() { return need(ReplicationStream::open(settings_)); }
  /// The next `count` data messages' first bytes.
  std::string kinds(ReplicationStream& stream, std::size_t count) {
    std::string seen;
    const auto until = std::chrono::steady_clock::now() + seconds{20};
    while (seen.size() < count && std::chrono::steady_clock::now() < until) {
      const auto event = need(stream.next(milliseconds{100}));
      if (event.kind != Kind::kData) continue;
      seen.push_back(event.data[0]);
      last_ = event.wal_start;
    }
    return seen;
  }
  ConnectionSettings settings_ = ScratchPostgres::shared().database("replication");
  Result<Connection> connection_ = Connection::open(settings_);
  std::string slot_;
  Lsn last_;
};

TEST_F(ReplicationTest, IdentifiesTheSystem) {
  const auto identity = need(stream().identify());
  EXPECT_EQ(identity.system_id, need(connection_->query("SELECT system_identifier FROM pg_control_system()")).text(0, 0));
  EXPECT_EQ(identity.timeline, 1U);
  EXPECT_GT(identity.flushed, Lsn{});
}

TEST_F(ReplicationTest, SnapshotAndStreamMeetWithoutGap) {
  need(connection_->execute("INSERT INTO t VALUES (1, 'before')"));
  auto source = stream();
  const auto slot = need(source.create_slot(slot_));
  need(connection_->execute("INSERT INTO t VALUES (2, 'after')"));
  auto reader = need(Connection::open(settings_));
  auto transaction = need(reader.begin("ISOLATION LEVEL REPEATABLE READ"));
  need(reader.execute("SET TRANSACTION SNAPSHOT " + Connection::quote_literal(slot.snapshot)));
  EXPECT_EQ(need(reader.query("SELECT string_agg(name, ',') FROM t")).text(0, 0), "before");
  need(source.start(slot.name, slot.consistent_point, "feed"));
  EXPECT_EQ(kinds(source, 4), "BRIC");  // begin, relation, insert, commit
}

TEST_F(ReplicationTest, SeesLogicalMessages) {
  auto source = stream();
  const auto slot = need(source.create_slot(slot_));
  need(source.start(slot.name, slot.consistent_point, "feed"));
  need(connection_->execute("BEGIN; SELECT pg_logical_emit_message(true, 'verbund', 'x'); INSERT INTO t VALUES (1); COMMIT"));
  EXPECT_EQ(kinds(source, 5), "BMRIC");
}

TEST_F(ReplicationTest, ConfirmedChangesAreNotSentAgainAndOthersAre) {
  {
    auto source = stream();
    const auto slot = need(source.create_slot(slot_));
    need(source.start(slot.name, slot.consistent_point, "feed"));
    need(connection_->execute("INSERT INTO t VALUES (1)"));
    ASSERT_EQ(kinds(source, 4), "BRIC");
    const auto position = need(stream().identify()).flushed;
    need(source.confirm(position));
    // The server has taken it when the view says so.
    const auto confirmed = [&] {
      return need(connection_->query("SELECT confirmed_flush_lsn >= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = $2",
                                     {to_string(position), slot_})).text(0, 0) == "t";
    };
    ASSERT_TRUE(eventually(confirmed));
    need(connection_->execute("INSERT INTO t VALUES (2)"));
    ASSERT_EQ(kinds(source, 3), "BIC");
  }
  need(connection_->execute("UPDATE t SET name = 'x' WHERE id = 1"));
  auto again = stream();
  Status started;
  // The old walsender may need a moment to notice that its client has gone.
  EXPECT_TRUE(eventually([&] {
    started = again.start(slot_, Lsn{}, "feed");
    return started || started.error().code != ErrorCode::kInUse;
  }));
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(kinds(again, 7), "BRICBUC");
}

TEST_F(ReplicationTest, IdleAtTheDeadlineAndKeepaliveOnRequest) {
  auto source = stream();
  const auto slot = need(source.create_slot(slot_));
  need(source.start(slot.name, slot.consistent_point, "feed"));
  auto event = need(source.next(milliseconds{20}));
  for (int i = 0; i < 100 && event.kind != Kind::kIdle; ++i) event = need(source.next(milliseconds{20}));
  EXPECT_EQ(event.kind, Kind::kIdle);
  EXPECT_FALSE(source.ready());
  need(connection_->execute("INSERT INTO t VALUES (1)"));
  EXPECT_TRUE(eventually([&] { return source.ready(); }));
  EXPECT_EQ(kinds(source, 4), "BRIC");
}

TEST_F(ReplicationTest, InterruptEndsAWaitFromAnotherThreadAndLeavesTheStreamUsable) {
  auto source = stream();
  const auto slot = need(source.create_slot(slot_));
  need(source.start(slot.name, slot.consistent_point, "feed"));
  std::thread other([&] { source.interrupt(); });
  Result<ReplicationStream::Event> event = ReplicationStream::Event{};
  const auto until = std::chrono::steady_clock::now() + seconds{20};
  while (event && std::chrono::steady_clock::now() < until) event = source.next(seconds{20});
  other.join();
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().code, ErrorCode::kCancelled);
  need(connection_->execute("INSERT INTO t VALUES (1)"));
  EXPECT_EQ(kinds(source, 4), "BRIC");
}

TEST_F(ReplicationTest, NamesWhatIsWrongWithASlot) {
  auto source = stream();
  need(source.create_slot(slot_));
  EXPECT_EQ(source.create_slot(slot_).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(source.start("no_such_slot", Lsn{}, "feed").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(source.drop_slot("no_such_slot").error().code, ErrorCode::kNotFound);
  need(source.start(slot_, Lsn{}, "feed"));
  auto second = stream();
  const auto busy = second.start(slot_, Lsn{}, "feed");
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, ErrorCode::kInUse);
  EXPECT_THAT(busy.error().message, HasSubstr("PID"));
}

TEST_F(ReplicationTest, DropsASlot) {
  auto source = stream();
  need(source.create_slot(slot_));
  need(source.drop_slot(slot_));
  EXPECT_EQ(need(connection_->query("SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1", {slot_})).text(0, 0), "0");
}

TEST_F(ReplicationTest, LostSlotNeedsASnapshot) {
  {
    auto source = stream();
    need(source.create_slot(slot_));
  }
  need(connection_->execute("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'"));
  need(connection_->execute("SELECT pg_reload_conf()"));
  const auto lost = [&] {
    return need(connection_->query("SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1", {slot_})).text(0, 0) == "lost";
  };
  for (int i = 0; i < 20 && !lost(); ++i) need(connection_->execute("SELECT pg_switch_wal(); CREATE TABLE IF NOT EXISTS f (x int); INSERT INTO f VALUES (1); CHECKPOINT"));
  need(connection_->execute("ALTER SYSTEM RESET max_slot_wal_keep_size"));
  need(connection_->execute("SELECT pg_reload_conf()"));
  ASSERT_TRUE(lost());
  const auto started = stream().start(slot_, Lsn{}, "feed");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::kSnapshotNeeded) << started.error().message;
}

TEST_F(ReplicationTest, EndOfTheServerIsDatabaseDown) {
  auto source = stream();
  const auto slot = need(source.create_slot(slot_));
  need(source.start(slot.name, slot.consistent_point, "feed"));
  std::thread other([] { ScratchPostgres::shared().restart(); });
  Result<ReplicationStream::Event> event = ReplicationStream::Event{};
  const auto until = std::chrono::steady_clock::now() + seconds{20};
  while (event && std::chrono::steady_clock::now() < until) {
    event = source.next(milliseconds{100});
    // A server that stops waits for this, or it would never end.
    if (event && event->kind == Kind::kKeepalive) (void)source.confirm(event->wal_end);
  }
  other.join();
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().code, ErrorCode::kDatabaseDown) << event.error().message;
  EXPECT_FALSE(source.next(milliseconds{0}));
  EXPECT_TRUE(source.ready());
  connection_ = Connection::open(settings_);
  ASSERT_TRUE(connection_);
}

}  // namespace
}  // namespace verbund::postgres
