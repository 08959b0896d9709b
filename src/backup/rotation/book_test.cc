#include "backup/rotation/book.h"

#include <gmock/gmock.h>

#include "backup/rotation/rotation_fixture.h"

namespace verbund::backup {
namespace {

using std::chrono::days;
using ::testing::HasSubstr;
using Outcome = fact::RunEnded::Outcome;

const Fact kEveryFact[] = {
    fact::MediumAdded{"a", "Blau 1", MediumClass::kQuarterEnd, MediumKind::kTape},
    fact::MediumTaken{"a", "Jörg", Place::kOffSite},
    fact::MediumBrought{"a", "Jörg"},
    fact::MediumRetired{"a", "Anna", "Kratzer \"tief\"\n", true},
    fact::RunEnded{"s", 18446744073709551615ULL, Outcome::kIncomplete, Level::kFromMedium, "a", Day{days{20000}}},
    fact::SetRemoved{"s", "a"},
    fact::SetVerified{"s", "a", Level::kRestored, true},
    fact::OffSiteVerified{"s", "cloud"},
    fact::Ticked{Day{days{20000}}, Task::kTakeAway, "Anna"},
    fact::DrillSigned{"s", "Anna", "laptop", true},
    fact::MailAcknowledged{"1234", "Anna"},
    fact::DutyGiven{"Anna", Task::kChange, std::chrono::Friday, std::nullopt, {"Jörg", "j@example.org"}, {"Ute", ""}},
    fact::DutyGiven{"Anna", std::nullopt, std::nullopt, Day{days{20000}}, {"Jörg", ""}, {}},
    fact::AbsenceNoted{"Anna", "Jörg", Day{days{20000}}, Day{days{20010}}, true},
    fact::ClockSetBack{},
};

TEST(LedgerEntry, EveryFactIsReadAsItWasWritten) {
  std::uint64_t number = 1;
  for (const Fact& fact : kEveryFact) {
    const Entry entry{number++, t("2026-11-20 01:30"), fact};
    const auto line = json_of(entry);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto again = entry_of(line);
    ASSERT_TRUE(again) << line << again.error().message;
    EXPECT_EQ(again->fact.index(), fact.index());
    EXPECT_EQ(json_of(*again), line);
  }
}

TEST(LedgerEntry, WhatIsNoneIsRefusedWithItsMember) {
  const auto why = [](std::string_view text) { return entry_of(text).error().message; };
  EXPECT_THAT(why("{"), HasSubstr("no JSON object"));
  EXPECT_THAT(why("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(why(R"({"sequence":"1","at":"2026-11-20T01:30:00","fact":"burnt"})"), HasSubstr("burnt"));
  EXPECT_THAT(why(R"({"sequence":1,"at":"2026-11-20T01:30:00","fact":"clock-set-back"})"), HasSubstr("sequence"));
  EXPECT_THAT(why(R"({"sequence":"1","at":"2026-11-20T25:30:00","fact":"clock-set-back"})"), HasSubstr("at"));
  EXPECT_THAT(why(R"({"sequence":"1","at":"2026-11-20T01:30:00","fact":"set-removed","set":"s"})"), HasSubstr("medium"));
  EXPECT_EQ(entry_of("{}").error().code, ErrorCode::kDamaged);
}

TEST(Book, RefusesWhatDoesNotFollowAndStaysAsItWas) {
  Notebook notes;
  const auto at = t("2026-11-20 09:00");
  notes.add(at, "M1");
  EXPECT_FALSE(notes.book.enter({3, at, fact::ClockSetBack{}})) << "a number is left out";
  EXPECT_FALSE(notes.book.enter({2, at, fact::MediumBrought{"x", "anna"}})) << "not known";
  EXPECT_FALSE(notes.book.enter({2, at, fact::MediumAdded{"id-2", "M1"}})) << "the label is in use";
  EXPECT_EQ(notes.book.next_sequence(), 2U);
  notes.note(at, fact::MediumRetired{"id-M1", "anna", "worn"});
  EXPECT_FALSE(notes.book.enter({3, at, fact::RunEnded{"s", 1, Outcome::kComplete, Level::kRestored, "id-M1", d("2026-11-20")}}));
  EXPECT_TRUE(notes.book.enter({3, at, fact::MediumAdded{"id-3", "M1"}})) << "the label is free again";
  EXPECT_EQ(notes.book.by_label("M1")->id, "id-3");
}

TEST(Book, KnowsTheLastGoodSetAlsoWhenItIsLaterFoundDamaged) {
  const PlanRules rules;
  Notebook notes;
  notes.usual_media(t("2026-11-09 09:00"));
  const auto first = notes.run(rules, t("2026-11-10 02:00"), "M1");
  notes.run(rules, t("2026-11-11 02:00"), "M2", Outcome::kComplete, Level::kReadable);
  EXPECT_EQ(notes.book.last_good()->what.set, first) << "the second is not proven from its medium";
  notes.note(t("2026-11-11 05:00"), fact::SetVerified{"set-2", "id-M2", Level::kRestored, false});
  EXPECT_EQ(notes.book.last_good()->what.set, "set-2");
  notes.note(t("2026-11-12 05:00"), fact::SetVerified{"set-2", "id-M2", Level::kNone, true});
  EXPECT_EQ(notes.book.last_good()->what.set, first);
  notes.note(t("2026-11-12 06:00"), fact::MediumRetired{"id-M1", "anna", "gone", true});
  EXPECT_FALSE(notes.book.last_good());
}

TEST(Book, SetsInADirectoryCountUntilAMediumWasWritten) {
  const PlanRules rules;
  Notebook notes;
  const auto to_directory = [&](LocalTime at, const char* set, std::string_view night) {
    notes.note(at, fact::RunEnded{set, 1, Outcome::kComplete, Level::kRestored, "", d(night)});
  };
  to_directory(t("2026-11-10 02:00"), "a", "2026-11-09");
  to_directory(t("2026-11-11 02:00"), "b", "2026-11-10");
  EXPECT_FALSE(notes.book.uses_media());
  EXPECT_EQ(notes.book.last_good()->what.set, "b");
  notes.note(t("2026-11-11 03:00"), fact::SetVerified{"b", "", Level::kNone, true});
  EXPECT_EQ(notes.book.last_good()->what.set, "a");
  notes.note(t("2026-11-11 04:00"), fact::SetRemoved{"a", ""});
  EXPECT_FALSE(notes.book.last_good());
  to_directory(t("2026-11-12 02:00"), "c", "2026-11-11");
  notes.add(t("2026-11-12 09:00"), "M1");
  EXPECT_TRUE(notes.book.uses_media());
  EXPECT_EQ(notes.book.last_good()->what.set, "c") << "the first medium has had no night yet";
  notes.run(rules, t("2026-11-13 02:00"), "M1", Outcome::kIncomplete);
  EXPECT_FALSE(notes.book.last_good()) << "with media in use a copy is none";
  notes.note(t("2026-11-13 09:00"), fact::MediumRetired{"id-M1", "anna", "worn"});
  EXPECT_EQ(notes.book.last_good()->what.set, "c");
}

TEST(Book, WitnessedTimeNeverRunsBackAndNeverLeaps) {
  Notebook notes;
  notes.add(t("2026-11-10 00:00"), "M1");
  notes.note(t("2026-11-11 00:00"), fact::ClockSetBack{});
  EXPECT_EQ(notes.book.witnessed(t("2026-11-12 00:00")), days{2});
  notes.note(t("2028-11-11 00:00"), fact::ClockSetBack{});
  EXPECT_EQ(notes.book.witnessed(t("2028-11-11 00:00")), days{4}) << "two years count three days";
  notes.note(t("2026-11-12 00:00"), fact::ClockSetBack{});
  EXPECT_EQ(notes.book.witnessed(t("2026-11-13 00:00")), days{5});
  EXPECT_TRUE(notes.book.leap());
  notes.note(t("2026-11-12 09:00"), fact::Ticked{d("2026-11-12"), Task::kControl, "anna"});
  EXPECT_FALSE(notes.book.leap()) << "somebody has looked";
}

}  // namespace
}  // namespace verbund::backup
