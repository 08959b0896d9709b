// Whatever a foreign database holds and does: the shadow equals the source.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "feed/feed_scene.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;
using ::testing::IsEmpty;

struct Case {
  std::string name;
  std::string table;                    ///< that is compared at the end
  std::string before;                   ///< makes it, before the feed starts
  std::vector<std::string> statements;  ///< while it runs
};
void PrintTo(const Case& each, std::ostream* out) { *out << each.name; }

/// A table `t` with one column of the type, filled with each of the values: before the start, by INSERT and by UPDATE.
Case of_type(const std::string& name, const std::string& type, const std::vector<std::string>& values, const std::string& before = "") {
  std::string rows;
  std::vector<std::string> statements;
  for (std::size_t i = 0; i < values.size(); ++i) {
    rows += fmt::format("INSERT INTO t VALUES ({}, {});", i, values[i]);
    statements.push_back(fmt::format("INSERT INTO t VALUES ({}, {})", 100 + i, values[i]));
    statements.push_back(fmt::format("UPDATE t SET v = {} WHERE id = {}", values[(i + 1) % values.size()], i));
  }
  statements.emplace_back("UPDATE t SET v = NULL WHERE id = 100");
  return {name, "t", before + fmt::format("CREATE TABLE t (id integer PRIMARY KEY, v {});", type) + rows, statements};
}

std::vector<Case> types() {
  return {
      of_type("Boolean", "boolean", {"true", "false"}),
      of_type("Character", "char(5)", {"'ab'", "'abcde'", "''"}),
      of_type("Text", "text", {"''", "'NULL'", "E'\\\\N'", "E'a\\tb\\nc\\\\d\\r'", "'ä€😀'", "'{\"a\",b}'", "repeat('long ', 5000)"}),
      of_type("Numeric", "numeric", {"'NaN'", "'Infinity'", "'-Infinity'", "1.500", "-0.0", "123456789012345678901234567890.123456789"}),
      of_type("Double", "double precision", {"'NaN'", "'infinity'", "0.1", "1e300", "-0.0", "5e-324"}),
      of_type("Real", "real", {"'NaN'", "0.1", "3.4e38"}),
      of_type("Money", "money", {"12.50", "-1"}),
      of_type("Date", "date", {"'infinity'", "'-infinity'", "'0044-03-15 BC'", "'2026-11-22'"}),
      of_type("TimestampTz", "timestamptz", {"'infinity'", "'2026-11-22 03:04:05.123456+01'", "'0001-01-01 00:00:00+00'"}),
      of_type("Time", "timetz", {"'23:59:59.999999+02'", "'24:00:00+00'"}),
      of_type("Interval", "interval", {"'1 year -2 days 03:04:05.6'", "'-00:00:01'"}),
      of_type("Bytea", "bytea", {"'\\x00ff5c'", "''", "decode(repeat('00ff', 9000), 'hex')"}),
      of_type("Json", "jsonb", {"'{\"a\": [1, null, \"\\u00e4\\\\\"]}'", "'null'", "'[]'"}),
      of_type("PlainJson", "json", {"'{\"a\" : 1,  \"a\":2}'"}),
      of_type("Array", "text[]", {"'{}'", "ARRAY['a', NULL, 'NULL', '\"', ',', '']", "'[2:3]={x,y}'"}),
      of_type("Matrix", "integer[]", {"'{{1,2},{3,NULL}}'"}),
      of_type("Range", "tstzrange", {"'empty'", "'[2026-01-01,)'", "'(,)'"}),
      of_type("Multirange", "int4multirange", {"'{}'", "'{[1,3), [5,9)}'"}),
      of_type("Uuid", "uuid", {"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"}),
      of_type("Network", "inet", {"'10.0.0.1/8'", "'::1'"}),
      of_type("Bits", "bit varying(9)", {"B'101'", "B''"}),
      of_type("Point", "point", {"'(0.1,-1e10)'"}),
      of_type("Search", "tsvector", {"'a fat cat'", "'''it''''s'':1A'"}),
      of_type("Xml", "xml", {"'<a b=\"c\">d</a>'"}),
      of_type("Enum", "mood", {"'gut'", "'sehr schlecht'"}, "CREATE TYPE mood AS ENUM ('gut', 'sehr schlecht');"),
      of_type("Domain", "plz", {"'01234'"}, "CREATE DOMAIN plz AS text CHECK (value ~ '^[0-9]{5}$');"),
      of_type("Composite", "pair", {"ROW(1, 'a,b')", "ROW(NULL, '')"}, "CREATE TYPE pair AS (a integer, b text);"),
      of_type("ArrayOfEnum", "mood[]", {"'{gut,NULL}'"}, "CREATE TYPE mood AS ENUM ('gut');"),
  };
}

std::vector<Case> habits() {
  return {
      {"GeneratedAndIdentity", "t", "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a integer, twice integer GENERATED ALWAYS AS (a * 2) STORED, b text);"
       "INSERT INTO t (a, b) SELECT i, 'x' FROM generate_series(1, 9) i",
       {"INSERT INTO t (a, b) VALUES (5, 'y')", "UPDATE t SET a = a + 1", "DELETE FROM t WHERE a = 3"}},
      {"StrangeNames", "Tabelle \"ä\" 1", "CREATE TABLE \"Tabelle \"\"ä\"\" 1\" (\"Schlüssel, eins\" text, \"select\" integer, \" \" text, \"a\\b\" text, PRIMARY KEY (\"select\", \"Schlüssel, eins\"));"
       "INSERT INTO \"Tabelle \"\"ä\"\" 1\" VALUES (E'a,b\\\\', 1, NULL, 'q')",
       {"INSERT INTO \"Tabelle \"\"ä\"\" 1\" VALUES ('ß', 2, '', E'\\\\')", "UPDATE \"Tabelle \"\"ä\"\" 1\" SET \" \" = 'u', \"Schlüssel, eins\" = ',' WHERE \"select\" = 1",
        "DELETE FROM \"Tabelle \"\"ä\"\" 1\" WHERE \"select\" = 2"}},
      {"InheritedTable", "t", "CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE TABLE child (w text) INHERITS (t); INSERT INTO t VALUES (1, 'a'); INSERT INTO child VALUES (2, 'b', 'c')",
       {"INSERT INTO child VALUES (3, 'x', 'y')", "UPDATE t SET v = 'both'", "DELETE FROM ONLY t WHERE id = 1", "INSERT INTO t VALUES (9, 'own')"}},
      {"TriggersThatWriteMore", "audit", "CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE TABLE audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);"
       "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audit (what) VALUES (TG_OP || ' ' || coalesce(NEW.v, OLD.v));"
       " DELETE FROM public.audit WHERE what LIKE '%gone%' AND TG_OP = 'UPDATE'; RETURN NULL; END $$;"
       "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note()",
       {"INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 20) i", "UPDATE t SET v = 'gone' WHERE id < 5", "DELETE FROM t WHERE id > 15"}},
      {"DeferredConstraints", "b", "CREATE TABLE a (id integer PRIMARY KEY); CREATE TABLE b (id integer PRIMARY KEY, a_id integer REFERENCES a DEFERRABLE INITIALLY DEFERRED,"
       " u integer UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1, 1), (2, 1, 2)",
       {"BEGIN; INSERT INTO b VALUES (3, 7, 3); INSERT INTO a VALUES (7); UPDATE b SET u = 3 - u WHERE id < 3; COMMIT"}},
      {"Savepoints", "t", "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')",
       {"BEGIN; SAVEPOINT a; INSERT INTO t VALUES (2, 'x'); ROLLBACK TO a; INSERT INTO t VALUES (2, 'y'); SAVEPOINT b; UPDATE t SET v = 'z'; SAVEPOINT c; DELETE FROM t;"
        "ROLLBACK TO c; RELEASE b; COMMIT", "BEGIN; DELETE FROM t; ROLLBACK",
        "DO $$ BEGIN FOR i IN 10..40 LOOP BEGIN INSERT INTO t VALUES (i, 'l'); IF i % 3 = 0 THEN RAISE EXCEPTION 'x'; END IF; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$"}},
      {"PreparedTransactions", "t", "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')",
       {"BEGIN; INSERT INTO t VALUES (2, 'prepared'); UPDATE t SET v = 'p' WHERE id = 1; PREPARE TRANSACTION 'one'", "INSERT INTO t VALUES (3, 'between')",
        "COMMIT PREPARED 'one'", "BEGIN; DELETE FROM t; PREPARE TRANSACTION 'two'", "ROLLBACK PREPARED 'two'"}},
      {"LargeValuesLeftAlone", "t", "CREATE TABLE t (id integer PRIMARY KEY, v text, w text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL; INSERT INTO t VALUES (1, repeat('a', 50000), 'w')",
       {"UPDATE t SET w = 'x'", "UPDATE t SET id = 2", "INSERT INTO t VALUES (3, repeat('b', 50000), NULL)", "UPDATE t SET v = v || 'c' WHERE id = 3", "UPDATE t SET w = 'y'"}},
      {"FullReplicaIdentity", "t", "CREATE TABLE t (id integer PRIMARY KEY, v text, w text); ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE t ALTER v SET STORAGE EXTERNAL;"
       "INSERT INTO t VALUES (1, repeat('a', 50000), 'w'), (2, NULL, NULL)",
       {"UPDATE t SET w = 'x'", "UPDATE t SET id = 5 WHERE id = 1", "DELETE FROM t WHERE id = 2"}},
      {"KeyWithIncludedColumns", "t", "CREATE TABLE t (id integer, v text, w text, PRIMARY KEY (id) INCLUDE (v)); INSERT INTO t VALUES (1, 'a', 'b')",
       {"UPDATE t SET v = 'x'", "UPDATE t SET id = 9", "INSERT INTO t VALUES (1, NULL, NULL)"}},
  };
}

class Foreign : public ::testing::TestWithParam<Case> {};

TEST_P(Foreign, TableIsCopiedFollowedAndComparedExactly) {
  const Case& each = GetParam();
  if (each.name == "PreparedTransactions" && Scene().value("SHOW max_prepared_transactions") == "0") {
    Scene settings;
    settings.sql("ALTER SYSTEM SET max_prepared_transactions = 5");
    testing::ScratchPostgres::shared().restart();
    settings.reconnect();
  }
  Scene scene;
  scene.sql(each.before);
  scene.settings().tables = {{"public", each.table, "thing", {}, false}};
  scene.start();
  EXPECT_EQ(scene.difference("public", each.table), "") << "copied";
  for (const std::string& statement : each.statements) scene.sql(statement);
  scene.settle();
  EXPECT_EQ(scene.difference("public", each.table), "") << "followed";
  auto report = scene.feed().reconcile();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->inserted + report->updated + report->deleted, 0U) << "compared";
  EXPECT_THAT(scene.snapshots(), IsEmpty());
  // The comparison can tell, too: everything is different now.
  ASSERT_TRUE(scene.mid_tier().execute("TRUNCATE feed." + scene.mid_tier_value("SELECT shadow FROM feed.source_table")));
  auto refilled = scene.feed().reconcile();
  ASSERT_TRUE(refilled) << refilled.error().message;
  EXPECT_EQ(scene.difference("public", each.table), "") << "merged";
}

INSTANTIATE_TEST_SUITE_P(Types, Foreign, ::testing::ValuesIn(types()), [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Habits, Foreign, ::testing::ValuesIn(habits()), [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace verbund::feed
