// The guard's own life: rights, modes, warnings, schema changes, dump and restore, removal.
#include "guard/guard_scene.h"

namespace verbund::guard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class GuardLife : public GuardTest {};

constexpr const char* kPatient = "[[record]]\ntype='patient'\ntable='patient'\nchildren=['letter.patient']";

TEST_F(GuardLife, NothingIsRefusedBeforeAModeIsSet) {
  practice(Mode::kOff);
  EXPECT_THAT(attempt("", "UPDATE patient SET name = 'x'; TRUNCATE letter"), IsEmpty());
  EXPECT_EQ(guarded_types(node_)->at(0).mode, Mode::kOff);
}

TEST_F(GuardLife, ADatabaseWithoutGuardHasNone) {
  EXPECT_THAT(*guarded_types(node_), IsEmpty());
  EXPECT_THAT(*warnings(node_), IsEmpty());
  EXPECT_EQ(disable(node_, "patient").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(tidy(node_, log_));
  EXPECT_TRUE(drop_everything(node_));
}

TEST_F(GuardLife, WarnModeLetsPassAndCountsByTableApplicationAndUser) {
  practice(Mode::kWarn);
  hold("1", 5);
  EXPECT_THAT(attempt("5", "UPDATE patient SET name = 'x' WHERE id = 1"), IsEmpty());
  EXPECT_THAT(*warnings(node_), IsEmpty());
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(attempt("", "UPDATE patient SET name = 'x'; UPDATE patient SET name = 'y'"), IsEmpty());
  }
  EXPECT_THAT(attempt("", "TRUNCATE letter"), IsEmpty());
  const auto met = *warnings(node_);
  ASSERT_THAT(met, SizeIs(2));
  EXPECT_EQ(met[0].table + " " + met[0].operation + " " + met[0].application, "public.patient UPDATE app");
  EXPECT_EQ(met[0].user, database_.user);
  EXPECT_EQ(met[0].transactions, 3u) << "each transaction counts once";
  EXPECT_EQ(met[1].operation, "TRUNCATE");
  ASSERT_TRUE(set_mode(node_, type_, Mode::kEnforce));
  EXPECT_THAT(*warnings(node_), IsEmpty());
}

TEST_F(GuardLife, WarningsThatNobodyCountsAreBounded) {
  practice(Mode::kWarn);
  sql("SELECT setval('verbund_guard.warning_number', 10000)");
  EXPECT_THAT(attempt("", "UPDATE patient SET name = 'x'"), IsEmpty());
  EXPECT_EQ(value("SELECT count(*) FROM verbund_guard.warning"), "0");
  sql("INSERT INTO verbund_guard.warning SELECT i, now(), 'patient', 'public.patient', 'UPDATE', 'app ' || i, 'u' FROM generate_series(1, 900) i");
  ASSERT_TRUE(warnings(node_));
  sql("INSERT INTO verbund_guard.warning SELECT i, now(), 'patient', 'public.patient', 'UPDATE', 'app ' || i, 'u' FROM generate_series(901, 2900) i");
  ASSERT_TRUE(warnings(node_));
  sql("INSERT INTO verbund_guard.warning SELECT i, now(), 'patient', 'public.patient', 'UPDATE', 'app ' || i, 'u' FROM generate_series(2901, 5900) i");
  const auto met = *warnings(node_);
  EXPECT_THAT(met, SizeIs(2901));
  EXPECT_EQ(met[0].application + " " + std::to_string(met[0].transactions), "… 3000");
}

TEST_F(GuardLife, WarnModeBlocksNoTakeoverAndFailsNobodyWhenTheTablesChange) {
  practice(Mode::kWarn);
  hold("1", 5);
  run(application_, "BEGIN; SELECT verbund.use_lock(5); UPDATE patient SET name = 'x' WHERE id = 1");
  hold("1", 6);
  run(application_, "COMMIT");
  sql("ALTER TABLE letter RENAME COLUMN patient TO person");
  EXPECT_THAT(attempt("", "UPDATE letter SET body = 'x'"), IsEmpty());
  EXPECT_EQ(warnings(node_)->at(0).operation, "mapping");
}

TEST_F(GuardLife, DisablingWaitsForNobody) {
  practice();
  hold("1", 5);
  run(application_, "BEGIN; SELECT verbund.use_lock(5); UPDATE patient SET name = 'x' WHERE id = 1");
  ASSERT_TRUE(disable(node_, "patient"));
  auto other = connect("other");
  EXPECT_THAT(attempt(other, "", "UPDATE patient SET name = 'y' WHERE id = 2; TRUNCATE letter"), IsEmpty());
  EXPECT_EQ(tidy(node_, log_).error().code, ErrorCode::kTimedOut) << "the triggers stay until the table is free";
  run(application_, "COMMIT");
  EXPECT_TRUE(tidy(node_, log_));
  EXPECT_THAT(*guarded_types(node_), IsEmpty());
  EXPECT_EQ(value("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'verbund%'"), "0");
  EXPECT_EQ(value("SELECT count(*) FROM verbund_guard.lock"), "0");
}

TEST_F(GuardLife, ABusyTableIsNamedAndNothingIsHalfRefused) {
  sql("CREATE TABLE patient (id int PRIMARY KEY, name text); INSERT INTO patient VALUES (1, 'a')");
  run(application_, "BEGIN; UPDATE patient SET name = 'x'");
  const auto done = prepare(node_, type("[[record]]\ntype='patient'\ntable='patient'"));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kTimedOut);
  EXPECT_THAT(done.error().message, HasSubstr("public.patient"));
  run(application_, "UPDATE patient SET name = 'y'; COMMIT");
}

TEST_F(GuardLife, PreparingAgainMendsWhatIsMissingAndFollowsTheConfiguration) {
  practice();
  sql("DROP TABLE letter; CREATE TABLE public.letter (id int PRIMARY KEY, patient int REFERENCES patient)");
  EXPECT_THAT(guarded_types(node_)->at(0).missing, ElementsAre("public.letter"));
  guard(kPatient);
  EXPECT_THAT(guarded_types(node_)->at(0).missing, IsEmpty());
  EXPECT_THAT(attempt("", "INSERT INTO letter VALUES (1, 1)"), StartsWith("VG001"));
  guard("[[record]]\ntype='patient'\ntable='patient'");
  EXPECT_THAT(guarded_types(node_)->at(0).tables, ElementsAre("public.patient"));
  EXPECT_THAT(attempt("", "INSERT INTO letter VALUES (1, 1)"), IsEmpty());
}

TEST_F(GuardLife, MissingRightsAreNamedAsStatements) {
  sql("CREATE TABLE patient (id int PRIMARY KEY); CREATE TABLE letter (id int PRIMARY KEY, patient int REFERENCES patient);"
      "DO $$ BEGIN CREATE ROLE guard_node LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
      "REVOKE ALL ON DATABASE " + value("SELECT quote_ident(current_database())") + " FROM guard_node; REVOKE pg_signal_backend FROM guard_node");
  const auto patient = type(kPatient);
  run(node_, "SET ROLE guard_node");
  auto missing = missing_rights(node_, patient);
  ASSERT_TRUE(missing) << missing.error().message;
  const auto database = value("SELECT quote_ident(current_database())");
  EXPECT_THAT(*missing, ElementsAre("GRANT CREATE ON DATABASE " + database + " TO guard_node;", "GRANT pg_signal_backend TO guard_node;",
                                    "GRANT TRIGGER ON patient TO guard_node;", "GRANT TRIGGER ON letter TO guard_node;",
                                    "GRANT SELECT ON patient TO guard_node;"));
  EXPECT_THAT(prepare(node_, patient).error().hint, HasSubstr("GRANT TRIGGER ON letter"));
  run(node_, "RESET ROLE");
  for (const auto& statement : *missing) sql(statement);
  run(node_, "SET ROLE guard_node");
  ASSERT_TRUE(prepare(node_, patient));
  ASSERT_TRUE(set_mode(node_, patient, Mode::kEnforce));
  EXPECT_THAT(attempt("", "INSERT INTO patient VALUES (1)"), StartsWith("VG001"));
  ASSERT_TRUE(disable(node_, "patient"));
  EXPECT_TRUE(tidy(node_, log_)) << "who does not own the tables can unguard them all the same";
  EXPECT_TRUE(drop_everything(node_));
}

TEST_F(GuardLife, LeavesNoTrace) {
  const auto traces = [&] {
    return value("SELECT (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^verbund') + (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)");
  };
  practice();
  hold("1", 5);
  ASSERT_TRUE(drop_everything(node_));
  EXPECT_EQ(traces(), "0");
  EXPECT_THAT(attempt("", "UPDATE patient SET name = 'x'"), IsEmpty());
  guard(kPatient);
  sql("CREATE TABLE verbund.foreign_table ()");
  ASSERT_TRUE(drop_everything(node_));
  EXPECT_EQ(value("SELECT count(*) FROM verbund.foreign_table"), "0") << "what is not ours stays";
  sql("DROP SCHEMA verbund CASCADE");
  guard(kPatient);
  sql("DROP SCHEMA verbund_guard CASCADE");
  EXPECT_THAT(attempt("", "UPDATE patient SET name = 'y'"), IsEmpty()) << "as a person does it";
  EXPECT_THAT(*guarded_types(node_), IsEmpty());
}

TEST_F(GuardLife, AnUnknownTypeOfAnExtensionIsRefusedBeforeAnythingIsMade) {
  sql("CREATE TYPE pair AS (a int, b int); CREATE TABLE item (id pair PRIMARY KEY); CREATE TABLE note (id int PRIMARY KEY, item pair REFERENCES item)");
  const auto done = prepare(node_, type("[[record]]\ntype='item'\ntable='item'\nchildren=['note.item']"));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(value("SELECT to_regnamespace('verbund_guard') IS NULL"), "t");
}

}  // namespace
}  // namespace verbund::guard
