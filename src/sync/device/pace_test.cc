#include "sync/device/pace.h"

#include <gtest/gtest.h>

namespace verbund::sync::device {
namespace {

TEST(Pace, IsTheApplicationsOrElseTheServers) {
  EXPECT_EQ(pause_after({milliseconds{5'000}}, 0, milliseconds{300'000}, 7), milliseconds{5'000});
  EXPECT_EQ(pause_after({}, 0, milliseconds{312'345}, 7), milliseconds{312'345});
  EXPECT_EQ(pause_after({}, 0, milliseconds{0}, 7), kServerSilent);
}

TEST(Pace, FailuresMakeItSlowerUpToTenMinutesAndSpreadOut) {
  for (unsigned failures = 1; failures < 100; ++failures) {
    const auto least = pause_after({}, failures, milliseconds{0}, 0), most = pause_after({}, failures, milliseconds{0}, 0xffff);
    EXPECT_GT(most, least);
    EXPECT_GE(least, kFirstPause / 2);
    EXPECT_LE(most, kLongestPause);
    if (failures > 1) {
      EXPECT_GE(least, pause_after({}, failures - 1, milliseconds{0}, 0));
    }
  }
  EXPECT_GE(pause_after({}, 99, milliseconds{0}, 0), kLongestPause / 2);
}

}  // namespace
}  // namespace verbund::sync::device
