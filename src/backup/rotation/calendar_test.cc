#include "backup/rotation/calendar.h"

#include <set>

#include "backup/rotation/rotation_fixture.h"

namespace verbund::backup {
namespace {

using std::chrono::days;
using std::chrono::year;
using enum GermanState;

constexpr GermanState kStates[] = {kBB, kBE, kBW, kBY, kHB, kHE, kHH, kMV, kNI, kNW, kRP, kSH, kSL, kSN, kST, kTH};

/// States in which `day` is a holiday called `name`.
std::string kept_in(std::string_view day, const std::string& name) {
  std::string found;
  for (const GermanState state : kStates) {
    if (holiday({.state = state, .open = {}, .closed = {}}, d(day)) == name) found += std::string(state_name(state)) + " ";
  }
  return found;
}
const std::string kEverywhere = "BB BE BW BY HB HE HH MV NI NW RP SH SL SN ST TH ";

TEST(Easter, FallsOnTheKnownSundays) {
  const std::pair<int, const char*> known[] = {{1961, "1961-04-02"}, {1981, "1981-04-19"}, {2000, "2000-04-23"}, {2008, "2008-03-23"}, {2024, "2024-03-31"},
                                               {2025, "2025-04-20"}, {2026, "2026-04-05"}, {2027, "2027-03-28"}, {2028, "2028-04-16"}, {2029, "2029-04-01"},
                                               {2030, "2030-04-21"}, {2038, "2038-04-25"}};
  for (const auto& [in, day] : known) EXPECT_EQ(day_text(easter_sunday(year{in})), day);
}

TEST(Holidays, OfTheWholeFederationAreKeptInAllStates) {
  for (const auto& [day, name] : std::initializer_list<std::pair<const char*, const char*>>{
           {"2026-01-01", "Neujahr"}, {"2026-04-03", "Karfreitag"}, {"2026-04-06", "Ostermontag"}, {"2026-05-01", "Tag der Arbeit"},
           {"2026-05-14", "Christi Himmelfahrt"}, {"2026-05-25", "Pfingstmontag"}, {"2026-10-03", "Tag der Deutschen Einheit"},
           {"2026-12-25", "1. Weihnachtstag"}, {"2026-12-26", "2. Weihnachtstag"}, {"2024-05-09", "Christi Himmelfahrt"},
           {"2030-06-10", "Pfingstmontag"}}) {
    EXPECT_EQ(kept_in(day, name), kEverywhere) << day;
    EXPECT_EQ(holiday({.state = {}, .open = {}, .closed = {}}, d(day)), name) << "no state named";
  }
}

TEST(Holidays, OfSomeStatesAreKeptThereAlone) {
  EXPECT_EQ(kept_in("2027-01-06", "Heilige Drei Könige"), "BW BY ST ");
  EXPECT_EQ(kept_in("2026-06-04", "Fronleichnam"), "BW BY HE NW RP SL ");
  EXPECT_EQ(kept_in("2024-05-30", "Fronleichnam"), "BW BY HE NW RP SL ");
  EXPECT_EQ(kept_in("2026-08-15", "Mariä Himmelfahrt"), "SL ");
  EXPECT_EQ(kept_in("2026-09-20", "Weltkindertag"), "TH ");
  EXPECT_EQ(kept_in("2026-10-31", "Reformationstag"), "BB HB HH MV NI SH SN ST TH ");
  EXPECT_EQ(kept_in("2026-11-01", "Allerheiligen"), "BW BY NW RP SL ");
  EXPECT_EQ(kept_in("2026-04-05", "Ostersonntag"), "BB ");
  EXPECT_EQ(kept_in("2026-05-24", "Pfingstsonntag"), "BB ");
}

TEST(Holidays, RepentanceDayIsTheWednesdayBeforeThe23rdOfNovemberInSaxony) {
  for (const char* day : {"2024-11-20", "2025-11-19", "2026-11-18", "2027-11-17", "2028-11-22", "2029-11-21", "2030-11-20"}) {
    EXPECT_EQ(kept_in(day, "Buß- und Bettag"), "SN ") << day;
  }
  EXPECT_EQ(kept_in("2026-11-25", "Buß- und Bettag"), "");
}

TEST(Holidays, CountFromTheYearTheyWereMadeLaw) {
  EXPECT_EQ(kept_in("2018-03-08", "Internationaler Frauentag"), "");
  EXPECT_EQ(kept_in("2022-03-08", "Internationaler Frauentag"), "BE ");
  EXPECT_EQ(kept_in("2023-03-08", "Internationaler Frauentag"), "BE MV ");
  EXPECT_EQ(kept_in("2018-09-20", "Weltkindertag"), "");
  EXPECT_EQ(kept_in("2016-10-31", "Reformationstag"), "BB MV SN ST TH ");
  EXPECT_EQ(kept_in("2017-10-31", "Reformationstag"), kEverywhere);
  EXPECT_EQ(kept_in("2025-05-08", "Tag der Befreiung"), "BE ");
  EXPECT_EQ(kept_in("2026-05-08", "Tag der Befreiung"), "");
}

TEST(Holidays, OfCommunitiesAreKeptWhenTheRulesSaySo) {
  CalendarRules bavaria{.state = kBY, .assumption = true, .open = {}, .closed = {}};
  EXPECT_EQ(holiday(bavaria, d("2026-08-15")), "Mariä Himmelfahrt");
  CalendarRules thuringia{.state = kTH, .corpus_christi = true, .open = {}, .closed = {}};
  EXPECT_EQ(holiday(thuringia, d("2026-06-04")), "Fronleichnam");
  thuringia.state = kBE;
  EXPECT_FALSE(holiday(thuringia, d("2026-06-04"))) << "no such communities there";
}

TEST(Calendar, WorkingDaysSkipWeekendsHolidaysAndClosingDays) {
  const Calendar calendar({.state = kBY, .closed = {{d("2026-08-03"), d("2026-08-21"), "Betriebsferien"}}});
  EXPECT_TRUE(calendar.working_day(d("2026-11-20")));
  EXPECT_FALSE(calendar.working_day(d("2026-11-21")));
  EXPECT_FALSE(calendar.why_closed(d("2026-11-21"))) << "a weekend has no name";
  EXPECT_EQ(calendar.why_closed(d("2026-08-21")), "Betriebsferien");
  EXPECT_EQ(calendar.why_closed(d("2026-12-24")), "Heiligabend");
  EXPECT_EQ(calendar.working_day_from(d("2026-12-24")), d("2026-12-28"));
  EXPECT_EQ(calendar.working_day_from(d("2026-08-01")), d("2026-08-24"));
  EXPECT_EQ(calendar.working_day_before(d("2027-01-07")), d("2027-01-05"));
  EXPECT_TRUE(Calendar({.christmas_eve = false, .closed = {}}).working_day(d("2026-12-24")));
}

TEST(Calendar, KnowsTheLastWorkingDayOfWeekMonthQuarterAndYear) {
  const Calendar calendar({.state = kNW, .closed = {}});
  EXPECT_TRUE(calendar.last_of_week(d("2026-11-20")));
  EXPECT_TRUE(calendar.last_of_week(d("2026-04-02"))) << "Thursday before Good Friday";
  EXPECT_FALSE(calendar.last_of_week(d("2026-04-01")));
  EXPECT_TRUE(calendar.last_of_month(d("2026-10-30")));
  EXPECT_FALSE(calendar.last_of_month(d("2026-10-31"))) << "a Saturday";
  EXPECT_FALSE(calendar.last_of_quarter(d("2026-10-30")));
  EXPECT_TRUE(calendar.last_of_quarter(d("2026-09-30")));
  EXPECT_TRUE(calendar.last_of_year(d("2026-12-30"))) << "31 December is closed";
  EXPECT_FALSE(calendar.last_of_year(d("2026-09-30")));
}

TEST(Calendar, EndsWhenTheOfficeIsClosedForEver) {
  const Calendar calendar({.open = {}, .closed = {}});
  EXPECT_EQ(calendar.working_day_from(d("2026-11-20")), d("2026-11-20"));
  EXPECT_EQ(calendar.working_day_before(d("2026-11-20")), d("2026-11-19"));
}

TEST(Dates, AreReadStrictly) {
  EXPECT_EQ(day_text(d("2028-02-29")), "2028-02-29");
  for (const char* text : {"", "2026-02-29", "2026-2-1", "2026-11-22 ", "1969-12-31", "2026-13-01", "2026-00-10", "20261122", "2026-11-+2"}) {
    EXPECT_FALSE(parse_day(text)) << text;
  }
  EXPECT_EQ(local_time_text(t("2026-11-20 01:30")), "2026-11-20T01:30:00");
  for (const char* text : {"2026-11-20T24:00:00", "2026-11-20T01:60:00", "2026-11-20 01:30:00", "2026-11-20T01:30"}) {
    EXPECT_FALSE(parse_local_time(text)) << text;
  }
  EXPECT_FALSE(parse_state("XX"));
  EXPECT_EQ(parse_state("SN").value(), kSN);
}

}  // namespace
}  // namespace verbund::backup
