// Two offices made from one set, on machines that do not know of each other, must not give the same tokens.
#include "node/restored.h"

#include <gtest/gtest.h>

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
  const auto first = beginning_at(at(year{2026} / 11 / 22, 8h)), second = beginning_at(at(year{2026} / 11 / 22, 8h + 1min));
  const LockEpoch sixteenth_start{first.at_least, static_cast<std::uint16_t>(first.starts + 16)}, first_start{second.at_least, static_cast<std::uint16_t>(second.starts + 1)};
  EXPECT_LT(FencingToken::of(sixteenth_start, 0xffffffff), FencingToken::of(first_start, 0));
}

}  // namespace
}  // namespace verbund::node
