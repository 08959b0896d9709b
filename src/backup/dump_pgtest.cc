// Dumping: the archive is one snapshot, its tables' hashes are those of that snapshot, and nothing passes that is not whole.
#include <gmock/gmock.h>

#include <fstream>
#include <random>
#include <sys/stat.h>
#include <thread>

#include "backup/archive_rows.h"
#include "backup/database_scene.h"
#include "platform/os/file.h"
#include "platform/os/process.h"
#include "testing/eventually.h"

namespace verbund::backup {
namespace {

using namespace testing_scene;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class Dumping : public Scene {
 protected:
  /// A program of this name that does what the script says.
  Programs with_fake(const std::string& name, const std::string& script) {
    const auto path = directory.path() / name;
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    fs::permissions(path, fs::perms::owner_all);
    Programs fakes = programs;
    (name == "pg_dump" ? fakes.pg_dump : fakes.pg_restore) = path;
    return fakes;
  }
  static constexpr const char* kVersion = "if [ \"$1\" = --version ]; then echo 'pg_dump (PostgreSQL) 15.20'; exit 0; fi\n";
};

// A backup on the mirror of an office with an unlogged table was "damaged": pg_dump leaves its rows out there, and the comparison found a table too many.
TEST(CompareHashes, AnUnloggedTableWithoutRowsIsNoTableTooMany) {
  const std::vector<TableHash> expected{{"public", "a", 1, "c1"}};
  const auto found = [&](bool unlogged, std::uint64_t rows) { return std::vector<TableHash>{expected.front(), {"public", "b", rows, "c0", {}, unlogged}}; };
  EXPECT_TRUE(compare_hashes(expected, found(true, 0)));
  EXPECT_FALSE(compare_hashes(expected, found(true, 1)));
  EXPECT_FALSE(compare_hashes(expected, found(false, 0)));
}

TEST_F(Dumping, HashesAreThoseOfARestoredDatabaseWhateverTheSettings) {
  const auto settings = nasty("dump_nasty %d {}");
  MemorySink sink;
  const auto entry = dump_database(programs, settings, {.use_snapshot = {}}, sink, progress);
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->name, settings.database);
  EXPECT_EQ(entry->owner, "verbund");
  EXPECT_EQ(entry->encoding, "UTF8");
  EXPECT_GT(entry->server_version, 150000);
  EXPECT_EQ(entry->tables.size(), 14U) << "every leaf and child for itself, and the large objects";
  EXPECT_EQ(entry->tables.back().table, "pg_largeobject");
  MemorySource source(sink.text);
  const std::string other = settings.database + " neu";
  const auto restored = restore_into(programs, server.superuser(), *entry, other, source, false, progress);
  ASSERT_TRUE(restored) << restored.error().message;
  sql(*std::make_unique<Connection>(open("postgres")),
      fmt::format("ALTER DATABASE {0} SET datestyle = 'German'; ALTER DATABASE {0} SET timezone = 'Europe/Berlin'; ALTER DATABASE {0} SET bytea_output = 'escape';"
                  "ALTER DATABASE {0} SET extra_float_digits = -10; ALTER DATABASE {0} SET intervalstyle = 'iso_8601'; ALTER DATABASE {0} SET quote_all_identifiers = on;",
                  Connection::quote_identifier(other)));
  auto connection = open(other);
  const auto found = hash_tables(connection, entry->tables);
  ASSERT_TRUE(found) << found.error().message;
  const auto same = compare_hashes(entry->tables, *found);
  EXPECT_TRUE(same) << same.error().message;
  EXPECT_FALSE(connection.in_transaction());
}

TEST_F(Dumping, HashesAreTheSameHoweverTheArchiveIsCutAndWhoeverReadsTheRows) {
  const auto settings = nasty("dump_along %d {}");
  MemorySink sink;
  const auto entry = dump_database(programs, settings, {.use_snapshot = {}}, sink, progress);
  ASSERT_TRUE(entry) << entry.error().message;
  std::size_t most = 1;
  for (const unsigned seed : {1U, 2U, 3U}) {
    SCOPED_TRACE(seed);
    std::minstd_rand random(seed);
    ArchiveRows rows;
    for (std::string_view rest = sink.text; !rest.empty();) {
      const auto now = rest.substr(0, 1 + random() % most);
      ASSERT_TRUE(rows.take(now));
      rest.remove_prefix(now.size());
    }
    const auto again = rows.finish();
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(compare_hashes(entry->tables, *again));
    most *= 37;
  }
  for (std::size_t cut = 1; cut < sink.text.size(); cut += 1 + sink.text.size() / 997) {
    ArchiveRows rows;
    const auto taken = rows.take(std::string_view(sink.text).substr(0, cut));
    // Between two tables it looks whole: what is missing then is missing from the list.
    const auto found = taken ? rows.finish() : Result<std::vector<TableHash>>(std::unexpected(taken.error()));
    EXPECT_FALSE(found && compare_hashes(entry->tables, *found)) << cut;
  }
  auto connection = open(settings);
  const auto of_server = hash_tables(connection, entry->tables);
  ASSERT_TRUE(of_server);
  const auto same = compare_hashes(entry->tables, *of_server);
  EXPECT_TRUE(same) << same.error().message;
}

TEST_F(Dumping, HashesADatabaseOfAnotherEncodingByASecondLook) {
  auto system = open("postgres");
  sql(system, "CREATE DATABASE dump_latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
  auto settings = server.superuser();
  settings.database = "dump_latin1";
  {
    auto connection = open(settings);
    sql(connection, "CREATE TABLE \"Größe\" (id int, \"Straße\" text); INSERT INTO \"Größe\" VALUES (1, 'Übergröße'), (2, NULL)");
  }
  MemorySink sink;
  const auto entry = dump_database(programs, settings, {.use_snapshot = {}}, sink, progress);
  ASSERT_TRUE(entry) << entry.error().message;
  ASSERT_EQ(entry->tables.size(), 1U);
  EXPECT_EQ(entry->tables[0].table, "Größe");
  EXPECT_EQ(entry->tables[0].rows, 2U);
  EXPECT_THAT(entry->tables[0].columns, ::testing::ElementsAre("id", "Straße"));
  MemorySource source(sink.text);
  ASSERT_TRUE(restore_into(programs, server.superuser(), *entry, "dump_latin1_again", source, false, progress));
  auto again = open("dump_latin1_again");
  EXPECT_TRUE(compare_hashes(entry->tables, *hash_tables(again)));
}

TEST_F(Dumping, HashesTellEveryDifferenceApart) {
  const auto settings = server.database("dump_differences");
  auto connection = open(settings);
  sql(connection, "CREATE TABLE t (a text, b text, f float8); INSERT INTO t VALUES ('x', NULL, 0), ('x', NULL, 0)");
  auto before = hash_tables(connection);
  ASSERT_TRUE(before);
  for (const char* change : {"UPDATE t SET b = ''", "UPDATE t SET f = '-0'", "DELETE FROM t WHERE ctid = '(0,1)'", "INSERT INTO t VALUES ('x', NULL, 0)",
                             "UPDATE t SET a = NULL, b = 'x'", "UPDATE t SET a = 'x,' , b = NULL", "TRUNCATE t", "DROP TABLE t", "CREATE TABLE u ()",
                             "SELECT lo_create(0)"}) {
    sql(connection, fmt::format("BEGIN; {};", change));
    auto after = hash_tables(connection);
    ASSERT_TRUE(after) << after.error().message;
    const auto compared = compare_hashes(*before, *after);
    ASSERT_FALSE(compared) << change;
    EXPECT_EQ(compared.error().code, ErrorCode::kDamaged);
    sql(connection, "ROLLBACK");
  }
  EXPECT_TRUE(compare_hashes(*before, *hash_tables(connection)));
  auto other = *before;
  other[0].hash[0] = 'b';
  EXPECT_EQ(compare_hashes(other, *before).error().code, ErrorCode::kUnsupported) << "nothing is said about the rows";
}

TEST_F(Dumping, IsOneSnapshotWhileOthersWrite) {
  const auto settings = server.database("dump_busy");
  auto connection = open(settings);
  sql(connection, "CREATE TABLE a (id int); CREATE TABLE b (id int); INSERT INTO a SELECT generate_series(1, 20000); INSERT INTO b SELECT generate_series(1, 20000)");
  std::jthread writer([&](const std::stop_token& stop) {
    auto other = open(settings);
    while (!stop.stop_requested()) sql(other, "BEGIN; INSERT INTO a VALUES (0); INSERT INTO b VALUES (0); COMMIT");
  });
  const auto before = value(connection, "SELECT count(*) FROM a");
  ASSERT_TRUE(testing::eventually([&] { return value(connection, "SELECT count(*) FROM a") != before; }));
  MemorySink sink;
  const auto entry = dump_database(programs, settings, {.use_snapshot = {}}, sink, progress);
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->tables.at(0).rows, entry->tables.at(1).rows);
  MemorySource source(sink.text);
  ASSERT_TRUE(restore_into(programs, server.superuser(), *entry, "dump_busy_again", source, false, progress));
  auto again = open("dump_busy_again");
  EXPECT_TRUE(compare_hashes(entry->tables, *hash_tables(again)));
}

TEST_F(Dumping, ReadsTheSnapshotOfSomebodyElse) {
  const auto settings = server.database("dump_shared");
  auto holder = open(settings);
  sql(holder, "CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
  sql(holder, "BEGIN ISOLATION LEVEL REPEATABLE READ");
  const auto snapshot = value(holder, "SELECT pg_export_snapshot()");
  auto other = open(settings);
  sql(other, "INSERT INTO t VALUES (2)");
  MemorySink sink;
  const auto entry = dump_database(programs, settings, {.use_snapshot = snapshot}, sink, progress);
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->tables.at(0).rows, 1U);
}

TEST_F(Dumping, RefusesAPgDumpOlderThanTheServer) {
  const auto settings = server.database("dump_old_program");
  MemorySink sink;
  const auto entry = dump_database(with_fake("pg_dump", "echo 'pg_dump (PostgreSQL) 13.4 (Debian 13.4-1)'"), settings, {.use_snapshot = {}}, sink, progress);
  ASSERT_FALSE(entry);
  EXPECT_EQ(entry.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(entry.error().message, HasSubstr("of version 13, the server of version 15"));
}

TEST_F(Dumping, FailsOnAnExitCodeOnAWordOfComplaintAndOnNothing) {
  const auto settings = server.database("dump_fakes");
  MemorySink sink;
  const auto with = [&](const std::string& script) {
    return dump_database(with_fake("pg_dump", kVersion + script), settings, {.hash_tables = false, .use_snapshot = {}}, sink, progress);
  };
  EXPECT_THAT(with("echo archive; exit 1").error().message, HasSubstr("exit code 1"));
  EXPECT_THAT(with("echo archive; echo 'pg_dump: error: broken' >&2").error().message, HasSubstr("broken"));
  EXPECT_EQ(with("exit 0").error().code, ErrorCode::kProgramFailed);
  EXPECT_THAT(with("kill -KILL $$").error().message, HasSubstr("signal 9"));
  EXPECT_TRUE(with("echo archive; echo 'WARNING:  database \"x\" has a collation version mismatch' >&2"));
}

TEST_F(Dumping, FailsWhenATableIsLeftOutOrTheArchiveIsNone) {
  const auto settings = server.database("dump_left_out");
  auto connection = open(settings);
  sql(connection, "CREATE TABLE kept (id int); CREATE TABLE \"left out\" (id int)");
  MemorySink sink;
  const auto with = [&](const std::string& script) {
    return dump_database(with_fake("pg_dump", kVersion + script), settings, {.use_snapshot = {}}, sink, progress);
  };
  EXPECT_THAT(with("exec " + programs.pg_dump.string() + " --exclude-table='\"left out\"' \"$@\"").error().message, HasSubstr("left out public.left out"));
  EXPECT_EQ(with("echo archive").error().code, ErrorCode::kDamaged);
}

TEST_F(Dumping, KeepsThePasswordOutOfArgumentsAndEnvironment) {
  auto settings = server.database("dump_secret");
  sql(*std::make_unique<Connection>(open(settings)), "DROP ROLE IF EXISTS heimlich; CREATE ROLE heimlich LOGIN SUPERUSER PASSWORD 'ge:heim\\ ''x'");
  settings.user = "heimlich";
  settings.password = "ge:heim\\ 'x";
  const auto seen = directory.path() / "seen";
  const auto fake = with_fake("pg_dump", std::string(kVersion) + "tr '\\0' '\\n' < /proc/$$/cmdline > " + seen.string() + "; env >> " + seen.string() +
                                             "; exec " + programs.pg_dump.string() + " \"$@\"");
  MemorySink sink;
  const auto entry = dump_database(fake, settings, {.use_snapshot = {}}, sink, progress);
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_THAT(*os::read_file(seen), HasSubstr("PGPASSFILE=/proc/"));
  EXPECT_THAT(*os::read_file(seen), ::testing::Not(HasSubstr("ge:heim")));
  settings.password = "falsch";
  EXPECT_EQ(dump_database(programs, settings, {.use_snapshot = {}}, sink, progress).error().code, ErrorCode::kUnauthenticated);
}

TEST_F(Dumping, EndsWithTheSinksErrorAndOnDemand) {
  const auto settings = nasty("dump_ended");
  MemorySink full;
  full.fail_after = 1000;
  EXPECT_EQ(dump_database(programs, settings, {.use_snapshot = {}}, full, progress).error().code, ErrorCode::kDiskFull);
  progress.stop = true;
  MemorySink sink;
  EXPECT_EQ(dump_database(programs, settings, {.use_snapshot = {}}, sink, progress).error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(testing::eventually([&] {
    return asked("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = " + Connection::quote_literal(settings.database)) == "0";
  })) << "no session is left";
}

TEST_F(Dumping, FailsWhenTheServerDies) {
  const auto settings = server.database("dump_killed");
  sql(*std::make_unique<Connection>(open(settings)), "CREATE TABLE t (x text); INSERT INTO t SELECT repeat(md5(g::text), 30) FROM generate_series(1, 50000) g");
  progress.on_move = [this, killed = false]() mutable {
    if (!std::exchange(killed, true)) server.kill_immediate();
  };
  MemorySink sink;
  const auto entry = dump_database(programs, settings, {.use_snapshot = {}}, sink, progress);
  server.restart();
  ASSERT_FALSE(entry);
  EXPECT_EQ(entry.error().code, ErrorCode::kDatabaseDown) << entry.error().message;
}

TEST_F(Dumping, SeesATruncatedArchiveAndAFlippedByteOfACompressedOne) {
  const auto [path, entry] = dumped(nasty("dump_damage"));
  const auto whole = *os::read_file(path);
  MemorySource good(whole);
  EXPECT_TRUE(check_archive(programs, good, progress));
  unsigned seed = 7;
  for (int round = 0; round < 12; ++round) {
    const std::size_t at = static_cast<std::size_t>(rand_r(&seed)) % (whole.size() - 1);
    MemorySource cut(std::string_view(whole).substr(0, at));
    const auto checked = check_archive(programs, cut, progress);
    ASSERT_FALSE(checked) << "cut at " << at;
    EXPECT_EQ(checked.error().code, ErrorCode::kDamaged);
  }
  EXPECT_FALSE(check_archive(programs, *std::make_unique<MemorySource>(""), progress));
  // In the rows, which zlib sums up; the list of contents is not: that is what the hash beside is for.
  std::string flipped = whole;
  flipped[whole.size() / 2] ^= 4;
  MemorySource bad(flipped);
  EXPECT_EQ(check_archive(programs, bad, progress).error().code, ErrorCode::kDamaged);
}

TEST_F(Dumping, WritesRolesForTheOtherMachine) {
  MemorySink sink;
  sql(*std::make_unique<Connection>(open("postgres")), "DROP ROLE IF EXISTS dump_globals_role; CREATE ROLE dump_globals_role");
  const auto done = dump_globals(programs, server.superuser(), sink);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_THAT(sink.text, HasSubstr("CREATE ROLE dump_globals_role;"));
}

TEST_F(Dumping, LeavesNoHalfFileBehind) {
  const auto left = directory.path() / ".verbund-0011223344556677.partial";
  std::ofstream(left) << "of a killed one";
  {
    auto file = DumpFile::create(directory.path());
    ASSERT_TRUE(file);
    EXPECT_FALSE(fs::exists(left));
    ASSERT_TRUE((*file)->write("half"));
    auto second = DumpFile::create(directory.path());
    EXPECT_TRUE(fs::exists((*file)->path())) << "a living one's is left alone";
  }
  EXPECT_TRUE(fs::is_empty(directory.path()));
  auto file = DumpFile::create(directory.path());
  ASSERT_TRUE((*file)->write("whole"));
  ASSERT_TRUE((*file)->finish());
  std::ofstream(directory.path() / "taken") << "x";
  EXPECT_EQ((*file)->publish(directory.path() / "taken").error().code, ErrorCode::kAlreadyExists);
  ASSERT_TRUE((*file)->publish(directory.path() / "free"));
  file->reset();
  EXPECT_EQ(*os::read_file(directory.path() / "free"), "whole");
  struct stat status{};
  ::stat((directory.path() / "free").c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_EQ(DumpFile::create(directory.path() / "nowhere").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace verbund::backup
