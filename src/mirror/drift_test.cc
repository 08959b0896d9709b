#include <gtest/gtest.h>

#include "base/messages.h"
#include "mirror/disk_trend.h"
#include "mirror/replay_meter.h"

namespace verbund::mirror {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr std::uint64_t kGigabyte = 1ULL << 30U;
constexpr WallTime kNow{microseconds{1'790'000'000'000'000}};

MachineFacts machine() {
  MachineFacts facts;
  facts.program = "1.0";
  facts.disk = Disk{100 * kGigabyte, 400 * kGigabyte, {}};
  facts.options = {{"verbund.toml feed.slot", "#12"}, {"verbund.toml listen.port", "2222"}};
  facts.server = ServerLook{"15.14", {{"max_connections", "100"}, {"TimeZone", "Europe/Berlin"}, {"work_mem", "4096 kB"}, {"port", "5432"}},
                            {{"praxis", "pgcrypto", "1.3", "1.3"}}, {{"praxis", "", "2.36", "2.36"}, {"praxis", "pg_catalog.de-x-icu", "153.14", "153.14"}}};
  facts.backup = BackupLook{kNow - hours{10}, kNow + hours{14}};
  return facts;
}

struct Two {
  MachineFacts production = machine(), mirror = machine();
  [[nodiscard]] std::vector<Finding> findings() const { return compare(&production, &mirror, kNow); }
  [[nodiscard]] Finding only() const {
    const auto all = findings();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? Finding{} : all.front();
  }
};

std::string german(const Finding& finding) { return said(Language::kGerman, text_of(finding)); }

TEST(Drift, EqualMachinesAreNotSpokenOf) { EXPECT_TRUE(Two().findings().empty()); }

TEST(Drift, NothingIsComparedWithAMachineThatHasSaidNothing) {
  const auto one = machine();
  EXPECT_TRUE(compare(&one, nullptr, kNow).empty());
  EXPECT_TRUE(compare(nullptr, &one, kNow).empty());
  Two two;
  two.mirror = {};
  two.mirror.program = "1.0";
  EXPECT_TRUE(two.findings().empty());
}

TEST(Drift, VersionsThatDifferAreNamedWithWhatToDo) {
  Two two;
  two.mirror.program = "1.1";
  two.mirror.server->version = "15.15";
  const auto found = two.findings();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0], (Finding{FindingKind::kProgram, Severity::kWarning, "", "1.0", "1.1"}));
  EXPECT_EQ(found[1], (Finding{FindingKind::kPostgres, Severity::kWarning, "", "15.14", "15.15"}));
  EXPECT_EQ(text_of(found[0]).english(), "verbund is 1.0 on production and 1.1 on the mirror");
  EXPECT_NE(hint_of(found[1]).english().find("the mirror first"), std::string::npos);
}

TEST(Drift, ASettingThatMattersIsAWarningAnyOtherANotice) {
  Two two;
  two.mirror.server->settings["TimeZone"] = "UTC";
  two.production.server->settings["work_mem"] = "65536 kB";
  two.mirror.server->settings["port"] = "5433";
  two.mirror.server->settings["log_min_messages"] = "info";
  two.production.server->settings["jit"] = "off";
  const auto found = two.findings();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0], (Finding{FindingKind::kSetting, Severity::kWarning, "TimeZone", "Europe/Berlin", "UTC"}));
  EXPECT_EQ(found[1], (Finding{FindingKind::kSetting, Severity::kNotice, "jit", "off", ""}));
  EXPECT_EQ(text_of(found[1]).english(), "PostgreSQL's setting jit is off on production and its default on the mirror");
  EXPECT_EQ(key_of(found[2]), "setting/work_mem");
}

TEST(Drift, AMirrorWithLessThanItNeedsToReplayIsADanger) {
  Two two;
  two.production.server->settings["max_connections"] = "200";
  EXPECT_EQ(two.only().severity, Severity::kDanger);
  two.mirror.server->settings["max_connections"] = "300";
  EXPECT_EQ(two.only().severity, Severity::kNotice);
}

TEST(Drift, TheOfficesOptionsMustBeEqualAMachinesOwnNot) {
  Two two;
  two.mirror.options["verbund.toml listen.port"] = "2223";
  two.mirror.options.erase("verbund.toml feed.slot");
  const auto found = two.only();
  EXPECT_EQ(found, (Finding{FindingKind::kOption, Severity::kWarning, "verbund.toml feed.slot", "#12", ""}));
  EXPECT_EQ(text_of(found).english(), "config/verbund.toml feed.slot is not the same on both machines");
}

TEST(Drift, AnExtensionWhoseFilesTheMirrorLacksIsADanger) {
  Two two;
  two.mirror.server->extensions[0].offered = "";
  auto found = two.only();
  EXPECT_EQ(found, (Finding{FindingKind::kExtension, Severity::kDanger, "pgcrypto 1.3 (praxis)", "1.3", ""}));
  two.production.server->extensions[0].offered = "";
  EXPECT_EQ(two.only().severity, Severity::kNotice);
  two.production.server->extensions[0].offered = "1.3";
  two.mirror.server->extensions[0].offered = "1.4";
  EXPECT_EQ(two.only().severity, Severity::kWarning);
  // A moment behind: nothing is known of it there yet.
  two.production.server->extensions.clear();
  EXPECT_TRUE(two.findings().empty());
}

TEST(Drift, ASortOrderOfAnotherVersionOnTheMirrorIsADanger) {
  Two two;
  two.mirror.server->collations[0].actual = "2.41";
  const auto found = two.only();
  EXPECT_EQ(found, (Finding{FindingKind::kCollation, Severity::kDanger, "praxis", "2.36", "2.41", "2.36"}));
  EXPECT_EQ(text_of(found).english(), "the sort order of praxis is version 2.36 on production and 2.41 on the mirror");
}

TEST(Drift, IndexesOfAnOlderSortOrderAreAWarningOnEqualMachines) {
  Two two;
  for (auto* each : {&two.production, &two.mirror}) each->server->collations[1].recorded = "150.1";
  const auto found = two.only();
  EXPECT_EQ(found.severity, Severity::kWarning);
  EXPECT_EQ(text_of(found).english(), "the indexes with the sort order of pg_catalog.de-x-icu (praxis) were built with version 150.1, and 153.14 is installed");
  EXPECT_NE(hint_of(found).english().find("REINDEX"), std::string::npos);
}

TEST(Drift, DisksAreJudgedByWhatIsLeftAndByHowLongItLasts) {
  Two two;
  two.production.disk = Disk{30 * kGigabyte, 400 * kGigabyte, {}};
  EXPECT_EQ(two.only().severity, Severity::kWarning);
  EXPECT_EQ(text_of(two.only()).english(), "production's disk has 30.0 GB (7 %) left");
  two.production.disk = Disk{300 * kGigabyte, 4000 * kGigabyte, {}};
  EXPECT_TRUE(two.findings().empty()) << "of a large disk ten per cent are much";
  two.mirror.disk = Disk{kGigabyte / 2, 4 * kGigabyte, {}};
  EXPECT_EQ(two.only().severity, Severity::kDanger);
  two.mirror.disk = Disk{100 * kGigabyte, 400 * kGigabyte, hours{30}};
  EXPECT_EQ(text_of(two.only()).english(), "the mirror's disk has 100.0 GB (25 %) left, enough for 30 h as it fills now");
  EXPECT_EQ(two.only().severity, Severity::kWarning);
  two.mirror.disk->lasts = hours{5};
  EXPECT_EQ(two.only().severity, Severity::kDanger);
}

TEST(Drift, ABackupOnEitherMachineCounts) {
  Two two;
  two.production.backup = BackupLook{kNow - hours{60}, kNow - hours{36}};
  EXPECT_TRUE(two.findings().empty()) << "the mirror has made it since";
  two.mirror.backup.reset();
  EXPECT_EQ(text_of(two.only()).english(), "the last good backup is 60 h old, and one was due 36 h ago");
  EXPECT_EQ(key_of(two.only()), "backup/production");
  two.production.backup->last_good.reset();
  EXPECT_EQ(text_of(two.only()).english(), "there is no good backup, and one was due 36 h ago");
  two.production.backup->due = kNow - hours{11};
  EXPECT_TRUE(two.findings().empty()) << "a night takes its time";
}

TEST(Drift, ClocksAreComparedWhoeverReads) {
  Two two;
  two.mirror.clock_ahead = milliseconds{12'000};
  EXPECT_EQ(two.only().mirror, "12");
  two.mirror.clock_ahead.reset();
  two.production.clock_ahead = milliseconds{12'000};
  EXPECT_EQ(two.only().mirror, "-12");
}

TEST(Drift, IsSaidInGerman) {
  Two two;
  two.mirror.program = "1.1";
  EXPECT_EQ(german(two.only()), "verbund ist auf dem Produktivserver 1.0 und auf dem Spiegelserver 1.1");
}

TEST(Drift, TheSeverestComesFirst) {
  Two two;
  two.mirror.program = "1.1";
  two.mirror.server->extensions[0].offered = "";
  EXPECT_EQ(two.findings().front().kind, FindingKind::kExtension);
}

TEST(DiskTrend, SaysHowLongItLastsAfterSixHours) {
  DiskTrend trend;
  TimePoint now{};
  std::uint64_t left = 200 * kGigabyte;
  for (int minute = 0; minute < 5 * 60; ++minute, now += minutes{1}) trend.seen(left -= kGigabyte / 60, now);
  EXPECT_EQ(trend.lasts(), std::nullopt) << "too early";
  for (int minute = 0; minute < 2 * 60; ++minute, now += minutes{1}) trend.seen(left -= kGigabyte / 60, now);
  ASSERT_TRUE(trend.lasts());
  EXPECT_NEAR(static_cast<double>(trend.lasts()->count()) / 3600, static_cast<double>(left) / kGigabyte, 2);
  trend.seen(300 * kGigabyte, now);
  EXPECT_EQ(trend.lasts(), std::nullopt) << "somebody has made room";
}

TEST(ReplayMeter, CountsOnlyWhatWasReplayedWithoutWaiting) {
  constexpr std::uint64_t kMegabyte = 1U << 20U;
  ReplayMeter meter;
  EXPECT_EQ(meter.to_promote(), std::nullopt);
  TimePoint now{};
  meter.seen(Lsn{1000 * kMegabyte}, Lsn{1000 * kMegabyte}, now);
  EXPECT_EQ(meter.to_promote(), ReplayMeter::kAtLeast);
  // Everything that comes is replayed at once: that says nothing of how fast it could be.
  meter.seen(Lsn{1010 * kMegabyte}, Lsn{1010 * kMegabyte}, now += seconds{1});
  meter.seen(Lsn{2610 * kMegabyte}, Lsn{1010 * kMegabyte}, now += seconds{1});
  EXPECT_EQ(meter.to_promote(), ReplayMeter::kAtLeast + seconds{100});
  meter.seen(Lsn{2610 * kMegabyte}, Lsn{1210 * kMegabyte}, now += seconds{2});
  EXPECT_EQ(meter.to_promote(), ReplayMeter::kAtLeast + seconds{14}) << "1,400 MB at 100 MB/s";
}

}  // namespace
}  // namespace verbund::mirror
