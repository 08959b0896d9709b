#include <gtest/gtest.h>

#include <fstream>

#include "base/ids.h"
#include "node/mirror/machine_look.h"
#include "node/mirror/machine_report.h"
#include "testing/scratch_directory.h"

namespace verbund::node {
namespace {

namespace json = boost::json;
using std::chrono::hours;

constexpr WallTime kNow{microseconds{1'790'000'000'000'000}};

mirror::MachineFacts machine() {
  mirror::MachineFacts facts;
  facts.name = "spiegel";
  facts.program = "1.0";
  facts.disk = mirror::Disk{1'000, 4'000, hours{30}};
  facts.options = {{"verbund.toml feed.slot", "#12"}};
  facts.server = mirror::ServerLook{"15.14", {{"TimeZone", "UTC"}}, {{"praxis", "pgcrypto", "1.3", ""}}, {{"praxis", "", "2.36", "2.41"}}};
  facts.backup = mirror::BackupLook{kNow - hours{10}, kNow + hours{14}};
  return facts;
}

std::string refusal(json::object object) {
  const auto read = machine_from(object, kNow);
  return read ? "" : read.error().message;
}

TEST(MachineReport, WhatIsSentIsReadByAMachineWithAnotherClock) {
  const auto later = kNow + seconds{90};
  const auto read = machine_from(to_message(machine(), later), kNow);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->clock_ahead, milliseconds{90'000});
  EXPECT_EQ(read->disk->free_bytes, 1'000U);
  EXPECT_EQ(read->disk->lasts, hours{30});
  EXPECT_EQ(read->options, machine().options);
  EXPECT_EQ(read->server->settings, machine().server->settings);
  EXPECT_EQ(read->server->extensions[0].version, "1.3");
  EXPECT_EQ(read->server->collations[0].actual, "2.41");
  // Ages are sent: times are by the reader's clock.
  EXPECT_EQ(read->backup->last_good, kNow - hours{10} - seconds{90});
  EXPECT_EQ(read->backup->due, kNow + hours{14} - seconds{90});
}

TEST(MachineReport, AMachineThatKnowsLittleSaysLittle) {
  mirror::MachineFacts facts;
  facts.name = "a";
  facts.program = "2";
  const auto read = machine_from(to_message(facts, kNow), kNow);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->disk || read->server || read->backup);
  EXPECT_TRUE(machine_from({{"name", "a"}, {"program", "2"}}, kNow)) << "of a later program that leaves the rest out";
}

TEST(MachineReport, RefusesWhatIsNoMachine) {
  const auto broken = [](const std::function<void(json::object&)>& change) {
    auto object = to_message(machine(), kNow);
    change(object);
    return refusal(object);
  };
  EXPECT_NE(refusal({{"name", 7}}), "");
  EXPECT_NE(broken([](auto& object) { object["disk"].as_object()["free_bytes"] = "5000"; }).find("disk"), std::string::npos) << "more than there is";
  EXPECT_NE(broken([](auto& object) { object["disk"].as_object()["total_bytes"] = "18446744073709551615"; }).find("disk"), std::string::npos);
  EXPECT_NE(broken([](auto& object) { object["wall"] = "yesterday"; }).find("wall"), std::string::npos);
  EXPECT_NE(broken([](auto& object) { object["options"] = json::object{{"a", 1}}; }).find("options"), std::string::npos);
  EXPECT_NE(broken([](auto& object) { object["server"].as_object()["extensions"] = json::array{json::array{"a", "b", "c"}}; }).find("extensions"), std::string::npos);
  EXPECT_NE(broken([](auto& object) { object["backup"] = json::object{}; }).find("backup"), std::string::npos);
  EXPECT_EQ(broken([](auto& object) { object["backup"].as_object()["due_in_s"] = INT64_MAX; }), "") << "far away, and still a time";
}

TEST(MachineReport, AFindingIsReadAsItWasSaid) {
  const mirror::Finding finding{mirror::FindingKind::kBackup, mirror::Severity::kWarning, "mirror", "60", "", "36"};
  const auto shown = to_json(std::vector{finding});
  EXPECT_EQ(finding_from(shown[0].as_object()), finding);
  EXPECT_EQ(finding_from({{"kind", "of a later program"}}), std::nullopt);
}

TEST(MachineReport, ShowsNoSettingsAndNoOptions) {
  const auto shown = json::serialize(to_json(machine(), kNow));
  EXPECT_EQ(shown.find("feed.slot"), std::string::npos);
  EXPECT_NE(shown.find("\"free_bytes\":\"1000\""), std::string::npos);
  EXPECT_NE(shown.find("\"good_age_s\":36000"), std::string::npos);
}

TEST(MachineLook, TakesNumbersAsTheyStandAndTextsAsDigests) {
  const verbund::testing::ScratchDirectory scratch;
  std::filesystem::create_directory(scratch.path() / "config");
  std::ofstream(scratch.path() / "config" / "verbund.toml") << "[feed]\nrows = 7\non = true\n[mail]\nhost = 'mail.praxis.example'\n[listen]\nport = 2222\n[node]\nname = 'a'\n";
  std::ofstream(scratch.path() / "config" / "P2P.properties") << "lease.ms = 30000\n";
  const auto options = look_at_options(scratch.path());
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->at("verbund.toml feed.rows"), "7");
  EXPECT_EQ(options->at("verbund.toml feed.on"), "true");
  EXPECT_EQ(options->at("P2P.properties lease.ms"), "30000");
  EXPECT_EQ(options->at("verbund.toml mail.host").size(), 17U);
  EXPECT_EQ(options->at("verbund.toml mail.host").find("praxis"), std::string::npos);
  EXPECT_EQ(options->size(), 4U) << "what is each machine's own is not among them";
}

}  // namespace
}  // namespace verbund::node
