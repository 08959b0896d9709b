// Two offices made from one set, on machines that do not know of each other, must not give the same tokens.
#include "node/restored.h"

#include <gtest/gtest.h>

#include "mirror/epoch.h"
#include "testing/scratch_directory.h"

namespace verbund::node {
namespace {

using namespace std::chrono;

WallTime at(sys_days day, minutes time) { return WallTime(day + time); }

TEST(BeginningOfARestore, DaysGiveTermsAndMinutesGiveStartCounts) {
  const auto first = beginning_at(at(year{2026} / 11 / 22, 8h));
  EXPECT_EQ(first.at_least, Term{325});
  EXPECT_EQ(first.starts, 8 * 60 * 16);
  EXPECT_EQ(beginning_at(at(year{2026} / 11 / 22, 8h + 1min)).starts, first.starts + 16);
  EXPECT_EQ(beginning_at(at(year{2026} / 11 / 23, 0min)).at_least, Term{326});
  EXPECT_EQ(beginning_at(at(year{2026} / 11 / 22, 23h + 59min)).starts, 23024) << "most of a start count is left";
}

TEST(BeginningOfARestore, AClockThatIsFarOffIsNotBelieved) {
  EXPECT_EQ(beginning_at(at(year{1970} / 1 / 1, 0min)).at_least, Term{0});
  EXPECT_EQ(beginning_at(at(year{2200} / 1 / 1, 0min)).at_least, Term{0});
}

TEST(BeginningOfARestore, TokensOfTwoOfficesOfOneDayNeverMeet) {
  const testing::ScratchDirectory directory;
  const auto first = beginning_at(at(year{2026} / 11 / 22, 8h)), second = beginning_at(at(year{2026} / 11 / 22, 8h + 1min));
  ASSERT_TRUE(mirror::begin_term(directory.path() / "a", Term{first.at_least.value - 1}, first.starts));
  ASSERT_TRUE(mirror::begin_term(directory.path() / "b", Term{second.at_least.value - 1}, second.starts));
  auto last = mirror::next_epoch(directory.path() / "a");
  for (int start = 1; start < 16; ++start) last = mirror::next_epoch(directory.path() / "a");
  EXPECT_LT(FencingToken::of(*last, 0xffffffff), FencingToken::of(*mirror::next_epoch(directory.path() / "b"), 0));
}

}  // namespace
}  // namespace verbund::node
