#include "sync/server/admission.h"

#include <gtest/gtest.h>

namespace verbund::sync::server {
namespace {

const TimePoint kStart{seconds{1000}};

TEST(Admission, FewAtOnceAndTheOthersInTheirOrder) {
  Admission turns(2, seconds{30});
  EXPECT_EQ(turns.ask(1, kStart), std::nullopt);
  EXPECT_EQ(turns.ask(2, kStart), std::nullopt);
  EXPECT_EQ(turns.ask(3, kStart), 1U);
  EXPECT_EQ(turns.ask(4, kStart), 2U);
  EXPECT_EQ(turns.ask(1, kStart), std::nullopt) << "it is at it";
  turns.over(1, kStart);
  EXPECT_EQ(turns.ask(4, kStart), 2U) << "3 was before it";
  EXPECT_EQ(turns.ask(5, kStart), 3U);
  EXPECT_EQ(turns.ask(3, kStart), std::nullopt);
  EXPECT_EQ(turns.working(), 2U);
  EXPECT_EQ(turns.ask(4, kStart), 1U);
}

TEST(Admission, WhoDoesNotAskLosesItsPlace) {
  Admission turns(1, seconds{30});
  EXPECT_EQ(turns.ask(1, kStart), std::nullopt);
  EXPECT_EQ(turns.ask(2, kStart), 1U);
  EXPECT_EQ(turns.ask(3, kStart), 2U);
  EXPECT_EQ(turns.ask(3, kStart + seconds{20}), 2U);
  EXPECT_EQ(turns.ask(3, kStart + seconds{40}), 1U) << "2 is gone";
  EXPECT_EQ(turns.ask(2, kStart + seconds{40}), 2U);
  EXPECT_EQ(turns.waiting(), 2U);
}

TEST(Admission, StillWaitsOnlyWhoseTurnItIsNot) {
  Admission turns(1, seconds{30});
  EXPECT_EQ(turns.still_waits(1, kStart), std::nullopt);
  EXPECT_EQ(turns.ask(1, kStart), std::nullopt);
  EXPECT_EQ(turns.ask(2, kStart), 1U);
  EXPECT_EQ(turns.still_waits(2, kStart), 1U);
  turns.over(1, kStart);
  EXPECT_EQ(turns.still_waits(2, kStart), std::nullopt);
  EXPECT_EQ(turns.working(), 0U) << "it has not been admitted by that";
  EXPECT_EQ(turns.ask(3, kStart), 2U) << "nor overtaken";
  EXPECT_EQ(turns.ask(2, kStart), std::nullopt);
}

TEST(Admission, AsksWhenItsTurnMayCome) {
  Admission turns(4, seconds{30});
  EXPECT_EQ(turns.ask_again_in(1), milliseconds{250});
  EXPECT_EQ(turns.ask_again_in(20), milliseconds{5'000});
  EXPECT_EQ(turns.ask_again_in(5'000), milliseconds{10'000});
  for (std::uint64_t device = 1; device <= 50; ++device) {
    EXPECT_EQ(turns.ask(device, kStart), std::nullopt);
    turns.over(device, kStart + milliseconds{40});
  }
  EXPECT_EQ(turns.ask_again_in(1), milliseconds{100});
  EXPECT_EQ(turns.ask_again_in(200).count() / 100, 20) << "ten milliseconds each";
  turns.over(99, kStart);  // of nobody
}

}  // namespace
}  // namespace verbund::sync::server
