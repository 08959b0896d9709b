// Which writes the guard lets pass: by operation, table, key and way.
#include "guard/guard_scene.h"

namespace verbund::guard {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class GuardedWrites : public GuardTest {};

TEST_F(GuardedWrites, RefusesInsertUpdateDeleteWithoutAToken) {
  practice();
  for (const char* write : {"INSERT INTO patient VALUES (3, 'Carl')", "UPDATE patient SET name = 'x' WHERE id = 1",
                            "DELETE FROM patient WHERE id = 1", "INSERT INTO letter VALUES (30, 1, 'c')",
                            "UPDATE letter SET body = 'x' WHERE id = 10", "DELETE FROM letter WHERE id = 10"}) {
    EXPECT_THAT(attempt("", write), StartsWith("VG001")) << write;
  }
  EXPECT_EQ(value("SELECT count(*) || ' ' || string_agg(name, ',' ORDER BY id) FROM patient"), "2 Anna,Bert");
}

TEST_F(GuardedWrites, LetsWritesUnderTheLocksTokenPass) {
  practice();
  hold("1", 5);
  hold("3", 6);
  EXPECT_THAT(attempt("5", "UPDATE patient SET name = 'Anne' WHERE id = 1; INSERT INTO letter VALUES (11, 1, 'x');"
                           "UPDATE letter SET body = 'y' WHERE id = 11; DELETE FROM letter WHERE id = 11"),
              IsEmpty());
  EXPECT_THAT(attempt("6", "INSERT INTO patient VALUES (3, 'Carl'); INSERT INTO letter VALUES (30, 3, 'c')"), IsEmpty());
}

TEST_F(GuardedWrites, RefusesATokenOfAnotherRecordAndOneThatIsOver) {
  practice();
  hold("1", 5);
  EXPECT_THAT(attempt("5", "UPDATE patient SET name = 'x' WHERE id = 2"), HasSubstr("nobody holds its work lock"));
  hold("2", 6);
  EXPECT_THAT(attempt("5", "UPDATE patient SET name = 'x' WHERE id = 2"), HasSubstr("no token of the present work lock"));
  EXPECT_EQ(let_go("1", 5), LockOutcome::kWritten);
  EXPECT_THAT(attempt("5", "UPDATE patient SET name = 'x' WHERE id = 1"), HasSubstr("nobody holds its work lock"));
}

TEST_F(GuardedWrites, ATransactionMayShowSeveralTokens) {
  practice();
  hold("1", 5);
  hold("2", 6);
  EXPECT_THAT(attempt("5, 6", "UPDATE patient SET name = 'x'"), IsEmpty());
  EXPECT_THAT(attempt("5", "SELECT verbund.use_lock(6); UPDATE patient SET name = 'y'"), IsEmpty());
  EXPECT_THAT(attempt("", "SET LOCAL verbund.token = '5, 6'; UPDATE patient SET name = 'z'"), IsEmpty());
  EXPECT_THAT(attempt("", "SET LOCAL verbund.token = 'no number'; UPDATE patient SET name = 'z'"), StartsWith("VG001"));
}

TEST_F(GuardedWrites, ATokenEndsWithItsTransaction) {
  practice();
  hold("1", 5);
  EXPECT_THAT(attempt("5", "UPDATE patient SET name = 'x' WHERE id = 1"), IsEmpty());
  EXPECT_THAT(attempt("", "UPDATE patient SET name = 'y' WHERE id = 1"), HasSubstr("shows no token"));
  EXPECT_THAT(attempt("", "SAVEPOINT s; SELECT verbund.use_lock(5); ROLLBACK TO s; UPDATE patient SET name = 'y' WHERE id = 1"),
              HasSubstr("shows no token"));
}

TEST_F(GuardedWrites, AChildMovedBetweenRecordsNeedsBothLocks) {
  practice();
  hold("1", 5);
  hold("2", 6);
  EXPECT_THAT(attempt("5", "UPDATE letter SET patient = 2 WHERE id = 10"), HasSubstr("record patient/2"));
  EXPECT_THAT(attempt("6", "UPDATE letter SET patient = 2 WHERE id = 10"), HasSubstr("record patient/1"));
  EXPECT_THAT(attempt("5, 6", "UPDATE letter SET patient = 2 WHERE id = 10"), IsEmpty());
}

TEST_F(GuardedWrites, AChangedKeyNeedsTheLocksOfBothKeys) {
  practice();
  sql("DELETE FROM verbund_guard.lock");
  hold("2", 6);
  sql("ALTER TABLE letter DROP CONSTRAINT letter_patient_fkey");
  EXPECT_THAT(attempt("6", "UPDATE patient SET id = 9 WHERE id = 2"), HasSubstr("record patient/9"));
  hold("9", 7);
  EXPECT_THAT(attempt("6, 7", "UPDATE patient SET id = 9 WHERE id = 2"), IsEmpty());
}

TEST_F(GuardedWrites, CascadesGoUnderTheRecordsOwnLock) {
  practice();
  hold("1", 5);
  EXPECT_THAT(attempt("5", "DELETE FROM patient WHERE id = 1"), IsEmpty());
  EXPECT_EQ(value("SELECT count(*) FROM letter"), "1");
}

TEST_F(GuardedWrites, RefusesTruncateWithAndWithoutToken) {
  practice();
  hold("1", 5);
  EXPECT_THAT(attempt("5", "TRUNCATE letter"), HasSubstr("TRUNCATE on public.letter refused"));
  EXPECT_THAT(attempt("", "TRUNCATE patient CASCADE"), StartsWith("VG001"));
}

TEST_F(GuardedWrites, CoversCopyMergeAndBulk) {
  practice();
  hold("1", 5);
  run(application_, "BEGIN; SELECT verbund.use_lock(5)");
  ASSERT_TRUE(application_.copy_in_begin("COPY letter FROM STDIN"));
  ASSERT_TRUE(application_.copy_in_write("31\t1\tx\n32\t1\ty\n"));
  EXPECT_TRUE(application_.copy_in_finish());
  run(application_, "COMMIT");
  ASSERT_TRUE(application_.copy_in_begin("COPY letter FROM STDIN"));
  ASSERT_TRUE(application_.copy_in_write("33\t1\tx\n"));
  EXPECT_FALSE(application_.copy_in_finish());
  EXPECT_EQ(application_.last_sqlstate(), "VG001");
  EXPECT_THAT(attempt("5", "INSERT INTO letter SELECT i, 1, 'bulk' FROM generate_series(100, 5000) i"), IsEmpty());
  EXPECT_THAT(attempt("5", "INSERT INTO letter SELECT i, 1 + i / 9999, 'bulk' FROM generate_series(6000, 9999) i"), StartsWith("VG001"));
  EXPECT_THAT(attempt("", "MERGE INTO patient p USING (VALUES (1)) v (id) ON p.id = v.id WHEN MATCHED THEN UPDATE SET name = 'm'"),
              StartsWith("VG001"));
  EXPECT_THAT(attempt("", "INSERT INTO patient VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'c'"), StartsWith("VG001"));
  EXPECT_THAT(attempt("", "INSERT INTO patient VALUES (1, 'x') ON CONFLICT DO NOTHING"), IsEmpty()) << "nothing was written";
}

TEST_F(GuardedWrites, SeesWhatOtherTriggersHaveMadeOfTheRow) {
  practice();
  sql("CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.patient := 2; RETURN NEW; END $$;"
      "CREATE TRIGGER zz BEFORE INSERT ON letter FOR EACH ROW EXECUTE FUNCTION move()");
  hold("1", 5);
  EXPECT_THAT(attempt("5", "INSERT INTO letter VALUES (40, 1, 'x')"), HasSubstr("record patient/2"));
}

TEST_F(GuardedWrites, KeysAreWrittenAsTheFeedWritesThem) {
  sql("CREATE SCHEMA \"Büro\"; CREATE TABLE \"Büro\".\"Akte \"\"A\"\"\" (\"Jahr, ISO\" date, \"Zeichen\" text, \"Größe\" text, PRIMARY KEY (\"Jahr, ISO\", \"Zeichen\"));"
      "CREATE TABLE \"Büro\".\"Blatt\" (id int PRIMARY KEY, j date, z varchar(20), FOREIGN KEY (j, z) REFERENCES \"Büro\".\"Akte \"\"A\"\"\")");
  guard("[[record]]\ntype='Akte'\ntable='Büro.\"Akte \"\"A\"\"\"'\nchildren=['Büro.Blatt.z']");
  hold(R"(2024-03-01,a\,b\\ü)", 5);
  run(application_, "SET datestyle = 'German'; SET standard_conforming_strings = off");
  EXPECT_THAT(attempt("5", R"(INSERT INTO "Büro"."Akte ""A""" VALUES ('01.03.2024', E'a,b\\ü', 'x');)"
                           R"(INSERT INTO "Büro"."Blatt" VALUES (1, '01.03.2024', E'a,b\\ü'))"),
              IsEmpty());
  EXPECT_THAT(attempt("5", R"(INSERT INTO "Büro"."Akte ""A""" VALUES ('02.03.2024', E'a,b\\ü', 'x'))"), HasSubstr("Akte/2024-03-02"));
}

TEST_F(GuardedWrites, FollowsWaysOverOtherTablesAndGuardsThese) {
  sql("CREATE TABLE patient (id int PRIMARY KEY); INSERT INTO patient VALUES (1), (2);"
      "CREATE TABLE sheet (id int PRIMARY KEY, patient int REFERENCES patient ON DELETE CASCADE); INSERT INTO sheet VALUES (10, 1), (20, 2);"
      "CREATE TABLE result (id int PRIMARY KEY, sheet int REFERENCES sheet ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);"
      "INSERT INTO result VALUES (100, 10), (200, 20)");
  guard("[[record]]\ntype='patient'\ntable='patient'\nchildren=['result.sheet > sheet.patient']");
  EXPECT_THAT(attempt("", "UPDATE result SET id = 101 WHERE id = 100"), HasSubstr("record patient/1"));
  EXPECT_THAT(attempt("", "UPDATE sheet SET patient = 2 WHERE id = 10"), HasSubstr("public.sheet refused: record patient/1"));
  hold("1", 5);
  EXPECT_THAT(attempt("5", "UPDATE result SET id = 101 WHERE id = 100; INSERT INTO result VALUES (300, 30); INSERT INTO sheet VALUES (30, 1)"),
              IsEmpty()) << "the child may come before its parent";
  EXPECT_THAT(attempt("", "INSERT INTO result VALUES (400, 40); INSERT INTO sheet VALUES (40, 1)"), StartsWith("VG001"));
  EXPECT_THAT(attempt("5", "DELETE FROM patient WHERE id = 1"), IsEmpty());
  EXPECT_EQ(value("SELECT count(*) FROM result"), "1");
}

TEST_F(GuardedWrites, ATableMayLeadToARecordByTwoColumns) {
  sql("CREATE TABLE person (id uuid PRIMARY KEY); INSERT INTO person VALUES ('00000000-0000-0000-0000-00000000000a'), ('00000000-0000-0000-0000-00000000000b');"
      "CREATE TABLE bond (id int PRIMARY KEY, one uuid REFERENCES person, two uuid REFERENCES person)");
  guard("[[record]]\ntype='person'\ntable='person'\nchildren=['bond.one', 'bond.two']");
  const std::string insert = "INSERT INTO bond VALUES (1, '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b')";
  hold("00000000-0000-0000-0000-00000000000a", 5);
  EXPECT_THAT(attempt("5", insert), HasSubstr("-00000000000b"));
  hold("00000000-0000-0000-0000-00000000000b", 6);
  EXPECT_THAT(attempt("5, 6", insert), IsEmpty());
  EXPECT_THAT(attempt("", "INSERT INTO bond VALUES (2, NULL, NULL)"), IsEmpty()) << "a row of no record";
}

TEST_F(GuardedWrites, ReferencesToAnotherKeyAndTypesWithSeveralSpellingsLeadToTheRootsSpelling) {
  sql("CREATE TABLE item (id numeric PRIMARY KEY, code text UNIQUE); INSERT INTO item VALUES (1.50, 'x');"
      "CREATE TABLE note (id int PRIMARY KEY, item numeric REFERENCES item, code text REFERENCES item (code))");
  guard("[[record]]\ntype='item'\ntable='item'\nchildren=['note.item', 'note.code']");
  hold("1.50", 5);
  EXPECT_THAT(attempt("5", "INSERT INTO note VALUES (1, 1.5, NULL), (2, NULL, 'x'); UPDATE item SET code = NULL WHERE code = 'y'"), IsEmpty());
  EXPECT_THAT(attempt("", "INSERT INTO note VALUES (3, 1.5000, NULL)"), HasSubstr("record item/1.50"));
  EXPECT_THAT(attempt("", "INSERT INTO note VALUES (3, NULL, 'x')"), HasSubstr("record item/1.50"));
}

TEST_F(GuardedWrites, KeysMayHaveACollationOfTheirOwn) {
  sql("CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
      "CREATE TABLE item (id text COLLATE nocase PRIMARY KEY, n int); INSERT INTO item VALUES ('a'), ('b');"
      "CREATE TABLE note (nr int PRIMARY KEY, item text COLLATE nocase REFERENCES item, t text); INSERT INTO note VALUES (1, 'a')");
  guard("[[record]]\ntype='item'\ntable='item'\nchildren=['note.item']");
  hold("a", 5);
  EXPECT_THAT(attempt("5", "UPDATE item SET n = 1 WHERE id = 'a'; UPDATE note SET t = 'x'"), IsEmpty());
  EXPECT_THAT(attempt("5", "UPDATE item SET n = 1 WHERE id = 'b'"), StartsWith("VG001"));
  EXPECT_THAT(attempt("5", "UPDATE item SET id = 'A' WHERE id = 'a'"), HasSubstr("record item/A")) << "another key, though it is equal";
}

TEST_F(GuardedWrites, AKeyThatIsNullInPartLeadsToNoRecord) {
  sql("CREATE TABLE case_file (a int, b int, PRIMARY KEY (a, b)); INSERT INTO case_file VALUES (1, 1), (1, 2);"
      "CREATE TABLE sheet (nr int PRIMARY KEY, a int, b int, FOREIGN KEY (a, b) REFERENCES case_file)");
  guard("[[record]]\ntype='case'\ntable='case_file'\nchildren=['sheet.a']");
  hold("1,2", 5);
  EXPECT_THAT(attempt("", "INSERT INTO sheet VALUES (1, 1, NULL), (2, NULL, NULL)"), IsEmpty());
  EXPECT_THAT(attempt("", "UPDATE sheet SET b = 2 WHERE nr = 1"), HasSubstr("record case/1,2"));
  EXPECT_THAT(attempt("5", "UPDATE sheet SET b = 2 WHERE nr = 1"), IsEmpty());
  EXPECT_THAT(attempt("5", "UPDATE sheet SET b = 1 WHERE nr = 1"), HasSubstr("record case/1,1"));
  EXPECT_THAT(attempt("", "UPDATE sheet SET b = NULL WHERE nr = 1"), HasSubstr("record case/1,2"));
  EXPECT_THAT(attempt("5", "UPDATE sheet SET b = NULL WHERE nr = 1; DELETE FROM sheet WHERE nr = 2"), IsEmpty());
}

TEST_F(GuardedWrites, CoversPartitionsAndInheritingTables) {
  sql("CREATE TABLE visit (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);"
      "CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (100); INSERT INTO visit VALUES (1, 'a')");
  guard("[[record]]\ntype='visit'\ntable='visit'");
  sql("CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM (100) TO (200)");
  EXPECT_THAT(attempt("", "UPDATE visit SET t = 'b'"), StartsWith("VG001"));
  EXPECT_THAT(attempt("", "UPDATE visit_1 SET t = 'b'"), StartsWith("VG001"));
  EXPECT_THAT(attempt("", "INSERT INTO visit_2 VALUES (150, 'x')"), StartsWith("VG001"));
  EXPECT_THAT(attempt("", "TRUNCATE visit_1"), StartsWith("VG001"));
  hold("1", 5);
  hold("101", 6);
  EXPECT_THAT(attempt("5, 6", "UPDATE visit SET id = 101 WHERE id = 1"), IsEmpty()) << "from one partition to the other";
}

TEST_F(GuardedWrites, TheApplicationsRoleNeedsNoRightsAndSeesNothing) {
  practice();
  sql(fmt::format("DO $$ BEGIN CREATE ROLE guard_app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
                  "GRANT SELECT, INSERT, UPDATE, DELETE ON patient, letter TO guard_app"));
  hold("1", 5);
  run(application_, "SET ROLE guard_app; SET search_path = pg_temp, public");
  EXPECT_THAT(attempt("5", "UPDATE patient SET name = 'x' WHERE id = 1"), IsEmpty());
  EXPECT_THAT(attempt("", "UPDATE patient SET name = 'y' WHERE id = 1"), StartsWith("VG001"));
  EXPECT_FALSE(application_.query("SELECT * FROM verbund_guard.lock"));
  EXPECT_FALSE(application_.query("SELECT verbund_guard.disable('patient')"));
}

TEST_F(GuardedWrites, NothingInTheApplicationsSearchPathIsCalledWithOurRights) {
  practice();
  hold("1", 5);
  run(application_, "CREATE SCHEMA trap; SET search_path = trap, public, pg_catalog;"
                    "CREATE FUNCTION trap.lies(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;"
                    "CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.lies);"
                    "CREATE OPERATOR trap.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.lies);"
                    "CREATE FUNCTION trap.replace(text, text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;"
                    "CREATE FUNCTION trap.current_setting(text, boolean) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$");
  EXPECT_THAT(attempt("5", "UPDATE patient SET name = 'x' WHERE id = 1; INSERT INTO letter VALUES (60, 1, 'x')"), IsEmpty());
  EXPECT_THAT(attempt("", "UPDATE patient SET name = 'y' WHERE id = 1"), StartsWith("VG001"));
}

TEST_F(GuardedWrites, WhoReadBeforeTheGrantIsRefusedInItsOldSnapshot) {
  practice();
  run(application_, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM patient");
  hold("1", 5);
  run(application_, "SELECT verbund.use_lock(5)");
  EXPECT_FALSE(application_.execute("UPDATE patient SET name = 'x' WHERE id = 1"));
  EXPECT_EQ(application_.last_sqlstate(), "VG001");
  run(application_, "ROLLBACK");
  EXPECT_THAT(attempt("", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT verbund.use_lock(5); UPDATE patient SET name = 'x' WHERE id = 1"),
              IsEmpty());
}

}  // namespace
}  // namespace verbund::guard
