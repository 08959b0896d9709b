// A table that loses its key while it is published: the application's UPDATE goes on, and no change is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "feed/feed_scene.h"
#include "feed/keyless.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr std::string_view kMore =
    "CREATE DOMAIN nummer AS integer;"
    "CREATE TABLE reading (id nummer, taken date, seen text, PRIMARY KEY (id, taken)) PARTITION BY RANGE (taken);"
    "CREATE TABLE reading_old PARTITION OF reading FOR VALUES FROM (MINVALUE) TO ('2026-01-01');"
    "CREATE TABLE \"Ünruhe\" (\"Nr\" nummer PRIMARY KEY, seen text);"
    "INSERT INTO \"Ünruhe\" VALUES (1, 'a'); INSERT INTO reading VALUES (1, '2025-01-01', 'a');"
    "INSERT INTO stamp (id, card_code) VALUES (1, 'a'), (2, 'b'); INSERT INTO card VALUES (1, 'a', 1)";

void add_more(Scene& scene) {
  scene.sql(kMore);
  scene.settings().tables.push_back({"public", "reading", "", {}});
  scene.settings().tables.push_back({"public", "Ünruhe", "", {}});
}

struct Loss {
  std::string name, table;
  std::string statement;  ///< takes the key away
  std::string writes;     ///< what the application does next, and must not fail
  std::string back;       ///< gives it back
};
void PrintTo(const Loss& loss, std::ostream* out) { *out << loss.name; }

std::vector<Loss> losses() {
  const std::string stamps = "UPDATE stamp SET price = 2; DELETE FROM stamp WHERE id = 2; INSERT INTO stamp (id) VALUES (3)";
  const std::string readings = "UPDATE reading SET seen = 'b'; INSERT INTO reading VALUES (2, '2025-02-02', 'c'); DELETE FROM reading WHERE id = 1";
  return {
      {"DroppedKey", "stamp", "ALTER TABLE stamp DROP CONSTRAINT stamp_pkey", stamps, "ALTER TABLE stamp ADD PRIMARY KEY (id)"},
      {"DroppedColumn", "stamp", "ALTER TABLE stamp DROP COLUMN id", "UPDATE stamp SET price = 2; DELETE FROM stamp WHERE card_code = 'b'",
       "ALTER TABLE stamp ADD COLUMN id serial PRIMARY KEY"},
      {"IdentityNothing", "stamp", "ALTER TABLE stamp REPLICA IDENTITY NOTHING", stamps, "ALTER TABLE stamp REPLICA IDENTITY DEFAULT"},
      {"KeyThatIsDeferrable", "stamp", "ALTER TABLE stamp DROP CONSTRAINT stamp_pkey, ADD PRIMARY KEY (id) DEFERRABLE", stamps,
       "ALTER TABLE stamp DROP CONSTRAINT stamp_pkey, ADD PRIMARY KEY (id)"},
      {"WithinATransactionThatWrites", "stamp",
       "BEGIN; UPDATE stamp SET price = 7; ALTER TABLE stamp DROP CONSTRAINT stamp_pkey; UPDATE stamp SET price = 8; COMMIT", stamps,
       "ALTER TABLE stamp ADD PRIMARY KEY (id)"},
      {"InsideAFunction", "stamp", "DO $$ BEGIN EXECUTE 'ALTER TABLE stamp DROP CONSTRAINT stamp_pkey'; UPDATE stamp SET price = 8; END $$", stamps,
       "ALTER TABLE stamp ADD PRIMARY KEY (id)"},
      {"DomainWithCascade", "Ünruhe", "DROP DOMAIN nummer CASCADE", "UPDATE \"Ünruhe\" SET seen = 'b'",
       "ALTER TABLE \"Ünruhe\" ADD COLUMN \"Nr\" serial PRIMARY KEY"},
      {"PartitionedTable", "reading", "ALTER TABLE reading DROP CONSTRAINT reading_pkey", readings, "ALTER TABLE reading ADD PRIMARY KEY (id, taken)"},
      {"AttachedPartitionWithoutIdentity", "reading",
       "CREATE TABLE reading_new (LIKE reading INCLUDING ALL); ALTER TABLE reading_new REPLICA IDENTITY NOTHING;"
       "ALTER TABLE reading ATTACH PARTITION reading_new FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)",
       readings + "; INSERT INTO reading VALUES (9, '2026-03-03', 'n'); UPDATE reading SET seen = 'z' WHERE id = 9",
       "ALTER TABLE reading_new REPLICA IDENTITY DEFAULT"},
  };
}

class LostKey : public ::testing::TestWithParam<Loss> {};

TEST_P(LostKey, NeverFailsTheApplicationAndRestsUntilItIsBack) {
  const Loss& loss = GetParam();
  Scene scene;
  add_more(scene);
  scene.start();
  ASSERT_EQ(scene.state_of(loss.table), "captured");
  scene.sql(loss.statement);
  scene.sql(loss.writes);
  EXPECT_TRUE(scene.waited_for([&] { return scene.state_of(loss.table).starts_with("paused: "); })) << scene.state_of(loss.table);
  scene.sql("INSERT INTO patient VALUES (1, 'a', NULL)");  // the others go on
  scene.settle();
  EXPECT_EQ(scene.difference("public", "patient"), "");
  scene.sql(loss.back);
  EXPECT_TRUE(scene.waited_for([&] { return scene.state_of(loss.table) == "captured" && scene.difference("public", loss.table).empty(); }))
      << scene.state_of(loss.table) << scene.difference("public", loss.table);
  scene.sql(fmt::format("UPDATE {} SET {}", loss.table == "Ünruhe" ? "\"Ünruhe\"" : loss.table, loss.table == "stamp" ? "price = 9" : "seen = 'again'"));
  scene.settle();
  EXPECT_EQ(scene.difference("public", loss.table), "");
  EXPECT_THAT(scene.snapshots(), IsEmpty());
}

TEST_P(LostKey, WhileNobodyLooksTheApplicationGoesOn) {
  const Loss& loss = GetParam();
  Scene scene;
  add_more(scene);
  scene.start();
  scene.stop();
  scene.sql(loss.statement);
  scene.sql(loss.writes);
  scene.sql(loss.back);
  scene.sql(fmt::format("UPDATE {} SET {}", loss.table == "Ünruhe" ? "\"Ünruhe\"" : loss.table, loss.table == "stamp" ? "price = 9" : "seen = 'again'"));
  scene.free_slot();
  scene.start();
  EXPECT_TRUE(scene.waited_for([&] { return scene.state_of(loss.table) == "captured" && scene.difference("public", loss.table).empty(); }))
      << scene.state_of(loss.table) << scene.difference("public", loss.table);
  EXPECT_THAT(scene.snapshots(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Ways, LostKey, ::testing::ValuesIn(losses()), [](const auto& info) { return info.param.name; });

TEST(ReplacedKey, StaysFollowed) {
  for (const std::string statement :
       {"ALTER TABLE stamp DROP CONSTRAINT stamp_pkey, ADD PRIMARY KEY (id)",
        "ALTER TABLE stamp DROP CONSTRAINT stamp_pkey, ALTER card_code SET NOT NULL, ADD PRIMARY KEY (card_code, id)",
        "BEGIN; ALTER TABLE stamp DROP CONSTRAINT stamp_pkey; ALTER TABLE stamp ADD PRIMARY KEY (id); COMMIT",
        "BEGIN; UPDATE stamp SET price = 1; ALTER TABLE stamp DROP CONSTRAINT stamp_pkey; UPDATE stamp SET price = 2; DELETE FROM stamp WHERE id = 2;"
        "ALTER TABLE stamp ADD PRIMARY KEY (id); INSERT INTO stamp (id) VALUES (77); COMMIT"}) {
    Scene scene;
    add_more(scene);
    scene.start();
    scene.sql(statement);
    scene.sql("UPDATE stamp SET weight = 1; INSERT INTO stamp (id, card_code) VALUES (78, 'x')");
    EXPECT_TRUE(scene.waited_for([&] { return scene.difference("public", "stamp").empty(); })) << statement << scene.difference("public", "stamp");
    // Until the look nothing had to be refused; from there on everything comes by itself again.
    EXPECT_TRUE(scene.waited_for([&] { return scene.value("SELECT count(*) FROM pg_publication_tables WHERE tablename = 'stamp'") == "1"; }));
    scene.sql("UPDATE stamp SET weight = 2");
    EXPECT_TRUE(scene.waited_for([&] { return scene.difference("public", "stamp").empty(); })) << statement;
    EXPECT_EQ(scene.state_of("stamp"), "captured") << statement;
    EXPECT_THAT(scene.snapshots(), IsEmpty());
  }
}

TEST(KeyTrigger, NeverFailsWhatTheApplicationDoes) {
  Scene scene;
  add_more(scene);
  scene.start();
  const std::string trigger = key_trigger_name(scene.settings().publication);
  scene.stop();
  // A table that another one keeps busy is in the way of taking it out.
  scene.sql(fmt::format("ALTER EVENT TRIGGER {0} DISABLE; ALTER TABLE stamp DROP CONSTRAINT stamp_pkey; ALTER EVENT TRIGGER {0} ENABLE ALWAYS", trigger));
  auto busy = postgres::Connection::open(scene.settings().source);
  ASSERT_TRUE(busy);
  ASSERT_TRUE(busy->execute("BEGIN; LOCK TABLE stamp IN ACCESS EXCLUSIVE MODE"));
  scene.sql("ALTER TABLE card ADD COLUMN more text");
  ASSERT_TRUE(busy->execute("ROLLBACK"));
  scene.sql("ALTER TABLE card ADD COLUMN most text; UPDATE stamp SET price = 1");
  scene.sql("DROP PUBLICATION verbund; ALTER TABLE card DROP CONSTRAINT card_pkey; UPDATE card SET more = 'x'");
}

TEST(KeyTrigger, IsMadeOnceAndStaysAsAPersonLeftIt) {
  Scene scene;
  scene.start();
  const std::string trigger = key_trigger_name(scene.settings().publication);
  const std::string number = fmt::format("SELECT oid FROM pg_event_trigger WHERE evtname = '{}'", trigger);
  const std::string made = scene.value(number);
  ASSERT_NE(made, "");
  scene.stop();
  scene.sql(fmt::format("ALTER EVENT TRIGGER {} DISABLE", trigger));
  scene.free_slot();
  scene.start();
  EXPECT_EQ(scene.value(number), made);
  EXPECT_EQ(scene.value("SELECT evtenabled FROM pg_event_trigger"), "D");
  scene.sql("ALTER TABLE stamp DROP CONSTRAINT stamp_pkey");
  EXPECT_TRUE(scene.waited_for([&] { return scene.source().execute("UPDATE stamp SET price = 1").has_value(); })) << "then somebody looks";
  scene.sql(fmt::format("DROP EVENT TRIGGER {}", trigger));
  EXPECT_TRUE(scene.waited_for([&] { return scene.value(number) != made; })) << "made anew";
}

TEST(KeyTrigger, NamesFitWhateverThePublicationIsCalled) {
  EXPECT_EQ(key_trigger_name("verbund"), "verbund_keys_of_verbund");
  std::string long_name;
  for (int i = 0; i < 31; ++i) long_name += "ü";
  EXPECT_LE(key_trigger_name(long_name).size(), 63U);
  Scene scene;
  scene.settings().publication = long_name;
  scene.start();
  auto there = has_key_trigger(scene.source(), long_name);
  ASSERT_TRUE(there) << there.error().message;
  EXPECT_TRUE(*there);
  scene.sql("ALTER TABLE stamp DROP CONSTRAINT stamp_pkey; UPDATE stamp SET price = 1");
}

/// A role that may replicate and owns the tables, but is no superuser.
void without_superuser(Scene& scene) {
  const std::string role = "amt_" + scene.settings().source.database;
  scene.sql(fmt::format("CREATE ROLE {0} LOGIN REPLICATION PASSWORD 'amt'; GRANT CREATE ON DATABASE {1} TO {0}", role, scene.settings().source.database));
  for (const char* table : {"patient", "encounter", "observation", "card", "stamp", "note"}) {
    scene.sql(fmt::format("ALTER TABLE {} OWNER TO {}", table, role));
  }
  scene.settings().source.user = role;
  scene.settings().source.password = "amt";
}

TEST(LostKeyWithoutSuperuser, IsSeenByTheQuickLookAlone) {
  Scene scene;
  without_superuser(scene);
  scene.settings().upkeep_every = std::chrono::hours{1};
  scene.settings().keys_looked_at_every = milliseconds{50};
  scene.start();
  EXPECT_EQ(scene.value("SELECT count(*) FROM pg_event_trigger"), "0");
  for (const std::string statement : {"ALTER TABLE stamp DROP CONSTRAINT stamp_pkey", "ALTER TABLE card REPLICA IDENTITY NOTHING"}) {
    scene.sql(statement);
    EXPECT_TRUE(scene.waited_for([&] { return scene.source().execute("UPDATE stamp SET price = 1; UPDATE card SET patient_id = 1").has_value(); })) << statement;
  }
  scene.sql("UPDATE stamp SET price = 2");
}

TEST(LostKeyWithoutSuperuser, OnesTriggerMadeByASuperuserIsUsed) {
  Scene scene;
  without_superuser(scene);
  scene.sql(key_trigger_sql(scene.settings().publication));
  scene.settings().keys_looked_at_every = std::chrono::hours{1};
  scene.settings().upkeep_every = std::chrono::hours{1};
  scene.start();
  scene.sql("ALTER TABLE stamp DROP CONSTRAINT stamp_pkey; UPDATE stamp SET price = 1");
  auto there = has_key_trigger(scene.source(), scene.settings().publication);
  EXPECT_TRUE(there && *there);
}

}  // namespace
}  // namespace verbund::feed
