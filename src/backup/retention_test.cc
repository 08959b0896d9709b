#include "backup/retention.h"

#include "backup/manifest.h"

#include <gmock/gmock.h>

namespace verbund::backup {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

WallTime day(int number) { return WallTime{std::chrono::days{20'000 + number}}; }

KeptSet good(std::uint64_t number) {
  return {set_id(day(static_cast<int>(number)), number), number, day(static_cast<int>(number)), true, Level::kRestored};
}

std::vector<KeptSet> nights(std::uint64_t count) {
  std::vector<KeptSet> sets;
  for (std::uint64_t i = 1; i <= count; ++i) sets.push_back(good(i));
  return sets;
}

TEST(Prune, KeepsTheNewestProvenSets) {
  const auto gone = plan_prune(nights(9), {7, 7, 0, day(10)});
  ASSERT_TRUE(gone) << gone.error().message;
  EXPECT_THAT(*gone, ElementsAre(good(1).id, good(2).id));
}

TEST(Prune, FailedNightsDontCountAsKept) {
  auto sets = nights(9);
  sets[6].complete = false;
  sets[5].proven = Level::kHashes;
  const auto gone = plan_prune(sets, {7, 7, 0, day(10)});
  ASSERT_TRUE(gone);
  EXPECT_THAT(*gone, IsEmpty());
}

TEST(Prune, IsRefusedWithoutANewProvenSet) {
  auto sets = nights(9);
  sets.back().proven = Level::kReadable;
  EXPECT_EQ(plan_prune(sets, {7, 7, 0, day(10)}).error().code, ErrorCode::kIncomplete);
  EXPECT_EQ(plan_prune(nights(9), {7, 7, 9, day(10)}).error().code, ErrorCode::kIncomplete) << "nothing new since the last time";
  EXPECT_EQ(plan_prune({}, {7, 7, 0, day(10)}).error().code, ErrorCode::kIncomplete);
}

TEST(Prune, IsRefusedWhenTheClockDisagreesWithTheSequence) {
  EXPECT_EQ(plan_prune(nights(9), {7, 7, 0, day(8)}).error().code, ErrorCode::kIncomplete) << "the clock went back";
  auto sets = nights(9);
  sets[3].ended = day(700);
  EXPECT_EQ(plan_prune(sets, {7, 7, 0, day(800)}).error().code, ErrorCode::kIncomplete) << "one night the clock was years ahead";
}

TEST(Prune, NeverGoesBelowItsFloor) { EXPECT_EQ(plan_prune(nights(9), {3, 7, 0, day(10)}).error().code, ErrorCode::kUsage); }

TEST(Sequence, GrowsWhateverIsOnTheMedium) {
  EXPECT_EQ(next_sequence({}, 0), 1U);
  EXPECT_EQ(next_sequence({3, 9, 4}, 5), 10U);
  EXPECT_EQ(next_sequence({}, 41), 42U) << "an empty medium does not begin anew";
}

}  // namespace
}  // namespace verbund::backup
