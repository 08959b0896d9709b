#include <gtest/gtest.h>

#include "mirror/pair_alarms.h"

namespace verbund::mirror {
namespace {

using std::chrono::minutes;

std::vector<std::string> keys(const std::vector<PairAlarm>& alarms) {
  std::vector<std::string> all;
  for (const auto& each : alarms) all.push_back(each.key);
  return all;
}
using Keys = std::vector<std::string>;

const Finding kUnequal{FindingKind::kSetting, Severity::kWarning, "TimeZone", "UTC", "CET"};
const Finding kShown{FindingKind::kSetting, Severity::kNotice, "work_mem", "1", "2"};
const Finding kMissed{FindingKind::kBackup, Severity::kWarning, "production", "40", "", "15"};

TEST(PairAlarms, ARestartIsNoneSilenceIs) {
  Watched watched{.production = true, .other = "spiegel", .silent = minutes{4}};
  EXPECT_TRUE(alarms_of(watched).empty());
  watched.silent = minutes{6};
  ASSERT_EQ(keys(alarms_of(watched)), Keys{"silent"});
  EXPECT_EQ(alarms_of(watched)[0].text.english(), "the mirror spiegel has not been heard for 6 min");
  watched.production = false;
  EXPECT_NE(alarms_of(watched)[0].text.english().find("does anybody work there"), std::string::npos);
}

TEST(PairAlarms, MissedBackupsAreToldByTheMachineThatDoesNotMakeThem) {
  auto missed = kMissed;
  missed.name = "mirror";
  EXPECT_EQ(keys(alarms_of({.production = true, .findings = {missed}})), Keys{"backup/mirror"});
  EXPECT_TRUE(alarms_of({.production = false, .findings = {missed}}).empty());
}

TEST(PairAlarms, ProductionTellsWhatIsUnequalTheMirrorWhatProductionHasMissed) {
  Watched watched{.production = true, .findings = {kUnequal, kShown, kMissed}};
  EXPECT_EQ(keys(alarms_of(watched)), Keys{"setting/TimeZone"}) << "its own round tells of its backups";
  watched.production = false;
  EXPECT_EQ(keys(alarms_of(watched)), Keys{"backup/production"});
  watched.silent = minutes{10};
  EXPECT_EQ(keys(alarms_of(watched)), (Keys{"silent", "setting/TimeZone", "backup/production"}));
}

TEST(PairAlarms, OfAMirrorThatIsTooFarBehindOrWillLoseItsLog) {
  Watched watched{.production = true, .other = "spiegel", .behind = Behind{.bytes = 1, .commits = {}, .span = minutes{16}}};
  EXPECT_EQ(keys(alarms_of(watched)), Keys{"behind"});
  watched.interval = minutes{10};
  EXPECT_TRUE(alarms_of(watched).empty()) << "it is sent the log that seldom";
  watched.safe_bytes = 100U << 20U;
  EXPECT_EQ(alarms_of(watched)[0].text.english(), "the mirror spiegel will soon need a new copy: production keeps its log only for another 100 MB");
  watched.slot_lost = true;
  EXPECT_EQ(keys(alarms_of(watched)), Keys{"slot"});
}

// A production whose disk went back by a snapshot: its mirror shows "0 bytes behind", receives nothing, and nobody was told.
TEST(PairAlarms, AMirrorThatHasMoreThanProductionIsTold) {
  Watched watched{.production = true, .other = "spiegel", .behind = Behind{}, .ahead = seconds{59}};
  EXPECT_TRUE(alarms_of(watched).empty());
  watched.ahead = seconds{60};
  ASSERT_EQ(keys(alarms_of(watched)), Keys{"ahead"});
  EXPECT_NE(alarms_of(watched)[0].text.english().find("spiegel has more of the log"), std::string::npos);
}

TEST(PairAlarms, AMachineThatMayNotWorkIsToldOfAndNothingElse) {
  Watched watched{.other = "praxis", .silent = minutes{30}, .waits = true, .stands = minutes{4}, .findings = {kUnequal}};
  EXPECT_TRUE(alarms_of(watched).empty());
  watched.stands = minutes{5};
  EXPECT_EQ(keys(alarms_of(watched)), Keys{"waits"});
  watched.waits = false;
  watched.fenced = true;
  EXPECT_EQ(keys(alarms_of(watched)), Keys{"fenced"});
}

TEST(PairAlarms, TheMirrorTellsOfItsOwnDatabase) {
  Watched watched{.database_error = "connection refused", .database_silent = minutes{2}};
  EXPECT_TRUE(alarms_of(watched).empty());
  watched.database_silent = minutes{7};
  EXPECT_EQ(keys(alarms_of(watched)), Keys{"database"});
}

TEST(PairAlarms, AWitnessThatIsSilentAndATakeoverWithoutAPersonAreTold) {
  Watched watched{.production = true, .witness_silent = seconds{59}};
  EXPECT_TRUE(alarms_of(watched).empty());
  watched.witness_silent = seconds{60};
  EXPECT_EQ(keys(alarms_of(watched)), Keys{"witness"});
  watched.witness_silent.reset();
  watched.took_over = seconds{35};
  EXPECT_EQ(keys(alarms_of(watched)), Keys{"took_over"});
}

TEST(PairAlarms, OneThatComesAndGoesIsToldOnce) {
  AlarmHold hold;
  TimePoint now{};
  const std::vector<PairAlarm> one{{"disk/mirror", {}}};
  EXPECT_EQ(keys(hold.hold(one, now)), Keys{"disk/mirror"});
  EXPECT_EQ(keys(hold.hold({}, now += seconds{30})), Keys{"disk/mirror"});
  hold.hold(one, now += seconds{10});
  EXPECT_EQ(keys(hold.hold({}, now += seconds{59})), Keys{"disk/mirror"});
  EXPECT_TRUE(hold.hold({}, now += seconds{1}).empty());
}

}  // namespace
}  // namespace verbund::mirror
