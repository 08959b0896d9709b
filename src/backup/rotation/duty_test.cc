#include "backup/rotation/duty.h"

#include <gmock/gmock.h>

#include "backup/rotation/rotation_fixture.h"

namespace verbund::backup {
namespace {

using std::chrono::days;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using enum Trouble::Kind;
using Outcome = fact::RunEnded::Outcome;

const Person kAnna{"Anna", "anna@example.org"}, kJoerg{"Jörg", "joerg@example.org"}, kUte{"Ute", ""}, kChief{"Chief", "chief@example.org"};

std::vector<std::string> names(const std::vector<Person>& people) {
  std::vector<std::string> list;
  for (const auto& person : people) list.push_back(person.name);
  return list;
}

struct Duty : ::testing::Test {
  PlanRules plan;
  DutyRules duty{.given = {{std::nullopt, std::nullopt, std::nullopt, {kAnna, kJoerg}}}, .absences = {}, .administrators = {kChief}};
  Notebook notes;
  const LocalTime since = t("2026-11-09 09:00");

  Duty() {
    plan.calendar.state = GermanState::kNW;
    plan.take_away = false;
    plan.month_end.media = plan.quarter_end.media = 0;
    notes.usual_media(since);
  }
  /// Each night goes well, each control is ticked off, up to `until`.
  void go_well(std::string_view until) {
    const Calendar calendar(plan.calendar);
    for (LocalTime at = t("2026-11-10 02:00"); at < t(until); at += days{1}) {
      notes.run_due(plan, at);
      if (calendar.working_day(std::chrono::floor<days>(at))) notes.note(at + std::chrono::hours{6}, fact::Ticked{std::chrono::floor<days>(at), Task::kControl, "Anna"});
    }
  }
  std::vector<Trouble> all(std::string_view now) { return troubles(plan, duty_now(duty, notes.book), notes.book, since, t(now)); }
  std::optional<Trouble> one(Trouble::Kind kind, std::string_view now) {
    for (auto& trouble : all(now)) {
      if (trouble.kind == kind) return trouble;
    }
    return std::nullopt;
  }
  std::vector<std::string> told(Trouble::Kind kind, std::string_view now) {
    const auto trouble = one(kind, now);
    return trouble ? names(trouble->to) : std::vector<std::string>{"nobody: there is no such trouble"};
  }
};

TEST(DutyPerson, IsReadWithOrWithoutAMailAddress) {
  EXPECT_EQ(parse_person(" Anna Müller <anna@example.org> ").value(), (Person{"Anna Müller", "anna@example.org"}));
  EXPECT_EQ(parse_person("Anna").value(), (Person{"Anna", ""}));
  EXPECT_EQ(person_text({"Anna", "a@b"}), "Anna <a@b>");
  for (const char* text : {"", "<a@b>", "Anna <>", "Anna <a@b", "Anna <ab>", "Anna <a@b> x", "Anna <a@b>,<c@d>", "Anna\n<a@b>", "Anna <a@>"}) {
    EXPECT_FALSE(parse_person(text)) << text;
  }
}

TEST_F(Duty, TheClosestRuleCounts) {
  duty.given.push_back({std::nullopt, std::chrono::Friday, std::nullopt, {kJoerg, kUte}});
  duty.given.push_back({Task::kTakeAway, std::chrono::Friday, std::nullopt, {kUte, kAnna}});
  duty.given.push_back({std::nullopt, std::nullopt, d("2026-11-20"), {kChief, kAnna}});
  EXPECT_EQ(on_duty(duty, d("2026-11-12"), Task::kControl).responsible, kAnna);
  EXPECT_EQ(on_duty(duty, d("2026-11-13"), Task::kControl).responsible, kJoerg);
  EXPECT_EQ(on_duty(duty, d("2026-11-13"), Task::kTakeAway).responsible, kUte);
  EXPECT_EQ(on_duty(duty, d("2026-11-20"), Task::kTakeAway).responsible, kChief);
}

TEST_F(Duty, WhatIsSetByCommandStandsOverTheConfiguration) {
  notes.note(since, fact::DutyGiven{"Chief", std::nullopt, std::nullopt, std::nullopt, kUte, kAnna});
  EXPECT_EQ(on_duty(duty_now(duty, notes.book), d("2026-11-12"), Task::kControl).responsible, kUte);
  notes.note(since, fact::DutyGiven{"Chief", std::nullopt, std::nullopt, std::nullopt, {}, {}});
  EXPECT_EQ(on_duty(duty_now(duty, notes.book), d("2026-11-12"), Task::kControl).responsible, kAnna) << "taken back";
}

TEST_F(Duty, TheDeputyStepsInForWhoIsAbsent) {
  notes.note(since, fact::AbsenceNoted{"Anna", "Anna", d("2026-11-16"), d("2026-11-20")});
  const auto now = duty_now(duty, notes.book);
  EXPECT_EQ(on_duty(now, d("2026-11-13"), Task::kControl).responsible, kAnna);
  EXPECT_EQ(on_duty(now, d("2026-11-16"), Task::kControl).responsible, kJoerg);
  EXPECT_EQ(on_duty(now, d("2026-11-16"), Task::kControl).deputy, Person{});
  EXPECT_EQ(on_duty(now, d("2026-11-23"), Task::kControl).responsible, kAnna);
}

TEST_F(Duty, AHouseWhereAllGoesWellHasNoTrouble) {
  go_well("2026-11-17 00:00");
  notes.note(t("2026-11-16 08:30"), fact::OffSiteVerified{"set-5", "cloud"});
  for (const char* now : {"2026-11-16 09:00", "2026-11-16 23:00", "2026-11-17 04:00"}) EXPECT_THAT(all(now), IsEmpty()) << now << all(now)[0].key;
}

TEST_F(Duty, ASilentNightIsMissedAndGoesUpTheLine) {
  go_well("2026-11-17 23:00");
  EXPECT_FALSE(one(kMissed, "2026-11-18 06:00"));
  EXPECT_EQ(one(kMissed, "2026-11-18 07:00")->key, "missed/2026-11-18");
  EXPECT_EQ(one(kMissed, "2026-11-18 07:00")->text.english(), "no backup has run in the night of 2026-11-18");
  EXPECT_THAT(told(kMissed, "2026-11-18 09:59"), ElementsAre("Anna"));
  EXPECT_THAT(told(kMissed, "2026-11-18 10:00"), ElementsAre("Anna", "Jörg"));
  EXPECT_THAT(told(kMissed, "2026-11-18 14:00"), ElementsAre("Anna", "Jörg", "Chief"));
  EXPECT_EQ(one(kMissed, "2026-11-19 07:00")->key, "missed/2026-11-19") << "each night";
}

TEST_F(Duty, WhoHasTickedOffHasADayBeforeItGoesUpTheLine) {
  go_well("2026-11-17 00:00");
  notes.run(plan, t("2026-11-17 02:00"), "M5", Outcome::kFailed);
  notes.note(t("2026-11-17 08:00"), fact::Ticked{d("2026-11-17"), Task::kControl, "Anna"});
  EXPECT_THAT(told(kFailed, "2026-11-17 15:00"), ElementsAre("Anna"));
  EXPECT_THAT(told(kFailed, "2026-11-18 10:00"), ElementsAre("Anna", "Jörg"));
  EXPECT_THAT(told(kFailed, "2026-11-18 14:00"), ElementsAre("Anna", "Jörg", "Chief"));
}

TEST_F(Duty, WithoutAnybodyNamedTheAdministratorsAreTold) {
  duty.given.clear();
  EXPECT_THAT(told(kMissed, "2026-11-10 07:00"), ElementsAre("Chief"));
}

TEST_F(Duty, AnUntickedControlIsToldToTheDeputyThenToAll) {
  go_well("2026-11-17 00:00");
  notes.run_due(plan, t("2026-11-17 02:00"));
  EXPECT_FALSE(one(kNotTicked, "2026-11-17 09:59"));
  EXPECT_THAT(told(kNotTicked, "2026-11-17 10:00"), ElementsAre("Anna", "Jörg"));
  EXPECT_THAT(told(kNotTicked, "2026-11-17 14:00"), ElementsAre("Anna", "Jörg", "Chief"));
  EXPECT_EQ(one(kNotTicked, "2026-11-18 09:00")->key, "not-ticked/2026-11-17");
  notes.note(t("2026-11-18 09:00"), fact::Ticked{d("2026-11-17"), Task::kControl, "Jörg"});
  EXPECT_FALSE(one(kNotTicked, "2026-11-18 09:30"));
}

TEST_F(Duty, NoControlIsAskedForOnTheFirstDayNorOnClosedOnes) {
  EXPECT_FALSE(one(kNotTicked, "2026-11-09 20:00"));
  go_well("2026-11-21 00:00");
  EXPECT_FALSE(one(kNotTicked, "2026-11-22 15:00")) << "a Sunday";
}

TEST_F(Duty, AMediumThatIsOutOfTheHouseIsAskedForOnItsDay) {
  go_well("2026-11-17 10:00");
  const auto due = due_on(plan, notes.book, t("2026-11-17 12:00"));
  notes.note(t("2026-11-17 09:30"), fact::MediumTaken{*due.medium, "Ute"});
  EXPECT_FALSE(one(kMediumOverdue, "2026-11-17 09:45"));
  EXPECT_THAT(told(kMediumOverdue, "2026-11-17 10:00"), ElementsAre("Anna"));
  EXPECT_THAT(told(kMediumOverdue, "2026-11-17 14:00"), ElementsAre("Anna", "Jörg"));
  EXPECT_THAT(told(kMediumOverdue, "2026-11-17 18:00"), ElementsAre("Anna", "Jörg", "Chief"));
  notes.note(t("2026-11-17 18:30"), fact::MediumBrought{*due.medium, "Ute"});
  EXPECT_FALSE(one(kMediumOverdue, "2026-11-17 19:00"));
}

TEST_F(Duty, ANightWithoutAnyMediumIsSaidBeforeItComes) {
  for (const char* label : {"M1", "M2", "M3", "M4", "M5"}) notes.note(since, fact::MediumRetired{fmt::format("id-{}", label), "Anna", "worn"});
  EXPECT_EQ(one(kNoMedium, "2026-11-09 10:00")->text.english(), "the night of 2026-11-09: there is no daily medium");
}

TEST_F(Duty, AMediumThatStaysInTheHouseIsNamed) {
  plan.take_away = true;
  go_well("2026-11-11 10:00");
  EXPECT_FALSE(one(kNotTakenAway, "2026-11-11 13:59") && one(kNotTakenAway, "2026-11-11 13:59")->key == "not-taken/id-M2/2026-11-10");
  EXPECT_EQ(one(kNotTakenAway, "2026-11-11 14:00")->key, "not-taken/id-M1/2026-11-09");
  notes.note(t("2026-11-11 14:10"), fact::MediumTaken{"id-M1", "Anna"});
  notes.note(t("2026-11-11 14:10"), fact::MediumTaken{"id-M2", "Anna"});
  EXPECT_FALSE(one(kNotTakenAway, "2026-11-11 15:00"));
  notes.note(t("2026-11-12 08:00"), fact::MediumBrought{"id-M1", "Anna"});
  EXPECT_FALSE(one(kNotTakenAway, "2026-11-12 20:00")) << "it has been out and is back for its next night";
}

TEST_F(Duty, OffSiteCopiesAreMissedAfterAWeek) {
  go_well("2026-11-16 08:00");
  EXPECT_FALSE(one(kOffSiteOld, "2026-11-16 09:00"));
  EXPECT_TRUE(one(kOffSiteOld, "2026-11-16 09:01"));
  notes.note(t("2026-11-17 12:00"), fact::OffSiteVerified{"set-3", "cloud"});
  EXPECT_FALSE(one(kOffSiteOld, "2026-11-17 12:01"));
  plan.off_site_least = 2;
  EXPECT_TRUE(one(kOffSiteOld, "2026-11-17 12:01"));
  notes.note(t("2026-11-17 12:10"), fact::MediumTaken{notes.book.last_run()->what.medium, "Anna"});
  EXPECT_FALSE(one(kOffSiteOld, "2026-11-17 12:11")) << "a proven set on a medium outside counts";
}

TEST_F(Duty, ADrillIsOverdueAfterHalfAYear) {
  EXPECT_FALSE(one(kDrillOverdue, "2027-05-11 09:00"));
  EXPECT_TRUE(one(kDrillOverdue, "2027-05-11 09:01"));
  notes.note(t("2027-05-11 10:00"), fact::DrillSigned{"set", "Anna", "laptop", false});
  EXPECT_TRUE(one(kDrillOverdue, "2027-05-11 10:01")) << "it did not pass";
  notes.note(t("2027-05-11 11:00"), fact::DrillSigned{"set", "Anna", "laptop", true});
  EXPECT_FALSE(one(kDrillOverdue, "2027-05-11 11:01"));
}

TEST_F(Duty, ADamagedSetIsATroubleUntilItIsGone) {
  go_well("2026-11-13 00:00");
  notes.note(t("2026-11-13 09:00"), fact::SetVerified{"set-1", "id-M1", Level::kNone, true});
  EXPECT_EQ(one(kDamaged, "2026-11-13 09:30")->key, "damaged/id-M1/set-1");
  notes.note(t("2026-11-13 10:00"), fact::SetRemoved{"set-1", "id-M1"});
  EXPECT_FALSE(one(kDamaged, "2026-11-13 10:30"));
}

TEST_F(Duty, TheLastProvenSetMayBeTwoWorkingDaysOld) {
  go_well("2026-11-12 00:00");
  notes.run(plan, t("2026-11-12 02:00"), "M3", Outcome::kIncomplete);
  notes.run(plan, t("2026-11-13 02:00"), "M4", Outcome::kIncomplete);
  EXPECT_FALSE(one(kLastGoodOld, "2026-11-13 06:00"));
  EXPECT_TRUE(one(kLastGoodOld, "2026-11-13 06:30"));
}

TEST_F(Duty, AClockThatLeapsIsATroubleUntilSomebodyHasLooked) {
  go_well("2026-11-13 00:00");
  EXPECT_TRUE(one(kClock, "2024-11-13 09:00"));
  notes.note(t("2024-11-13 09:00"), fact::ClockSetBack{});
  EXPECT_THAT(told(kClock, "2024-11-13 14:00"), ElementsAre("Anna", "Jörg", "Chief"));
  notes.note(t("2024-11-13 15:00"), fact::Ticked{d("2024-11-13"), Task::kControl, "Anna"});
  EXPECT_FALSE(one(kClock, "2024-11-13 15:01"));
}

}  // namespace
}  // namespace verbund::backup
