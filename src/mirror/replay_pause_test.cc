#include <gtest/gtest.h>

#include "mirror/replay_pause.h"

namespace verbund::mirror {
namespace {

TEST(PauseBound, EndsAfterTenMinutesOrAGigabyte) {
  PauseBound bound;
  TimePoint now{};
  EXPECT_FALSE(bound.over({}, now));
  const ReplayPause paused{true, Lsn{1}, 5};
  EXPECT_FALSE(bound.over(paused, now));
  EXPECT_FALSE(bound.over(paused, now += std::chrono::minutes{9}));
  EXPECT_TRUE(bound.over(paused, now += std::chrono::minutes{1}));
  EXPECT_FALSE(bound.over({}, now)) << "resumed";
  EXPECT_FALSE(bound.over(paused, now)) << "a new one has its own ten minutes";
  EXPECT_TRUE(bound.over({true, Lsn{1}, 1ULL << 30U}, now));
}

}  // namespace
}  // namespace verbund::mirror
