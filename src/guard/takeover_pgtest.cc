// The lock table against open transactions: takeover, late writes, who blocks whom and for how long.
#include <thread>

#include "guard/guard_scene.h"

namespace verbund::guard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Takeover : public GuardTest {};

TEST_F(Takeover, WaitsForTheOldHoldersTransactionAndItsNextWriteIsRefused) {
  practice();
  hold("1", 5);
  run(application_, "BEGIN; SELECT verbund.use_lock(5); UPDATE patient SET name = 'old' WHERE id = 1");
  EXPECT_THAT(write({{{"patient", "1"}, {6}, {8}, {}}, {{"patient", "2"}, {7}, {8}, {}}}),
              ElementsAre(LockOutcome::kBlocked, LockOutcome::kWritten)) << "the others of the batch need not wait";
  EXPECT_EQ(let_go("1", 5), LockOutcome::kBlocked);
  run(application_, "COMMIT");
  hold("1", 6);
  EXPECT_THAT(attempt("5", "UPDATE patient SET name = 'late' WHERE id = 1"), HasSubstr("no token of the present work lock"));
  EXPECT_THAT(attempt("6", "UPDATE patient SET name = 'new' WHERE id = 1"), IsEmpty());
}

TEST_F(Takeover, AnOpenTransactionThatHasWrittenNothingYetIsTooLate) {
  practice();
  hold("1", 5);
  run(application_, "BEGIN; SELECT verbund.use_lock(5)");
  hold("1", 6);
  EXPECT_FALSE(application_.execute("UPDATE patient SET name = 'late' WHERE id = 1"));
  EXPECT_EQ(application_.last_sqlstate(), "VG001");
}

TEST_F(Takeover, AWriteThatMeetsTheTakeoverWaitsForItAndSeesTheNewToken) {
  practice();
  hold("1", 5);
  run(node_, "BEGIN; SELECT FROM verbund_guard.write('{patient}', '{1}', '{6}', '{8}')");
  std::string outcome;
  {
    std::jthread late([&] { outcome = attempt("5", "UPDATE patient SET name = 'late' WHERE id = 1"); });
    auto observer = connect("observer");
    EXPECT_TRUE(testing::eventually([&] {
      return observer.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'app' AND wait_event_type = 'Lock'")->size() == 1;
    }));
    run(node_, "COMMIT");
  }
  EXPECT_THAT(outcome, HasSubstr("no token of the present work lock"));
}

TEST_F(Takeover, TokensOnlyGrow) {
  practice();
  hold("1", 9);
  EXPECT_THAT(write({{{"patient", "1"}, {8}, {8}, {}}}), ElementsAre(LockOutcome::kNewer));
  EXPECT_EQ(let_go("1", 8), LockOutcome::kWritten);
  EXPECT_EQ(value("SELECT token FROM verbund_guard.lock"), "9") << "what is over is not the present one";
}

TEST_F(Takeover, WhatIsReclaimedUnchangedWaitsForNobody) {
  practice();
  hold("1", 5);
  run(application_, "BEGIN; SELECT verbund.use_lock(5); UPDATE patient SET name = 'x' WHERE id = 1");
  hold("1", 5);
  run(application_, "COMMIT");
}

TEST_F(Takeover, WhoeverBlocksALockRowIsTerminatedAndNamed) {
  practice();
  hold("1", 5);
  auto second = connect("second");
  run(application_, "BEGIN; SELECT verbund.use_lock(5); UPDATE patient SET name = 'x' WHERE id = 1");
  run(second, "BEGIN; SELECT verbund.use_lock(5); SAVEPOINT s; INSERT INTO letter VALUES (50, 1, 'x')");
  auto waiter = connect("waiter"), observer = connect("observer");
  const os::SystemClock clock;
  auto ended = terminate_blockers(waiter, observer, {"patient", "1"}, clock);
  ASSERT_TRUE(ended) << ended.error().message;
  ASSERT_EQ(ended->size(), 2u);
  for (const auto& blocker : *ended) EXPECT_TRUE(blocker.terminated);
  EXPECT_THAT((std::vector{ended->at(0).application, ended->at(1).application}), ::testing::UnorderedElementsAre("app", "second"));
  hold("1", 6);
  EXPECT_EQ(value("SELECT name FROM patient WHERE id = 1"), "Anna");
}

TEST_F(Takeover, NobodyIsTerminatedWhenNobodyBlocks) {
  practice();
  hold("1", 5);
  run(application_, "BEGIN; UPDATE patient SET name = 'x' WHERE false");
  auto waiter = connect("waiter"), observer = connect("observer");
  const os::SystemClock clock;
  auto ended = terminate_blockers(waiter, observer, {"patient", "1"}, clock);
  ASSERT_TRUE(ended);
  EXPECT_THAT(*ended, IsEmpty());
  run(application_, "COMMIT");
}

}  // namespace
}  // namespace verbund::guard
