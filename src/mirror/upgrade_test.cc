#include <gtest/gtest.h>

#include "mirror/upgrade.h"

namespace verbund::mirror {
namespace {

TEST(Upgrade, NumbersAreComparedAsNumbers) {
  EXPECT_LT(compare_versions("15.9", "15.14"), 0);
  EXPECT_GT(compare_versions("1.10.0", "1.9.9"), 0);
  EXPECT_EQ(compare_versions("1.2", "1.2"), 0);
  EXPECT_NE(compare_versions("1.2", "1.2.0"), 0) << "not the same, and in some order";
  EXPECT_NE(compare_versions("1.2-rc1", "1.2"), 0);
  EXPECT_EQ(compare_versions("", ""), 0);
}

TEST(Upgrade, GoesFromEqualToEqualByTheMirrorASwitchoverAndTheOther) {
  const Versions old{"1.0", "15.14"}, fresh{"1.1", "15.15"};
  EXPECT_EQ(next_step(old, old), UpgradeStep::kNothing);
  EXPECT_EQ(next_step(old, fresh), UpgradeStep::kSwitchOver);
  EXPECT_EQ(next_step(fresh, old), UpgradeStep::kUpdateMirror) << "after the switchover the old one is the mirror";
  EXPECT_EQ(next_step(fresh, fresh), UpgradeStep::kNothing);
}

TEST(Upgrade, AMirrorThatIsOlderInAnythingIsUpdatedFirst) {
  EXPECT_EQ(next_step({"1.0", "15.15"}, {"1.1", "15.14"}), UpgradeStep::kUpdateMirror);
  EXPECT_EQ(next_step({"1.0", "15.14"}, {"1.0", "15.15"}), UpgradeStep::kSwitchOver);
  EXPECT_EQ(next_step({"1.0", ""}, {"1.0", "15.15"}), UpgradeStep::kUnknown);
}

}  // namespace
}  // namespace verbund::mirror
