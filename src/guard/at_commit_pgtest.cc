// Refusal at the commit: programs that learn the keys of their records by writing them.
#include "guard/guard_scene.h"

namespace verbund::guard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr const char* kBegin = "BEGIN; SET LOCAL verbund.refuse = 'at commit';";

class RefusalAtCommit : public GuardTest {
 protected:
  std::string commit() {
    auto done = application_.execute("COMMIT");
    return done ? "" : application_.last_sqlstate() + " " + done.error().message;
  }
  static std::string wanted(postgres::Connection& connection) {
    auto rows = connection.query("SELECT coalesce(string_agg(type || '/' || id, ' '), '') FROM verbund.wanted_locks()");
    return rows ? std::string(rows->text(0, 0)) : rows.error().message;
  }
};

TEST_F(RefusalAtCommit, WhatHasNoLockByThenIsNotCommitted) {
  practice();
  run(application_, std::string(kBegin) + "UPDATE patient SET name = 'x' WHERE id = 1");
  EXPECT_THAT(commit(), HasSubstr("UPDATE on public.patient refused: record patient/1: the transaction shows no token"));
  EXPECT_EQ(application_.last_detail(), "patient/1");
  EXPECT_EQ(value("SELECT name FROM patient WHERE id = 1"), "Anna");
  EXPECT_THAT(attempt("", "UPDATE patient SET name = 'x' WHERE id = 1"), StartsWith("VG001")) << "the setting ends with its transaction";
}

TEST_F(RefusalAtCommit, LocksMayBeTakenAfterTheWrites) {
  practice();
  run(application_, std::string(kBegin) + "INSERT INTO patient VALUES (3, 'Carl'); INSERT INTO letter VALUES (30, 3, 'c'), (31, 1, 'a')");
  EXPECT_EQ(wanted(application_), "patient/1 patient/3");
  auto other = connect("other");
  EXPECT_EQ(wanted(other), "");
  hold("1", 5);
  hold("3", 6);
  run(application_, "SELECT verbund.use_lock(5, 6)");
  EXPECT_THAT(commit(), IsEmpty());
  EXPECT_EQ(value("SELECT count(*) FROM letter"), "4");
  EXPECT_EQ(value("SELECT count(*) FROM verbund_guard.wanted"), "0");
}

TEST_F(RefusalAtCommit, ATokenThatIsNotTheLocksIsNotEnough) {
  practice();
  run(application_, std::string(kBegin) + "UPDATE patient SET name = 'x' WHERE id = 1");
  hold("1", 6);
  run(application_, "SELECT verbund.use_lock(5)");
  EXPECT_THAT(commit(), HasSubstr("no token of the present work lock"));
}

TEST_F(RefusalAtCommit, WhatSomebodyHoldsIsRefusedAtOnce) {
  practice();
  hold("1", 5);
  EXPECT_THAT(attempt("", "SET LOCAL verbund.refuse = 'at commit'; UPDATE patient SET name = 'x' WHERE id = 1"), StartsWith("VG001"));
  EXPECT_THAT(attempt("5", "SET LOCAL verbund.refuse = 'at commit'; UPDATE patient SET name = 'x' WHERE id = 1"), IsEmpty());
  EXPECT_THAT(attempt("", "SET LOCAL verbund.refuse = 'at commit'; TRUNCATE letter"), StartsWith("VG001"));
}

TEST_F(RefusalAtCommit, ATokenThatOneHasJustGivenBackIsNobodyElses) {
  practice();
  hold("1", 5);  // not cleared yet
  run(application_, std::string(kBegin) + "SET LOCAL verbund.earlier = '4,5'; UPDATE patient SET name = 'x' WHERE id = 1");
  EXPECT_EQ(wanted(application_), "patient/1");
  hold("1", 6);
  run(application_, "SELECT verbund.use_lock(6)");
  EXPECT_THAT(commit(), IsEmpty());
  EXPECT_THAT(attempt("", "SET LOCAL verbund.refuse = 'at commit'; SET LOCAL verbund.earlier = '4,5'; UPDATE patient SET name = 'x' WHERE id = 1"),
              StartsWith("VG001"));
}

TEST_F(RefusalAtCommit, TheNextHolderWaitsForTheCommit) {
  practice();
  run(application_, std::string(kBegin) + "UPDATE patient SET name = 'x' WHERE id = 1");
  hold("1", 5);
  run(application_, "SELECT verbund.use_lock(5); SET CONSTRAINTS ALL IMMEDIATE");
  EXPECT_THAT(write({{{"patient", "1"}, {6}, {8}, {}}}), ElementsAre(LockOutcome::kBlocked));
  EXPECT_THAT(commit(), IsEmpty());
  hold("1", 6);
}

TEST_F(RefusalAtCommit, WhatIsRolledBackNeedsNoLock) {
  practice();
  run(application_, std::string(kBegin) + "SAVEPOINT s; UPDATE patient SET name = 'x' WHERE id = 1; ROLLBACK TO s");
  EXPECT_EQ(wanted(application_), "");
  EXPECT_THAT(commit(), IsEmpty());
  run(application_, std::string(kBegin) + "SAVEPOINT s; UPDATE patient SET name = 'x' WHERE id = 1; ROLLBACK TO s; UPDATE patient SET name = 'y' WHERE id = 1");
  EXPECT_THAT(commit(), StartsWith("VG001"));
}

TEST_F(RefusalAtCommit, AGuardThatIsDisabledMeanwhileRefusesNothing) {
  practice();
  run(application_, std::string(kBegin) + "UPDATE patient SET name = 'x' WHERE id = 1");
  ASSERT_TRUE(disable(node_, "patient"));
  EXPECT_THAT(commit(), IsEmpty());
}

TEST_F(RefusalAtCommit, TheApplicationsRoleNeedsNoRights) {
  practice();
  sql("DO $$ BEGIN CREATE ROLE guard_app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
      "GRANT SELECT, INSERT, UPDATE, DELETE ON patient, letter TO guard_app");
  run(application_, std::string("SET ROLE guard_app;") + kBegin + "UPDATE patient SET name = 'x' WHERE id = 1");
  EXPECT_EQ(wanted(application_), "patient/1");
  hold("1", 5);
  run(application_, "SELECT verbund.use_lock(5)");
  EXPECT_THAT(commit(), IsEmpty());
}

}  // namespace
}  // namespace verbund::guard
