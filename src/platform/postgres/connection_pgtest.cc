#include <gmock/gmock.h>

#include "platform/os/log_sink.h"
#include "platform/postgres/connection.h"
#include "platform/postgres/migrations.h"
#include "testing/scratch_postgres.h"
#include "testing/sim_clock.h"

namespace verbund::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using verbund::testing::ScratchPostgres;

class ConnectionTest : public ::testing::Test {
 protected:
  Connection open() {
    auto connection = Connection::open(settings_);
    if (!connection) throw std::runtime_error(connection.error().message);
    return std::move(*connection);
  }
  std::string one(Connection& connection, std::string_view sql, std::span<const Parameter> parameters = {}) {
    auto rows = connection.query(sql, parameters);
    return rows ? std::string(rows->text(0, 0)) : "error: " + rows.error().message;
  }
  ConnectionSettings settings_ = ScratchPostgres::shared().database("connection");
};

TEST_F(ConnectionTest, PassesParametersAsValues) {
  auto connection = open();
  auto rows = connection.query("SELECT $1::text, $2::int + 1, $3::text", {"Robert'); DROP TABLE x; --", "41", std::nullopt});
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->text(0, 0), "Robert'); DROP TABLE x; --");
  EXPECT_EQ(rows->text(0, 1), "42");
  EXPECT_TRUE(rows->null(0, 2));
  EXPECT_FALSE(rows->null(0, 1));
  EXPECT_EQ(rows->column_type(1), 23U);
}

TEST_F(ConnectionTest, ReportsRowsTouched) {
  auto connection = open();
  ASSERT_TRUE(connection.execute("CREATE TABLE t (id int PRIMARY KEY)"));
  EXPECT_EQ(connection.query("INSERT INTO t SELECT generate_series(1, 7)")->affected(), 7U);
  EXPECT_EQ(connection.query("UPDATE t SET id = id + 100 WHERE id > 5")->affected(), 2U);
}

TEST_F(ConnectionTest, NamesConstraintButNoRowContents) {
  auto connection = open();
  ASSERT_TRUE(connection.execute("CREATE TABLE t (name text CONSTRAINT unique_name UNIQUE); INSERT INTO t VALUES ('Meier')"));
  auto rows = connection.query("INSERT INTO t VALUES ($1)", {"Meier"});
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, ErrorCode::kConstraint);
  EXPECT_EQ(connection.last_sqlstate(), "23505");
  EXPECT_THAT(rows.error().message, HasSubstr("unique_name"));
  EXPECT_THAT(rows.error().message, Not(HasSubstr("Meier")));
}

TEST_F(ConnectionTest, ClassifiesErrors) {
  auto connection = open();
  EXPECT_EQ(connection.execute("SELECT 1/0").error().code, ErrorCode::kDatabase);
  EXPECT_EQ(connection.execute("SET statement_timeout = 5; SELECT pg_sleep(20)").error().code, ErrorCode::kTimedOut);
  EXPECT_EQ(connection.query("SELECT $1::text", {std::string("a\0b", 3)}).error().code, ErrorCode::kBadUtf8);
  ASSERT_TRUE(connection.execute("CREATE ROLE nobody_here; SET ROLE nobody_here"));
  EXPECT_EQ(connection.execute("CREATE TABLE pg_catalog.x ()").error().code, ErrorCode::kForbidden);
  ASSERT_TRUE(connection.execute("RESET ROLE; DROP ROLE nobody_here"));
}

TEST_F(ConnectionTest, TellsWrongPasswordFromMissingDatabaseFromNoServer) {
  auto wrong = settings_;
  wrong.password = "geheim!";
  auto refused = Connection::open(wrong);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated) << refused.error().message;
  EXPECT_THAT(refused.error().message, Not(HasSubstr("geheim!")));
  wrong = settings_;
  wrong.database = "no_such_database";
  EXPECT_EQ(Connection::open(wrong).error().code, ErrorCode::kNotFound);
  wrong = settings_;
  wrong.host = "/nonexistent";
  EXPECT_EQ(Connection::open(wrong).error().code, ErrorCode::kDatabaseDown);
}

TEST_F(ConnectionTest, PreparesAgainAfterATableHasChanged) {
  auto connection = open();
  ASSERT_TRUE(connection.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)"));
  EXPECT_EQ(connection.query("SELECT * FROM t")->columns(), 1);
  ASSERT_TRUE(connection.execute("ALTER TABLE t ADD b text"));
  auto rows = connection.query("SELECT * FROM t");
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->columns(), 2);
  ASSERT_TRUE(connection.execute("DISCARD ALL"));
  EXPECT_TRUE(connection.query("SELECT * FROM t"));
}

TEST_F(ConnectionTest, KeepsABoundedNumberOfPreparedStatements) {
  auto connection = open();
  for (int i = 0; i < 300; ++i) ASSERT_EQ(one(connection, fmt::format("SELECT {}", i)), std::to_string(i));
  const int prepared = std::stoi(one(connection, "SELECT count(*) FROM pg_prepared_statements"));
  EXPECT_LE(prepared, 128);
  EXPECT_GT(prepared, 64);
}

TEST_F(ConnectionTest, RunsStatementsInOneRoundTripAndOneTransaction) {
  auto connection = open();
  ASSERT_TRUE(connection.execute("CREATE TABLE t (a int PRIMARY KEY)"));
  const Statement statements[] = {{"INSERT INTO t VALUES ($1::int)", {"1"}},
                                  {"INSERT INTO t VALUES ($1::int)", {"2"}},
                                  {"SELECT count(*), $1::text FROM t", {std::nullopt}}};
  auto rows = connection.run(statements);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 3U);
  EXPECT_EQ(rows->at(0).affected(), 1U);
  EXPECT_EQ(rows->at(2).text(0, 0), "2");
  EXPECT_TRUE(rows->at(2).null(0, 1));
  EXPECT_FALSE(connection.in_transaction());
  auto other = open();
  EXPECT_EQ(one(other, "SELECT count(*) FROM t"), "2");
}

TEST_F(ConnectionTest, FailedPipelineLeavesNothingAndStaysUsable) {
  auto connection = open();
  ASSERT_TRUE(connection.execute("CREATE TABLE t (a int PRIMARY KEY)"));
  const Statement twice[] = {{"INSERT INTO t VALUES ($1::int)", {"1"}}, {"INSERT INTO t VALUES ($1::int)", {"1"}},
                             {"INSERT INTO t VALUES (2)", {}}};
  auto rows = connection.run(twice);
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, ErrorCode::kConstraint);
  EXPECT_EQ(one(connection, "SELECT count(*) FROM t"), "0");
  const Statement zero[] = {{"SELECT $1::text", {std::string("a\0b", 3)}}};
  EXPECT_EQ(connection.run(zero).error().code, ErrorCode::kBadUtf8);
  EXPECT_FALSE(connection.run(std::vector<Statement>{{"no statement", {}}}));
  EXPECT_EQ(one(connection, "SELECT 1"), "1");
}

TEST_F(ConnectionTest, PipelineFailsWhenItsCommitFails) {
  auto connection = open();
  ASSERT_TRUE(connection.execute("CREATE TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)"));
  const Statement twice[] = {{"INSERT INTO t VALUES (1)", {}}, {"INSERT INTO t VALUES (1)", {}}};
  auto rows = connection.run(twice);
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, ErrorCode::kConstraint);
  EXPECT_EQ(one(connection, "SELECT count(*) FROM t"), "0");
}

TEST_F(ConnectionTest, FailedPipelineAbortsTheTransactionAroundIt) {
  auto connection = open();
  ASSERT_TRUE(connection.execute("CREATE TABLE t (a int PRIMARY KEY)"));
  auto transaction = connection.begin();
  const Statement good[] = {{"INSERT INTO t VALUES (1)", {}}};
  ASSERT_TRUE(connection.run(good));
  EXPECT_FALSE(connection.run(good));
  EXPECT_FALSE(transaction->commit());
  EXPECT_EQ(one(connection, "SELECT count(*) FROM t"), "0");
}

TEST_F(ConnectionTest, PipelineOfManyStatementsFitsTheCache) {
  auto connection = open();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(one(connection, fmt::format("SELECT {}", i)), std::to_string(i));
  std::vector<Statement> statements;
  for (int i = 0; i < 64; ++i) statements.push_back({fmt::format("SELECT {}", (i + 70) % 134), {}});
  for (int round = 0; round < 3; ++round) {
    auto rows = connection.run(statements);
    ASSERT_TRUE(rows) << rows.error().message;
    for (int i = 0; i < 64; ++i) EXPECT_EQ(rows->at(static_cast<std::size_t>(i)).text(0, 0), std::to_string((i + 70) % 134));
  }
  statements.push_back({"SELECT 1", {}});
  EXPECT_FALSE(connection.run(statements));
}

TEST_F(ConnectionTest, PipelineNoticesThatTheServerEnded) {
  auto connection = open();
  auto other = open();
  ASSERT_TRUE(other.query("SELECT pg_terminate_backend($1::int, 10000)", {std::to_string(connection.backend_pid())}));
  const Statement statements[] = {{"SELECT 1", {}}, {"SELECT 2", {}}};
  auto rows = connection.run(statements);
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, ErrorCode::kDatabaseDown);
  const Statement suicide[] = {{"SELECT 1", {}}, {"SELECT pg_terminate_backend(pg_backend_pid())", {}}, {"SELECT 2", {}}};
  EXPECT_EQ(other.run(suicide).error().code, ErrorCode::kDatabaseDown);
}

TEST_F(ConnectionTest, RollsBackWithoutCommit) {
  auto connection = open();
  ASSERT_TRUE(connection.execute("CREATE TABLE t (a int)"));
  {
    auto transaction = connection.begin();
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(connection.execute("INSERT INTO t VALUES (1)"));
    EXPECT_TRUE(connection.in_transaction());
  }
  EXPECT_FALSE(connection.in_transaction());
  EXPECT_EQ(one(connection, "SELECT count(*) FROM t"), "0");
}

TEST_F(ConnectionTest, CommitOfAFailedTransactionIsAnError) {
  auto connection = open();
  auto transaction = connection.begin("ISOLATION LEVEL REPEATABLE READ");
  ASSERT_TRUE(transaction);
  EXPECT_FALSE(connection.execute("SELECT 1/0"));
  EXPECT_FALSE(transaction->commit());
  EXPECT_FALSE(connection.in_transaction());
}

TEST_F(ConnectionTest, CopiesInAndOut) {
  auto connection = open();
  ASSERT_TRUE(connection.execute("CREATE TABLE t (a int, b text)"));
  std::string data;
  const std::string odd = "tab\t back\\slash new\nline \r ü";
  for (int i = 0; i < 1000; ++i) {
    Connection::append_copy_text(data, std::to_string(i));
    data += '\t';
    Connection::append_copy_text(data, i % 2 == 0 ? std::optional<std::string_view>(odd) : std::nullopt);
    data += '\n';
  }
  ASSERT_TRUE(connection.copy_in_begin("COPY t FROM STDIN"));
  for (std::size_t at = 0; at < data.size(); at += 777) {
    ASSERT_TRUE(connection.copy_in_write(std::string_view(data).substr(at, 777)));
  }
  const auto rows = connection.copy_in_finish();
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(*rows, 1000U);
  EXPECT_EQ(one(connection, "SELECT b FROM t WHERE a = 4"), odd);
  EXPECT_EQ(one(connection, "SELECT count(*) FROM t WHERE b IS NULL"), "500");
  std::string out;
  ASSERT_TRUE(connection.copy_out("COPY (SELECT * FROM t ORDER BY a) TO STDOUT", [&](std::string_view row) {
    out += row;
    return true;
  }));
  EXPECT_EQ(out, data);
}

TEST_F(ConnectionTest, CopyThatFailsTakesNothing) {
  auto connection = open();
  ASSERT_TRUE(connection.execute("CREATE TABLE t (a int)"));
  ASSERT_TRUE(connection.copy_in_begin("COPY t FROM STDIN"));
  ASSERT_TRUE(connection.copy_in_write("1\nzwei\n"));
  EXPECT_FALSE(connection.copy_in_finish());
  ASSERT_TRUE(connection.copy_in_begin("COPY t FROM STDIN"));
  ASSERT_TRUE(connection.copy_in_write("1\n"));
  connection.copy_in_abort("enough");
  EXPECT_EQ(one(connection, "SELECT count(*) FROM t"), "0");
}

TEST_F(ConnectionTest, ReaderCanEndACopy) {
  auto connection = open();
  int rows = 0;
  const auto ended = connection.copy_out("COPY (SELECT generate_series(1, 10000000)) TO STDOUT",
                                         [&](std::string_view) { return ++rows < 10; });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(rows, 10);
  EXPECT_EQ(one(connection, "SELECT 1"), "1");
}

TEST_F(ConnectionTest, RefusesCopyAsAPlainStatementAndStaysUsable) {
  auto connection = open();
  EXPECT_EQ(connection.execute("COPY (SELECT generate_series(1, 1000)) TO STDOUT").error().code, ErrorCode::kInternal);
  EXPECT_EQ(one(connection, "SELECT 1"), "1");
  ASSERT_TRUE(connection.execute("CREATE TABLE t (a int)"));
  EXPECT_EQ(connection.execute("COPY t FROM STDIN").error().code, ErrorCode::kInternal);
  EXPECT_EQ(one(connection, "SELECT 2"), "2");
}

TEST_F(ConnectionTest, QuotesWhatever) {
  auto connection = open();
  for (const std::string odd : {"it's", "back\\slash", "say \"hi\"", "ü€", ""}) {
    EXPECT_EQ(one(connection, "SELECT " + Connection::quote_literal(odd)), odd);
  }
  EXPECT_EQ(one(connection, "SELECT 1 AS " + Connection::quote_identifier("a\"b c")), "1");
}

TEST_F(ConnectionTest, PoolIsBoundedAndReplacesBrokenConnections) {
  verbund::testing::SimClock clock;
  Pool pool(settings_, 2, clock);
  int pid = 0;
  {
    auto first = pool.acquire(Deadline::in(clock, seconds{5}));
    auto second = pool.acquire(Deadline::in(clock, seconds{5}));
    ASSERT_TRUE(first && second);
    EXPECT_EQ(pool.acquire(Deadline::in(clock, seconds{0})).error().code, ErrorCode::kTimedOut);
    pid = (*first)->backend_pid();
    ASSERT_TRUE((*second)->execute("BEGIN"));  // comes back in a transaction: not reused
  }
  auto observer = open();
  {
    auto again = pool.acquire(Deadline::in(clock, seconds{5}));
    ASSERT_TRUE(again);
    EXPECT_EQ((*again)->backend_pid(), pid);
    EXPECT_FALSE((*again)->in_transaction());
  }
  ASSERT_EQ(one(observer, "SELECT pg_terminate_backend($1::int, 5000)", std::vector<Parameter>{std::to_string(pid)}), "t");
  auto fresh = pool.acquire(Deadline::in(clock, seconds{5}));
  ASSERT_TRUE(fresh);
  EXPECT_NE((*fresh)->backend_pid(), pid);
  EXPECT_TRUE((*fresh)->query("SELECT 1"));
}

TEST_F(ConnectionTest, PoolWaitsForAFreeConnection) {
  os::SystemClock clock;
  Pool pool(settings_, 1, clock);
  auto held = pool.acquire(Deadline::in(clock, seconds{5}));
  ASSERT_TRUE(held);
  std::thread waiter([&] { EXPECT_TRUE(pool.acquire(Deadline::in(clock, seconds{30}))); });
  { auto gone = std::move(*held); }
  waiter.join();
}

TEST_F(ConnectionTest, ServerThatWasKilledIsDatabaseDownAndComesBack) {
  auto connection = open();
  ASSERT_TRUE(connection.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)"));
  ScratchPostgres::shared().kill_immediate();
  ScratchPostgres::shared().restart();
  auto rows = connection.query("SELECT 1");
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, ErrorCode::kDatabaseDown) << rows.error().message;
  EXPECT_FALSE(connection.healthy());
  auto again = open();
  EXPECT_EQ(one(again, "SELECT a FROM t"), "1");
}

constexpr Migration kFirst[] = {{1, "create", "CREATE SCHEMA demo; CREATE TABLE demo.a (x int)"}};
constexpr Migration kBoth[] = {{1, "create", "CREATE SCHEMA demo; CREATE TABLE demo.a (x int)"},
                               {2, "fill", "INSERT INTO demo.a VALUES (7); ALTER TABLE demo.a ADD y int"}};
constexpr Migration kBroken[] = {kBoth[0], kBoth[1], {3, "broken", "INSERT INTO demo.a VALUES (8); SELECT 1/0"}};

TEST_F(ConnectionTest, MigratesWhatIsMissing) {
  auto connection = open();
  const MigrationSet first[] = {{"demo", kFirst}};
  const MigrationSet both[] = {{"demo", kBoth}};
  ASSERT_TRUE(migrate(connection, first, os::null_log()));
  for (int i = 0; i < 2; ++i) {
    const auto done = migrate(connection, both, os::null_log());
    ASSERT_TRUE(done) << done.error().message;
  }
  EXPECT_EQ(one(connection, "SELECT count(*) FROM demo.a"), "1");
  EXPECT_EQ(one(connection, "SELECT string_agg(owner || number || name, ',' ORDER BY number) FROM verbund_migrations"),
            "demo1create,demo2fill");
}

TEST_F(ConnectionTest, BrokenMigrationLeavesNothingBehind) {
  auto connection = open();
  const MigrationSet broken[] = {{"demo", kBroken}};
  const auto done = migrate(connection, broken, os::null_log());
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("demo/003_broken"));
  EXPECT_EQ(one(connection, "SELECT max(number) FROM verbund_migrations"), "2");
  EXPECT_EQ(one(connection, "SELECT count(*) FROM demo.a"), "1");
}

TEST_F(ConnectionTest, AcceptsADatabaseOneMigrationAheadButNotTwo) {
  auto connection = open();
  const MigrationSet both[] = {{"demo", kBoth}};
  const MigrationSet first[] = {{"demo", kFirst}};
  const MigrationSet none[] = {{"demo", {}}};
  ASSERT_TRUE(migrate(connection, both, os::null_log()));
  EXPECT_TRUE(migrate(connection, first, os::null_log()));
  EXPECT_EQ(migrate(connection, none, os::null_log()).error().code, ErrorCode::kUnsupported);
}

TEST_F(ConnectionTest, TwoNodesMayMigrateAtOnce) {
  const MigrationSet both[] = {{"demo", kBoth}};
  std::vector<std::thread> nodes;
  for (int i = 0; i < 4; ++i) {
    nodes.emplace_back([&] {
      auto connection = open();
      const auto done = migrate(connection, both, os::null_log());
      EXPECT_TRUE(done) << done.error().message;
    });
  }
  for (auto& node : nodes) node.join();
  auto connection = open();
  EXPECT_EQ(one(connection, "SELECT count(*) FROM demo.a"), "1");
}

}  // namespace
}  // namespace verbund::postgres
