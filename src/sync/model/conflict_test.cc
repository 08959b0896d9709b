#include "sync/model/conflict.h"

#include <gtest/gtest.h>

namespace verbund::sync {
namespace {

using What = Verdict::What;

Situation update_of_what_is_known() {
  Situation s;
  s.op = UpRow::Op::kUpdate;
  s.base = Csn{10};
  s.exists = true;
  s.version = Csn{10};
  s.rights = {true, true, true, true};
  s.mine = {false, true, false};
  s.theirs = {false, false, true};
  return s;
}

TEST(Conflict, WhatNobodyElseHasChangedIsApplied) {
  auto s = update_of_what_is_known();
  EXPECT_EQ(judge(s).what, What::kApply);
  s.op = UpRow::Op::kDelete;
  EXPECT_EQ(judge(s).what, What::kApply);
}

TEST(Conflict, AStaleVersionIsRejected) {
  auto s = update_of_what_is_known();
  s.version = Csn{11};
  EXPECT_EQ(judge(s).what, What::kReject);
  EXPECT_EQ(judge(s).reason, "version");
  s.op = UpRow::Op::kDelete;
  EXPECT_EQ(judge(s).reason, "version");
}

TEST(Conflict, OnesOwnEarlierChangeIsNoConflict) {
  auto s = update_of_what_is_known();
  s.version = Csn{11};
  s.version_is_own = true;
  EXPECT_EQ(judge(s).what, What::kApply);
}

TEST(Conflict, DifferentColumnsAreMergedWhereTheTableWantsIt) {
  auto s = update_of_what_is_known();
  s.version = Csn{11};
  s.policy = ConflictPolicy::Kind::kMerge;
  EXPECT_EQ(judge(s).what, What::kMerge);
  s.theirs = {false, true, true};
  EXPECT_EQ(judge(s).reason, "version");
  s.policy = ConflictPolicy::Kind::kFunction;
  EXPECT_EQ(judge(s).what, What::kFunction);
  s.op = UpRow::Op::kDelete;
  EXPECT_EQ(judge(s).what, What::kReject);
}

TEST(Conflict, AKeyThatIsTakenAndARowThatIsGone) {
  auto s = update_of_what_is_known();
  s.op = UpRow::Op::kInsert;
  EXPECT_EQ(judge(s).reason, "exists");
  s.exists = false;
  EXPECT_EQ(judge(s).what, What::kApply);
  s.op = UpRow::Op::kUpdate;
  EXPECT_EQ(judge(s).reason, "gone");
  s.op = UpRow::Op::kDelete;
  EXPECT_EQ(judge(s).what, What::kDone);
}

TEST(Conflict, RightsAndFilterComeFirst) {
  auto s = update_of_what_is_known();
  s.version = Csn{11};
  s.before_in_filter = false;
  EXPECT_EQ(judge(s).reason, "filter");
  s.rights.update = false;
  EXPECT_EQ(judge(s).reason, "right");
  auto insert = update_of_what_is_known();
  insert.op = UpRow::Op::kInsert;
  insert.after_in_filter = false;
  EXPECT_EQ(judge(insert).reason, "filter") << "even when the key is taken: of a row outside nothing is told";
}

TEST(Conflict, WhoHasChangedNothingAsksAndIsToldWhateverHisRights) {
  auto s = update_of_what_is_known();
  s.version = Csn{11};
  s.rights = {};
  s.mine = {false, false, false};
  EXPECT_EQ(judge(s).what, What::kDone);
  s.exists = false;
  EXPECT_EQ(judge(s).what, What::kDone);
  s.earlier_undecided = true;
  EXPECT_EQ(judge(s).what, What::kLater);
}

TEST(Conflict, ChangesOfOneRowAreDecidedInTheirOrder) {
  auto s = update_of_what_is_known();
  s.earlier_undecided = true;
  EXPECT_EQ(judge(s).what, What::kLater);
}

}  // namespace
}  // namespace verbund::sync
