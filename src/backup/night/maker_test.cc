// Who makes a night: every case of the table in docs/operations/mirror.md.
#include "backup/night/maker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backup/rotation/rotation_fixture.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/scratch_directory.h"

namespace verbund::backup {
namespace {

using Part = PairNights::Part;
using Outcome = fact::RunEnded::Outcome;
using ::testing::HasSubstr;

struct MakerTest : ::testing::Test {
  PairNights pair{Part::kProduction, "spiegel", true, true, false, false};
  PlanRules plan;
  Outlook outlook;
  LocalTime since = t("2026-11-02 09:00");
  std::optional<LocalTime> stood_in;

  MakerTest() {
    outlook.configured = true;
    ran("2026-11-23 02:10", Outcome::kComplete);
  }
  void ran(std::string_view at, Outcome outcome) {
    fact::RunEnded run;
    run.outcome = outcome;
    outlook.last_run = Event<fact::RunEnded>{run, t(at), {}, 1};
    if (outcome != Outcome::kFailed) outlook.last_set = t(at);
    outlook.next = last_night(plan, t(at)) + std::chrono::days{1};
  }
  NightTurn at(std::string_view now) const { return turn_of(pair, outlook, plan, since, stood_in, t(now)); }
};

TEST_F(MakerTest, WithoutAPairTheNightsAreOurs) {
  const auto alone = turn_of(std::nullopt, outlook, plan, since, {}, t("2026-11-24 01:30"));
  EXPECT_EQ(alone.turn, Turn::kOurs);
  EXPECT_TRUE(alone.due);
  EXPECT_FALSE(turn_of(std::nullopt, outlook, plan, since, {}, t("2026-11-24 01:29")).due);
  EXPECT_FALSE(turn_of(std::nullopt, Outlook{}, plan, since, {}, t("2026-11-24 01:30")).due) << "nothing is configured";
}

TEST_F(MakerTest, TheMirrorMakesThem) {
  EXPECT_EQ(at("2026-11-24 01:30").turn, Turn::kOthers);
  EXPECT_FALSE(at("2026-11-24 01:30").due);
  EXPECT_THAT(at("2026-11-24 01:30").why.english(), HasSubstr("spiegel"));
  pair.part = Part::kMirror;
  EXPECT_EQ(at("2026-11-24 01:30").turn, Turn::kOurs);
  EXPECT_TRUE(at("2026-11-24 01:30").due);
  pair.heard = false;
  EXPECT_TRUE(at("2026-11-24 01:30").due) << "whether or not production is there: what it has is worth a backup";
}

TEST_F(MakerTest, WhoMayNotWorkMakesNone) {
  pair.part = Part::kNone;
  EXPECT_EQ(at("2026-11-24 01:30").turn, Turn::kNobodys);
  EXPECT_FALSE(at("2026-11-24 09:30").due);
}

TEST_F(MakerTest, WithALedgerEachEachMakesItsOwn) {
  pair.apart = true;
  EXPECT_EQ(at("2026-11-24 01:30").turn, Turn::kOurs);
  EXPECT_TRUE(at("2026-11-24 01:30").due);
}

TEST_F(MakerTest, ProductionStandsInForAMirrorThatIsSilentOrMakesNone) {
  pair.heard = false;
  EXPECT_EQ(at("2026-11-24 01:00").turn, Turn::kStandsIn);
  EXPECT_FALSE(at("2026-11-24 01:00").due);
  EXPECT_TRUE(at("2026-11-24 01:30").due);
  EXPECT_THAT(at("2026-11-24 01:30").why.english(), HasSubstr("not heard"));
  pair = {Part::kProduction, "spiegel", true, false, false, false};
  EXPECT_TRUE(at("2026-11-24 01:30").due);
  EXPECT_THAT(at("2026-11-24 01:30").why.english(), HasSubstr("makes no backups"));
}

TEST_F(MakerTest, ProductionStandsInForANightThatTheMirrorHasNotMade) {
  EXPECT_FALSE(at("2026-11-24 03:29").due) << "it may take two hours";
  const auto stands_in = at("2026-11-24 03:30");
  EXPECT_EQ(stands_in.turn, Turn::kStandsIn);
  EXPECT_TRUE(stands_in.due);
  EXPECT_TRUE(stands_in.trouble);
  EXPECT_THAT(stands_in.why.english(), HasSubstr("has made no backup of the night of 2026-11-24"));
  pair.busy = true;
  EXPECT_FALSE(at("2026-11-24 03:30").due) << "it is at it";
}

TEST_F(MakerTest, OrHasMadeInVain) {
  ran("2026-11-24 01:31", Outcome::kFailed);
  EXPECT_FALSE(at("2026-11-24 02:00").due);
  EXPECT_TRUE(at("2026-11-24 03:30").due);
  ran("2026-11-24 02:31", Outcome::kIncomplete);
  EXPECT_FALSE(at("2026-11-24 03:30").due) << "there is a set with something missing: told by its report";
  ran("2026-11-24 02:31", Outcome::kComplete);
  EXPECT_FALSE(at("2026-11-24 03:30").due);
  EXPECT_FALSE(at("2026-11-24 03:30").trouble);
}

TEST_F(MakerTest, OnceForEachNightAndSaysSoUntilOneHasGoneAsItShould) {
  stood_in = t("2026-11-24 01:30");
  ran("2026-11-24 04:00", Outcome::kFailed);
  EXPECT_FALSE(at("2026-11-24 04:10").due);
  ran("2026-11-24 04:00", Outcome::kComplete);
  const auto after = at("2026-11-24 12:00");
  EXPECT_EQ(after.turn, Turn::kOthers);
  EXPECT_FALSE(after.due);
  EXPECT_TRUE(after.trouble);
  EXPECT_THAT(after.why.english(), HasSubstr("production has stood in"));
  ran("2026-11-25 02:00", Outcome::kComplete);
  EXPECT_FALSE(at("2026-11-25 03:30").trouble) << "the mirror's";
}

TEST_F(MakerTest, BeforeTheFirstDayNothingWasDue) {
  since = t("2026-11-24 09:00");
  outlook.last_run.reset();
  outlook.last_set.reset();
  EXPECT_FALSE(at("2026-11-24 10:00").due);
  EXPECT_TRUE(at("2026-11-25 03:30").due);
}

struct PairFileTest : ::testing::Test {
  os::ScratchDirectory scratch;
  WallTime now = os::wall_time(t("2026-11-24 01:30"));
};

TEST_F(PairFileTest, IsReadAsItWasWrittenAndGrowsOld) {
  EXPECT_EQ(read_pair_nights(scratch.path(), now).value(), std::nullopt);
  const PairNights noted{Part::kProduction, "Spiegel \"hinten\"", true, true, true, false};
  ASSERT_TRUE(write_pair_nights(scratch.path(), noted, now));
  EXPECT_EQ(read_pair_nights(scratch.path(), now + kPairNoted).value(), noted);
  EXPECT_FALSE(read_pair_nights(scratch.path(), now + kPairNoted + seconds{1}).value()->heard);
  EXPECT_FALSE(read_pair_nights(scratch.path(), now - kPairNoted - seconds{1}).value()->heard) << "noted by a clock that was wrong";
  ASSERT_TRUE(write_pair_nights(scratch.path(), std::nullopt, now));
  EXPECT_EQ(read_pair_nights(scratch.path(), now).value(), std::nullopt);
}

TEST_F(PairFileTest, WhatSomebodyElseHasWrittenThereIsAnError) {
  for (const auto* text : {"", "{", "[]", "{}", R"({"part":"boss","other":"x","heard":true,"makes":true,"busy":true,"apart":false,"at":"2026-11-24T00:30:00Z"})"}) {
    ASSERT_TRUE(os::make_directories(scratch.path() / "backup", 0700));
    ASSERT_TRUE(os::write_file_atomically(scratch.path() / "backup" / "pair.json", text, 0600));
    const auto read = read_pair_nights(scratch.path(), now);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, ErrorCode::kDamaged);
  }
}

TEST_F(PairFileTest, AStandInIsNotedForItsNight) {
  ASSERT_TRUE(os::make_directories(scratch.path() / "backup", 0700));
  ASSERT_TRUE(write_pair_nights(scratch.path(), PairNights{Part::kProduction, "spiegel", true, true, false, false}, os::wall_time(t("2026-11-24 03:30"))));
  ASSERT_TRUE(begin_nights(scratch.path(), t("2026-11-20 09:00")));
  Outlook outlook;
  outlook.configured = true;
  EXPECT_TRUE(turn_now(scratch.path(), outlook, {}, t("2026-11-24 03:30")).value().due);
  ASSERT_TRUE(note_stood_in(scratch.path(), {}, t("2026-11-24 03:30")));
  EXPECT_FALSE(turn_now(scratch.path(), outlook, {}, t("2026-11-24 03:31")).value().due);
  ASSERT_TRUE(os::write_file_atomically(scratch.path() / "backup" / "nights.stood-in", "yesterday\n", 0600));
  EXPECT_EQ(turn_now(scratch.path(), outlook, {}, t("2026-11-24 03:31")).error().code, ErrorCode::kDamaged);
}

}  // namespace
}  // namespace verbund::backup
