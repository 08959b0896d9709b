#include "backup/rotation/plan.h"

#include <gmock/gmock.h>

#include <set>

#include "backup/rotation/rotation_fixture.h"

namespace verbund::backup {
namespace {

using std::chrono::days;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using enum GermanState;
using Outcome = fact::RunEnded::Outcome;

struct RotationPlan : ::testing::Test {
  PlanRules rules;
  Notebook notes;
  const LocalTime monday = t("2026-11-09 09:00");
  RotationPlan() { rules.calendar.state = kNW; }

  std::string due(std::string_view at) {
    const auto found = due_on(rules, notes.book, t(at));
    return found.medium ? notes.book.find(*found.medium)->label : "none: " + found.problem.english();
  }
  Status write(const std::string& label, std::string_view at) {
    return may_write(rules, notes.book, {.id = "id-" + label, .label = label}, t(at));
  }
  std::string kept(const std::string& label, std::string_view at) {
    const auto until = kept_until(rules, notes.book, "id-" + label, t(at));
    return until ? day_text(*until) : "free";
  }
};

TEST_F(RotationPlan, ANightAfterMidnightHoldsTheDayBefore) {
  const auto night = night_of(rules, t("2026-11-17 01:30"));
  EXPECT_EQ(night.of, d("2026-11-16"));
  EXPECT_EQ(night.controlled_on, d("2026-11-17"));
  EXPECT_FALSE(night.office_closed);
  EXPECT_EQ(night_of(rules, t("2026-11-16 22:00")).of, d("2026-11-16")) << "one in the evening, its own day";
}

TEST_F(RotationPlan, NightsOfClosedDaysHoldTheLastWorkingDay) {
  for (const char* at : {"2026-11-15 01:30", "2026-11-16 01:30"}) {
    EXPECT_EQ(night_of(rules, t(at)).of, d("2026-11-13")) << at;
    EXPECT_TRUE(night_of(rules, t(at)).office_closed);
    EXPECT_EQ(night_of(rules, t(at)).controlled_on, d("2026-11-16"));
  }
}

TEST_F(RotationPlan, ADayBelongsToItsHighestClass) {
  EXPECT_EQ(night_of(rules, t("2026-11-17 22:00")).medium_class, MediumClass::kDaily);
  EXPECT_EQ(night_of(rules, t("2026-11-20 22:00")).medium_class, MediumClass::kFriday);
  EXPECT_EQ(night_of(rules, t("2026-10-30 22:00")).medium_class, MediumClass::kMonthEnd) << "a Friday, too";
  EXPECT_EQ(night_of(rules, t("2026-09-30 22:00")).medium_class, MediumClass::kQuarterEnd);
  EXPECT_EQ(night_of(rules, t("2026-12-30 22:00")).medium_class, MediumClass::kQuarterEnd) << "no year media in this plan";
  rules.year.media = 3;
  EXPECT_EQ(night_of(rules, t("2026-12-30 22:00")).medium_class, MediumClass::kYear);
  rules.month_end.media = 0;
  EXPECT_EQ(night_of(rules, t("2026-10-30 22:00")).medium_class, MediumClass::kFriday);
}

TEST_F(RotationPlan, EachWorkingDayHasAMediumOfItsOwn) {
  notes.usual_media(monday);
  std::string order;
  for (LocalTime at = t("2026-11-10 01:30"); at < t("2026-11-25 00:00"); at += days{1}) order += notes.run_due(rules, at) + " ";
  // Over a weekend the Friday medium stays in and is written each night.
  EXPECT_EQ(order, "M1 M2 M3 M4 F1 F1 F1 M5 M1 M2 M3 F2 F2 F2 M4 ");
}

TEST_F(RotationPlan, WhatAMediumHoldsIsKeptForItsTime) {
  notes.usual_media(monday);
  notes.run(rules, t("2026-11-10 02:10"), "M1");
  notes.run(rules, t("2026-11-11 02:10"), "M2");
  notes.run(rules, t("2026-11-12 02:10"), "M3");
  EXPECT_EQ(kept("M1", "2026-11-12 10:00"), "2026-11-15") << "Monday's, six days";
  const auto refused = write("M1", "2026-11-13 01:30");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kWrongMedium);
  EXPECT_EQ(refused.error().message, "medium M1: must not be written over before 2026-11-15");
  EXPECT_EQ(refused.error().hint, "Tonight M4 is due.");
  EXPECT_EQ(kept("M4", "2026-11-12 10:00"), "free");
}

TEST_F(RotationPlan, AnyFreeMediumOfTheClassMayBeWritten) {
  notes.usual_media(monday);
  EXPECT_EQ(due("2026-11-10 01:30"), "M1");
  EXPECT_TRUE(write("M3", "2026-11-10 01:30"));
  EXPECT_EQ(write("F1", "2026-11-10 01:30").error().message, "medium F1: is a Friday medium, and a daily medium is wanted");
}

TEST_F(RotationPlan, ARefusalSaysWhy) {
  notes.usual_media(monday);
  notes.note(monday, fact::MediumRetired{"id-M2", "anna", "worn"});
  notes.note(monday, fact::MediumRetired{"id-M3", "anna", "fell", true});
  const auto at = t("2026-11-10 01:30");
  EXPECT_EQ(may_write(rules, notes.book, {.id = "", .label = "", .mounted = false}, at).error().code, ErrorCode::kMediumGone);
  EXPECT_THAT(may_write(rules, notes.book, {.id = "", .label = ""}, at).error().message, HasSubstr("has no label"));
  EXPECT_THAT(may_write(rules, notes.book, {.id = "x", .label = "X", .another_installation = true}, at).error().message, HasSubstr("another installation"));
  EXPECT_THAT(may_write(rules, notes.book, {.id = "x", .label = "X"}, at).error().message, HasSubstr("not known"));
  EXPECT_THAT(write("M2", "2026-11-10 01:30").error().message, HasSubstr("retired"));
  EXPECT_THAT(write("M3", "2026-11-10 01:30").error().message, HasSubstr("lost"));
}

TEST_F(RotationPlan, ANightIsRepeatedOnItsOwnMedium) {
  notes.usual_media(monday);
  notes.run(rules, t("2026-11-10 02:00"), "M1", Outcome::kIncomplete);
  EXPECT_EQ(due("2026-11-10 08:00"), "M1") << "before noon the night is not over until it is complete";
  EXPECT_TRUE(write("M1", "2026-11-10 08:00"));
  notes.run(rules, t("2026-11-10 08:30"), "M1");
  EXPECT_EQ(due("2026-11-10 09:00"), "M2") << "now the coming night's";
  EXPECT_FALSE(write("M1", "2026-11-10 09:00"));
}

// Somebody ran it by hand on a Sunday evening; the night then wanted Monday's medium, which nobody could have put in, and failed.
TEST_F(RotationPlan, ARunInTheEveningDoesNotMoveTheNightToAnotherMedium) {
  notes.usual_media(monday);
  const auto sunday = notes.run_due(rules, t("2026-11-22 17:18"));
  EXPECT_EQ(due("2026-11-23 01:30"), sunday);
  EXPECT_EQ(due_on(rules, notes.book, t("2026-11-23 01:30")).night.of, d("2026-11-20"));
  const auto tuesday = notes.run_due(rules, t("2026-11-24 19:00"));
  EXPECT_NE(tuesday, sunday);
  EXPECT_EQ(due("2026-11-25 01:30"), tuesday);
  EXPECT_EQ(due_on(rules, notes.book, t("2026-11-25 01:30")).night.of, d("2026-11-24"));
}

TEST_F(RotationPlan, WithoutAMediumOfTheClassOneBelowTakesItsPlace) {
  notes.usual_media(monday);
  const auto found = due_on(rules, notes.book, t("2026-12-01 01:30"));
  ASSERT_TRUE(found.medium);
  EXPECT_EQ(found.night.medium_class, MediumClass::kMonthEnd);
  EXPECT_EQ(found.problem.english(), "there is no month-end medium: F1 takes its place");
  EXPECT_TRUE(write("F1", "2026-12-01 01:30"));
}

TEST_F(RotationPlan, WithTooFewMediaThereIsNoneAndTheReasonIsSaid) {
  notes.add(monday, "M1");
  notes.add(monday, "M2");
  notes.run_due(rules, t("2026-11-10 01:30"));
  notes.run_due(rules, t("2026-11-11 01:30"));
  EXPECT_EQ(due("2026-11-12 01:30"), "none: no daily medium may be written over before 2026-11-15");
}

TEST_F(RotationPlan, FailedAndDamagedSetsKeepNothing) {
  notes.usual_media(monday);
  notes.run(rules, t("2026-11-10 02:00"), "M1", Outcome::kFailed);
  EXPECT_EQ(kept("M1", "2026-11-10 10:00"), "free");
  const auto set = notes.run(rules, t("2026-11-11 02:00"), "M2");
  notes.note(t("2026-11-11 08:00"), fact::SetVerified{set, "id-M2", Level::kNone, true});
  EXPECT_EQ(kept("M2", "2026-11-11 10:00"), "free");
  EXPECT_THAT(removable(rules, notes.book, "id-M2", t("2026-11-11 10:00")), ElementsAre(set));
}

TEST_F(RotationPlan, TheNewestGoodSetsAreKeptWhateverTheirAge) {
  notes.usual_media(monday);
  notes.run(rules, t("2026-11-10 02:00"), "M1");
  notes.run(rules, t("2026-11-11 02:00"), "M2");
  for (int i = 0; i < 40; ++i) notes.run(rules, t("2026-11-12 02:00") + days{i}, "M3", Outcome::kFailed);
  EXPECT_EQ(kept("M1", "2026-12-22 01:30"), "2026-12-22");
  EXPECT_THAT(removable(rules, notes.book, "id-M1", t("2026-12-22 01:30")), IsEmpty());
  notes.run(rules, t("2026-12-22 02:00"), "M4");
  EXPECT_EQ(kept("M1", "2026-12-23 01:30"), "free") << "two newer ones on other media";
}

TEST_F(RotationPlan, ANewerGoodSetOfTheSameNightReplacesTheOlder) {
  notes.usual_media(monday);
  const auto first = notes.run(rules, t("2026-11-14 02:00"), "F1");
  EXPECT_THAT(removable(rules, notes.book, "id-F1", t("2026-11-15 01:30")), IsEmpty());
  const auto bad = notes.run(rules, t("2026-11-15 02:00"), "F1", Outcome::kComplete, Level::kReadable);
  EXPECT_THAT(removable(rules, notes.book, "id-F1", t("2026-11-15 03:00")), IsEmpty()) << "not proven from its medium";
  notes.run(rules, t("2026-11-16 02:00"), "F1");
  EXPECT_THAT(removable(rules, notes.book, "id-F1", t("2026-11-16 03:00")), ElementsAre(first, bad));
}

TEST_F(RotationPlan, AClockLeapingAheadFreesNoMedium) {
  notes.usual_media(monday);
  notes.run(rules, t("2026-11-14 02:00"), "F1");
  notes.run(rules, t("2026-11-17 02:00"), "M1");
  notes.run(rules, t("2026-11-18 02:00"), "M2");
  EXPECT_FALSE(write("F1", "2028-11-18 01:30")) << "two years by the clock, three days by the entries";
  EXPECT_EQ(kept("M1", "2028-11-18 01:30"), "2028-11-19");
}

TEST_F(RotationPlan, AClockSetBackKeepsAllUntilItIsEntered) {
  notes.usual_media(monday);
  for (LocalTime at = t("2026-11-10 01:30"); at < t("2026-11-20 00:00"); at += days{1}) notes.run_due(rules, at);
  const auto back = t("2024-11-19 01:30");
  EXPECT_TRUE(clock_set_back(notes.book, back));
  for (const char* label : {"M1", "M2", "M3", "M4", "M5", "F1"}) EXPECT_NE(kept(label, "2024-11-19 01:30"), "free");
  notes.note(back, fact::ClockSetBack{});
  EXPECT_TRUE(due_on(rules, notes.book, t("2024-11-20 01:30")).medium) << "backups go on";
}

TEST_F(RotationPlan, ATapeIsNotWrittenTwiceInANight) {
  notes.add(monday, "T1", MediumClass::kFriday, MediumKind::kTape);
  notes.add(monday, "T2", MediumClass::kFriday, MediumKind::kTape);
  notes.run(rules, t("2026-11-14 02:00"), "T1");
  EXPECT_EQ(due("2026-11-15 01:30"), "none: tape T1 holds 2026-11-13 already");
  EXPECT_FALSE(write("T1", "2026-11-15 01:30"));
  EXPECT_EQ(local_time_text(next_run(rules, notes.book, monday, t("2026-11-14 09:00"))), "2026-11-17T01:30:00");
  EXPECT_FALSE(missed_night(rules, notes.book, monday, t("2026-11-16 09:00")));
}

TEST_F(RotationPlan, TheScheduleNamesEachNight) {
  notes.usual_media(monday);
  std::string text;
  for (const auto& night : schedule(rules, notes.book, t("2026-11-09 10:00"), 14)) text += notes.book.find(night.due.medium.value_or(""))->label + " ";
  EXPECT_EQ(text, "M1 M2 M3 M4 F1 F1 F1 M5 M1 M2 M3 F2 F2 F2 ");
  EXPECT_EQ(notes.book.last_run(), std::nullopt) << "only imagined";
}

struct NextRun : RotationPlan {
  std::string next(std::string_view now) { return local_time_text(next_run(rules, notes.book, monday, t(now))).substr(0, 16); }
};

TEST_F(NextRun, IsTheNightAfterTheLastOne) {
  EXPECT_EQ(next("2026-11-09 10:00"), "2026-11-10T01:30");
  notes.run(rules, t("2026-11-10 02:15"), "");
  EXPECT_EQ(next("2026-11-10 02:20"), "2026-11-11T01:30");
  EXPECT_EQ(next("2026-11-11 01:30"), "2026-11-11T01:30");
}

TEST_F(NextRun, IsNowWhenANightWasSleptThrough) {
  EXPECT_EQ(next("2026-11-10 07:45"), "2026-11-10T07:45");
  notes.run(rules, t("2026-11-10 08:15"), "");
  EXPECT_EQ(next("2026-11-30 07:45"), "2026-11-30T07:45");
  notes.run(rules, t("2026-11-30 08:15"), "");
  EXPECT_EQ(next("2026-11-30 09:00"), "2026-12-01T01:30") << "once, not for each night";
}

TEST_F(NextRun, IsNotRepeatedWhenTheClockGoesBackAnHour) {
  notes.run(rules, t("2026-11-10 01:50"), "");
  EXPECT_EQ(next("2026-11-10 01:00"), "2026-11-11T01:30");
}

TEST_F(NextRun, ComesAgainAfterTheClockWasSetBackForYears) {
  notes.run(rules, t("2028-11-10 01:50"), "");
  notes.note(t("2026-11-10 12:00"), fact::ClockSetBack{});
  EXPECT_EQ(next("2026-11-10 13:00"), "2026-11-11T01:30");
  notes.run(rules, t("2026-11-11 02:00"), "");
  EXPECT_EQ(next("2026-11-11 13:00"), "2026-11-12T01:30");
}

TEST_F(NextRun, ANightWithoutARunIsMissedFiveHoursLater) {
  notes.run(rules, t("2026-11-10 02:15"), "");
  EXPECT_FALSE(missed_night(rules, notes.book, monday, t("2026-11-11 06:00")));
  EXPECT_EQ(missed_night(rules, notes.book, monday, t("2026-11-11 06:31")), t("2026-11-11 01:30"));
  notes.run(rules, t("2026-11-11 07:00"), "");
  EXPECT_FALSE(missed_night(rules, notes.book, monday, t("2026-11-11 07:31")));
}

/// The default plan must never be short of a medium when each night goes well: in no state, through all its holidays.
TEST_F(RotationPlan, TheDefaultPlanHasAMediumForEachNightOfElevenYearsInAllStates) {
  for (int state = 0; state < 16; ++state) {
    PlanRules plan;
    plan.calendar.state = static_cast<GermanState>(state);
    Notebook house;
    const auto begin = t("2023-12-27 01:30");
    for (const MediumClass medium_class : kClasses) {
      for (int i = 0; i < rule_of(plan, medium_class).media; ++i) house.add(begin, fmt::format("{}-{:02}", class_name(medium_class), i), medium_class);
    }
    for (LocalTime at = begin; at < t("2034-12-31 01:30"); at += days{1}) {
      const auto due = due_on(plan, house.book, at);
      ASSERT_TRUE(due.medium && due.problem.msgid.empty()) << state << " " << local_time_text(at) << " " << due.problem.english();
      house.run_due(plan, at);
      for (const auto& set : removable(plan, house.book, *due.medium, at)) house.note(at, fact::SetRemoved{set, *due.medium});
    }
  }
}

}  // namespace
}  // namespace verbund::backup
