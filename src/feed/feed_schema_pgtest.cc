// The source's schema changes while the feed runs: it follows, or the one table rests and says why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <random>
#include <thread>

#include "feed/feed_scene.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;
using testing_scene::shown;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr std::string_view kRows =
    "INSERT INTO patient SELECT i, 'p' || i, repeat('l', i % 50) FROM generate_series(1, 200) i;"
    "INSERT INTO encounter SELECT i, 1 + i % 200, 'visit' FROM generate_series(1, 300) i;"
    "INSERT INTO observation SELECT 1 + i % 300, i, 'o' FROM generate_series(1, 400) i";

struct Change {
  std::string name;
  std::vector<std::string> statements;  ///< each a transaction of its own
};
void PrintTo(const Change& change, std::ostream* out) { *out << change.name; }

std::vector<Change> changes() {
  return {
      {"AddedColumn", {"ALTER TABLE patient ADD COLUMN born date", "INSERT INTO patient VALUES (901, 'x', NULL, '1970-01-01')"}},
      {"AddedColumnWithDefault", {"ALTER TABLE patient ADD COLUMN mood text NOT NULL DEFAULT 'it''s \\ \"fine\"'", "UPDATE patient SET name = 'q' WHERE id = 3"}},
      {"AddedArrayWithDefault", {"ALTER TABLE patient ADD COLUMN tags text[] DEFAULT '{a,\"b c\",NULL}'", "UPDATE patient SET tags = '{}' WHERE id = 3"}},
      {"AddedColumnWithVolatileDefault", {"ALTER TABLE patient ADD COLUMN luck double precision DEFAULT random()"}},
      {"AddedIdentity", {"ALTER TABLE patient ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY"}},
      {"AddedGeneratedColumn", {"ALTER TABLE patient ADD COLUMN twice integer GENERATED ALWAYS AS (id * 2) STORED", "UPDATE patient SET name = 'g' WHERE id = 4"}},
      {"DroppedColumn", {"ALTER TABLE patient DROP COLUMN letter", "INSERT INTO patient VALUES (902, 'x')"}},
      {"RenamedColumn", {"ALTER TABLE patient RENAME name TO \"Näme \"\"x\"", "UPDATE patient SET letter = 'r' WHERE id = 3"}},
      {"RenamedColumnOnTheWay", {"ALTER TABLE encounter RENAME patient_id TO of_patient", "UPDATE encounter SET kind = 'r' WHERE id = 3",
                                 "INSERT INTO observation VALUES (3, 999, 'x')"}},
      {"SwappedNames", {"ALTER TABLE patient RENAME name TO x; ALTER TABLE patient RENAME letter TO name; ALTER TABLE patient RENAME x TO letter",
                        "UPDATE patient SET letter = 's' WHERE id = 3"}},
      {"DroppedAndMadeAgain", {"ALTER TABLE patient DROP COLUMN letter, ADD COLUMN letter text"}},
      {"Retyped", {"ALTER TABLE encounter ALTER kind TYPE varchar(20)", "UPDATE encounter SET kind = 't' WHERE id = 3"}},
      {"RetypedKey", {"ALTER TABLE encounter ALTER patient_id TYPE bigint", "UPDATE encounter SET kind = 'k' WHERE id = 3"}},
      {"RewrittenWithoutAWord", {"ALTER TABLE encounter ALTER kind TYPE text USING upper(kind)"}},
      {"ManyInARow", {"ALTER TABLE patient ADD COLUMN a text DEFAULT 'a'", "UPDATE patient SET a = 'b' WHERE id < 5", "ALTER TABLE patient ADD COLUMN b integer DEFAULT 7",
                      "INSERT INTO patient VALUES (903, 'n', NULL, 'x', 8)", "ALTER TABLE patient DROP COLUMN a", "ALTER TABLE patient RENAME b TO a",
                      "INSERT INTO patient VALUES (904, 'n', NULL, 9)", "ALTER TABLE patient ALTER a TYPE text"}},
      {"WithinATransaction", {"BEGIN; INSERT INTO patient VALUES (905, 'old', NULL); UPDATE patient SET name = 'o' WHERE id = 6;"
                              "ALTER TABLE patient ADD COLUMN born date DEFAULT '2000-01-01'; INSERT INTO patient VALUES (906, 'new', NULL, '1999-01-01');"
                              "DELETE FROM patient WHERE id = 905; ALTER TABLE patient DROP COLUMN letter; UPDATE patient SET born = NULL WHERE id = 7; COMMIT"}},
      {"RolledBack", {"BEGIN; ALTER TABLE patient ADD COLUMN nothing text; INSERT INTO patient VALUES (907, 'x', NULL, 'y'); ROLLBACK",
                      "UPDATE patient SET name = 'after' WHERE id = 5"}},
      {"TruncatedAndFilled", {"TRUNCATE observation; INSERT INTO observation VALUES (1, 1, 'again')"}},
      {"AnotherKey", {"ALTER TABLE observation DROP CONSTRAINT observation_pkey; ALTER TABLE observation ADD PRIMARY KEY (line, encounter_id)",
                      "INSERT INTO observation VALUES (5, 5000, 'x')"}},
      {"ReplicaIdentityFull", {"ALTER TABLE patient REPLICA IDENTITY FULL", "UPDATE patient SET name = 'f' WHERE id = 9", "DELETE FROM patient WHERE id = 10",
                               "UPDATE patient SET id = 908 WHERE id = 11"}},
      {"Vacuumed", {"UPDATE patient SET letter = 'v' WHERE id < 50", "VACUUM FULL patient", "UPDATE patient SET letter = 'w' WHERE id < 20"}},
      {"ReplacedTable", {"CREATE TABLE spare (id integer PRIMARY KEY, line integer, note text); INSERT INTO spare SELECT i, i, 'n' FROM generate_series(1, 9) i;"
                         "ALTER TABLE stamp RENAME TO old_stamp; ALTER TABLE spare RENAME TO stamp; ALTER TABLE stamp ADD card_code text",
                         "INSERT INTO stamp VALUES (10, 10, 'x', 'c')"}},
  };
}

class SchemaChange : public ::testing::TestWithParam<Change> {};

TEST_P(SchemaChange, IsFollowedWithoutANewHistory) {
  Scene scene;
  scene.sql(kRows);
  scene.start();
  const Cursor start = scene.feed().head();
  for (const std::string& statement : GetParam().statements) scene.sql(statement);
  EXPECT_TRUE(scene.waited_for([&] { return scene.differences().empty(); })) << scene.differences() << scene.feed().status().reason;
  scene.sql("UPDATE patient SET id = id WHERE id = 1");
  scene.settle();
  EXPECT_TRUE(scene.waited_for([&] { return scene.differences().empty(); })) << scene.differences();
  EXPECT_EQ(scene.state_of("patient"), "captured");
  EXPECT_EQ(scene.feed().head().history, start.history);
  EXPECT_THAT(scene.snapshots(), IsEmpty());
}

TEST_P(SchemaChange, IsFoundAfterAPause) {
  Scene scene;
  scene.sql(kRows);
  scene.start();
  const Cursor start = scene.feed().head();
  scene.stop();
  scene.sql("UPDATE patient SET name = 'meanwhile' WHERE id = 2");
  for (const std::string& statement : GetParam().statements) scene.sql(statement);
  scene.start();
  scene.settle();
  EXPECT_TRUE(scene.waited_for([&] { return scene.differences().empty(); })) << scene.differences();
  EXPECT_EQ(scene.feed().head().history, start.history);
}

INSTANTIATE_TEST_SUITE_P(Each, SchemaChange, ::testing::ValuesIn(changes()), [](const auto& info) { return info.param.name; });

TEST(Schema, AddedColumnIsToldAsRecordsToReload) {
  Scene scene;
  scene.sql(kRows);
  scene.start();
  scene.sql("ALTER TABLE patient ADD COLUMN born date DEFAULT '1970-01-01'");
  scene.sql("UPDATE patient SET name = 'c' WHERE id = 1");
  const auto told = scene.told(2);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_THAT(told[0], StartsWith("bulk patient"));
  EXPECT_EQ(told[1], "U patient/1 [patient]");
}

TEST(Schema, TableWithoutItsKeyRestsAndComesBack) {
  Scene scene;
  scene.sql(kRows);
  scene.start();
  scene.sql("ALTER TABLE observation DROP CONSTRAINT observation_pkey");
  EXPECT_TRUE(scene.waited_for([&] { return scene.state_of("observation").starts_with("paused: it has no primary key"); }));
  // The application's own work goes on, and so do the other tables.
  scene.sql("UPDATE observation SET seen = 'unseen' WHERE line < 100; DELETE FROM observation WHERE line = 200");
  scene.sql("UPDATE patient SET name = 'c' WHERE id = 1");
  scene.settle();
  EXPECT_THAT(scene.told(1), Contains("U patient/1 [patient]"));
  auto refused = scene.feed().continue_table("public", "observation");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  scene.sql("ALTER TABLE observation ADD PRIMARY KEY (encounter_id, line)");
  EXPECT_TRUE(scene.waited_for([&] { return scene.state_of("observation") == "captured" && scene.differences().empty(); })) << scene.state_of("observation");
  EXPECT_THAT(scene.snapshots(), IsEmpty());
}

TEST(Schema, LockedTableIsRefusedInTimeAndContinuedLater) {
  Scene scene;
  scene.sql(kRows);
  scene.start();
  auto other = postgres::Connection::open(scene.settings().source);
  ASSERT_TRUE(other);
  ASSERT_TRUE(other->execute("BEGIN; LOCK TABLE patient IN ACCESS EXCLUSIVE MODE"));
  const auto refused = scene.feed().continue_table("public", "patient");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTimedOut) << refused.error().message;
  EXPECT_EQ(scene.state_of("patient"), "captured") << "nothing was wrong with it";
  ASSERT_TRUE(other->execute("COMMIT"));
  scene.sql("UPDATE patient SET name = 'd' WHERE id = 1");
  const auto continued = scene.feed().continue_table("public", "patient");
  ASSERT_TRUE(continued) << continued.error().message;
  EXPECT_EQ(*continued, 1U);
  EXPECT_EQ(scene.state_of("patient"), "captured");
  scene.settle();
  EXPECT_EQ(scene.differences(), "");
}

TEST(Schema, NewTablesAreTakenInByPattern) {
  Scene scene;
  scene.settings().capture = {"public.*", "other.*", "!public.temp_*"};
  scene.start();
  scene.sql("CREATE SCHEMA other; CREATE TABLE other.\"Ärzte\" (id integer PRIMARY KEY, name text); INSERT INTO other.\"Ärzte\" VALUES (1, 'A');"
            "CREATE TABLE temp_x (id integer PRIMARY KEY); CREATE TABLE keyless (id integer)");
  EXPECT_TRUE(scene.waited_for([&] { return scene.state_of("Ärzte") == "captured"; }));
  scene.sql("INSERT INTO other.\"Ärzte\" VALUES (2, 'B')");
  scene.settle();
  EXPECT_EQ(scene.difference("other", "Ärzte"), "");
  EXPECT_EQ(scene.state_of("temp_x"), "");
  EXPECT_THAT(scene.state_of("keyless"), StartsWith("excluded: it has no primary key"));
  scene.sql("ALTER TABLE other.\"Ärzte\" RENAME TO aerzte");
  EXPECT_TRUE(scene.waited_for([&] { return scene.state_of("aerzte") == "captured"; }));
  scene.sql("INSERT INTO other.aerzte VALUES (3, 'C')");
  scene.settle();
  EXPECT_EQ(scene.difference("other", "aerzte"), "");
  scene.sql("DROP TABLE other.aerzte");
  EXPECT_TRUE(scene.waited_for([&] { return scene.state_of("aerzte").empty(); }));
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed.source_table WHERE schema_name = 'other'"), "0");
}

TEST(Schema, WhatIsToBeCapturedMayChangeWhileItRuns) {
  Scene scene;
  scene.sql("CREATE TABLE later (id integer PRIMARY KEY, name text); INSERT INTO later VALUES (1, 'A')");
  scene.start();
  EXPECT_EQ(scene.state_of("later"), "");
  const auto taken = scene.feed().capture({"public.later"}, seconds{60});
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(scene.state_of("later"), "captured");
  scene.sql("INSERT INTO later VALUES (2, 'B')");
  scene.settle();
  EXPECT_EQ(scene.difference("public", "later"), "");
  ASSERT_TRUE(scene.feed().capture({}, seconds{60}));
  EXPECT_EQ(scene.state_of("later"), "");
  EXPECT_EQ(scene.state_of("patient"), "captured");
  scene.sql("INSERT INTO patient VALUES (77, 'C', NULL)");
  scene.settle();
  EXPECT_EQ(scene.differences(), "");
}

TEST(Schema, ConfiguredTableIsFollowedByNameOrGoneForAll) {
  Scene scene;
  scene.sql(kRows);
  scene.start();
  scene.sql("ALTER TABLE encounter RENAME TO visit");
  scene.sql("UPDATE visit SET kind = 'renamed' WHERE id = 3");
  EXPECT_TRUE(scene.waited_for([&] { return scene.state_of("visit") == "captured"; }));
  scene.settle();
  EXPECT_EQ(scene.difference("public", "visit"), "");
  scene.sql("INSERT INTO observation VALUES (4, 4000, 'through the renamed one')");
  scene.settle();
  EXPECT_EQ(shown(scene.events().back()), "U patient/5 [observation]");
  scene.sql("DROP TABLE patient CASCADE");
  EXPECT_TRUE(scene.waited_for([&] { return scene.state_of("patient").starts_with("excluded: there is no such table"); })) << scene.state_of("patient");
  EXPECT_TRUE(scene.waited_for([&] { return !scene.events().empty() && scene.events().back().truncated == std::vector<std::string>{"patient"}; }));
}

TEST(Schema, PartitionsAreOneTable) {
  Scene scene;
  scene.sql("CREATE TABLE reading (id integer, at date, patient_id integer, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
            "CREATE TABLE reading_25 PARTITION OF reading FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');"
            "CREATE TABLE reading_26 PARTITION OF reading FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
            "INSERT INTO patient VALUES (1, 'A', NULL);"
            "INSERT INTO reading SELECT i, date '2025-06-01' + i, 1, 'v' FROM generate_series(1, 300) i");
  scene.settings().tables.push_back({"public", "reading", "patient", {{{"patient_id"}, "public", "patient", {"id"}}}, false});
  scene.start();
  scene.sql("UPDATE reading SET at = '2026-12-01' WHERE id = 1; DELETE FROM reading WHERE id = 2; INSERT INTO reading VALUES (1000, '2025-02-02', 1, NULL)");
  scene.settle();
  EXPECT_EQ(scene.difference("public", "reading"), "");
  EXPECT_EQ(scene.told(1).back(), "U patient/1 [reading]");
  // None of these is in the log.
  for (const auto* statement : {"CREATE TABLE reading_27 (LIKE reading INCLUDING ALL); INSERT INTO reading_27 VALUES (2000, '2027-01-01', 1, 'a');"
                                "ALTER TABLE reading ATTACH PARTITION reading_27 FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
                                "TRUNCATE reading_26", "ALTER TABLE reading DETACH PARTITION reading_25"}) {
    scene.sql(statement);
    EXPECT_TRUE(scene.waited_for([&] { return scene.difference("public", "reading").empty(); })) << statement;
  }
  scene.sql("INSERT INTO reading VALUES (3000, '2027-02-02', 1, 'later')");
  scene.settle();
  EXPECT_EQ(scene.difference("public", "reading"), "");
  EXPECT_THAT(scene.snapshots(), IsEmpty());
}

/// Writers at work while the schema changes under them; at the end the shadow is the source.
class SchemaStorm : public ::testing::TestWithParam<unsigned> {};

/// The writer may be in the way until a deadlock is broken: then the change is not made.
void attempt(Scene& scene, const std::string& statements) {
  if (auto done = scene.source().execute(statements); done) return;
  if (scene.source().in_transaction()) scene.sql("ROLLBACK");
}

void change_randomly(Scene& scene, std::mt19937& random, int number) {
  switch (random() % 9) {
    case 0: attempt(scene, fmt::format("ALTER TABLE patient ADD COLUMN c{} text DEFAULT 'd{}'", number, number)); break;
    case 1: attempt(scene, fmt::format("ALTER TABLE encounter ADD COLUMN c{} double precision DEFAULT random()", number)); break;
    case 2: attempt(scene, "DO $$ DECLARE c text; BEGIN SELECT attname INTO c FROM pg_attribute WHERE attrelid = 'patient'::regclass AND attname ~ '^c[0-9]' AND NOT attisdropped"
                      " ORDER BY random() LIMIT 1; IF c IS NOT NULL THEN EXECUTE format('ALTER TABLE patient DROP COLUMN %I', c); END IF; END $$"); break;
    case 3: attempt(scene, fmt::format("DO $$ DECLARE c text; BEGIN SELECT attname INTO c FROM pg_attribute WHERE attrelid = 'patient'::regclass AND attname ~ '^c[0-9]' AND NOT attisdropped"
                      " ORDER BY random() LIMIT 1; IF c IS NOT NULL THEN EXECUTE format('ALTER TABLE patient RENAME %I TO c{}', c); END IF; END $$", number)); break;
    case 4: attempt(scene, "ALTER TABLE encounter ALTER kind TYPE text USING kind || 'x'"); break;
    case 5: attempt(scene, random() % 2 == 0 ? "ALTER TABLE encounter ALTER kind TYPE varchar" : "ALTER TABLE encounter ALTER kind TYPE text"); break;
    case 6: attempt(scene, "TRUNCATE observation"); break;
    case 7: attempt(scene, fmt::format("BEGIN; UPDATE patient SET name = 'before' WHERE id % 9 = 1; ALTER TABLE patient ADD COLUMN c{} integer DEFAULT 3;"
                                  "UPDATE patient SET name = 'after', c{} = 4 WHERE id % 9 = 2; COMMIT", number, number)); break;
    default: attempt(scene, "VACUUM FULL patient"); break;
  }
}

TEST_P(SchemaStorm, LeavesTheShadowLikeTheSource) {
  std::mt19937 random(GetParam());
  RecordProperty("seed", static_cast<int>(GetParam()));
  Scene scene;
  scene.settings().batch_changes = 1 + random() % 40;
  scene.sql(kRows);
  scene.start();
  const Cursor start = scene.feed().head();
  std::atomic<bool> done = false;
  std::jthread writer([&] {
    auto connection = postgres::Connection::open(scene.settings().source);
    std::mt19937 dice(GetParam() + 1);
    while (connection && !done) {
      const auto id = 1 + dice() % 250;
      const std::string statement = dice() % 3 == 0   ? fmt::format("INSERT INTO patient (id, name) VALUES ({}, 'w') ON CONFLICT (id) DO UPDATE SET name = 'u{}'", id, dice())
                                    : dice() % 2 == 0 ? fmt::format("UPDATE encounter SET kind = 'k{}' WHERE id = {}", dice() % 100, id)
                                                      : fmt::format("INSERT INTO observation VALUES ({}, {}, 's') ON CONFLICT DO NOTHING", 1 + dice() % 300, dice() % 9999);
      static_cast<void>(connection->execute(statement));
    }
  });
  for (int i = 0; i < 25; ++i) {
    change_randomly(scene, random, i);
    if (random() % 12 == 0) {
      scene.stop();
      change_randomly(scene, random, 100 + i);
      scene.start();
    }
  }
  done = true;
  writer.join();
  EXPECT_TRUE(scene.waited_for([&] { return scene.differences().empty(); })) << "seed " << GetParam() << "\n" << scene.differences() << scene.feed().status().reason;
  EXPECT_EQ(scene.feed().head().history, start.history) << "seed " << GetParam();
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM (SELECT csn, lag(csn) OVER (ORDER BY csn) AS before FROM feed.change) c"
                                 " WHERE csn <> before + 1"), "0");
}

INSTANTIATE_TEST_SUITE_P(Seeds, SchemaStorm, ::testing::Values(1U, 2U, 3U));

}  // namespace
}  // namespace verbund::feed
