#include "backup/config.h"

#include <gmock/gmock.h>

#include <fstream>

namespace verbund::backup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<Config> parse(std::string_view text) {
  auto file = os::ConfigFile::parse_toml(text, "backup.toml");
  if (!file) return pass(file);
  return read_config(*file);
}

TEST(BackupConfig, EmptyMeansAllDatabasesAndTheHighestProof) {
  const auto config = parse("");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_TRUE(config->source && config->mid_tier && config->versions);
  EXPECT_EQ(config->verify, Level::kRestored);
  EXPECT_EQ(config->keep, 7);
}

TEST(BackupConfig, MediaHavePlacesThatAreAbsolute) {
  const auto config = parse("[media]\nplaces = [\"/media/a/\", \"/media/b\"]\nhot_swap = true\ntape = \"/dev/nst0\"\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->media.places.size(), 2U);
  EXPECT_TRUE(config->media.hot_swap);
  EXPECT_EQ(config->media.tape, "/dev/nst0");
  for (const char* wrong : {"[media]\nplaces = [\"media\"]\n", "[media]\ntape = \"nst0\"\n"}) {
    const auto refused = parse(wrong);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kBadConfig);
  }
}

TEST(BackupConfig, WhatInitWritesIsTheDefaults) {
  const auto config = parse(default_config());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_TRUE(config->applications.empty());
}

/// Every "# key = value" of the file that init writes is a key that is read.
TEST(BackupConfig, EveryCommentedKeyExists) {
  std::string text, line;
  std::istringstream lines(default_config());
  while (std::getline(lines, line)) {
    const bool setting = line.starts_with("# ") && (line.find(" = ") != std::string::npos || line.find("[[") != std::string::npos);
    if (line.find("recipients = []") != std::string::npos || line.find("when = ") != std::string::npos) continue;
    const auto indented = line.starts_with("#   ") && (line.find(" = ") != std::string::npos || line.find("[[") != std::string::npos);
    text += (setting || indented ? line.substr(1) : line) + "\n";
  }
  // The version comes from one place; the file's line shows both.
  const auto config = parse(text);
  ASSERT_TRUE(config) << config.error().message << "\n" << text;
  ASSERT_EQ(config->applications.size(), 1U);
  EXPECT_EQ(config->applications[0].folders.size(), 1U);
}

TEST(BackupConfig, SaysWhenOnWhichMediumAndWho) {
  const auto config = parse(R"toml(
[plan]
scheduler = "timer"
night_at = "22:15"
month_end = { media = 0 }
friday = { media = 3, keep_days = 18 }
[calendar]
state = "SN"
open = ["monday", "saturday"]
closed = [{ first = "2027-08-02", last = "2027-08-20", name = "Betriebsferien" }, { first = "2027-05-07" }]
[duty]
responsible = "Anna Müller <anna@example.org>"
deputy = "Jörg"
administrators = ["Chief <chief@example.org>"]
tick_until = 15
)toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->scheduler, Scheduler::kTimer);
  EXPECT_EQ(config->plan.night_at, std::chrono::minutes{22 * 60 + 15});
  EXPECT_EQ(config->plan.month_end.media, 0);
  EXPECT_EQ(config->plan.friday.keep, std::chrono::days{18});
  EXPECT_EQ(config->plan.calendar.state, GermanState::kSN);
  EXPECT_EQ(config->plan.calendar.open.size(), 2U);
  ASSERT_EQ(config->plan.calendar.closed.size(), 2U);
  EXPECT_EQ(config->plan.calendar.closed[1].last, config->plan.calendar.closed[1].first);
  EXPECT_EQ(config->duty.given.at(0).pair.responsible.mail, "anna@example.org");
  EXPECT_EQ(config->duty.administrators.size(), 1U);
  EXPECT_EQ(config->duty.escalate_until, std::chrono::hours{16}) << "after tick_until";
}

TEST(BackupConfig, RefusesNightsDaysAndPeopleThatAreNone) {
  const auto why = [](const char* text) {
    const auto config = parse(text);
    return config ? std::string("accepted") : config.error().message + " | " + config.error().hint;
  };
  EXPECT_THAT(why("[plan]\nnight_at = \"24:00\""), HasSubstr("backup.toml:2: plan.night_at = 24:00: no time of day"));
  EXPECT_THAT(why("[plan]\ndaily = { media = 0 }"), HasSubstr("plan.daily.media = 0: out of range"));
  EXPECT_THAT(why("[plan]\nscheduler = \"cron\""), HasSubstr("backup.toml:2: plan.scheduler = cron: unknown | One of node, timer, off."));
  EXPECT_THAT(why("[plan]\nfloor = 0"), HasSubstr("from 1 to 20"));
  EXPECT_THAT(why("[calendar]\nstate = \"XX\""), HasSubstr("backup.toml:2: calendar.state: 'XX' is no German state"));
  EXPECT_THAT(why("[calendar]\nopen = [\"montag\"]"), HasSubstr("'montag' is no day of the week"));
  EXPECT_THAT(why("[calendar]\nopen = []"), HasSubstr("never open"));
  EXPECT_THAT(why("[calendar]\nclosed = [{ first = \"2027-02-30\" }]"), HasSubstr("'2027-02-30' is no date"));
  EXPECT_THAT(why("[calendar]\nclosed = [{ first = \"2027-02-03\", last = \"2027-02-02\" }]"), HasSubstr("2027-02-02 is before 2027-02-03"));
  EXPECT_THAT(why("[duty]\nresponsible = \"<x>\""), HasSubstr("names nobody"));
  EXPECT_THAT(why("[duty]\nescalate_until = 9"), HasSubstr("from 11 to 23"));
}

TEST(BackupConfig, RefusesWithLineAndRange) {
  const auto keep = parse("[backup]\nkeep = 0\n");
  ASSERT_FALSE(keep);
  EXPECT_EQ(keep.error().message, "backup.toml:2: backup.keep = 0: out of range");
  EXPECT_EQ(keep.error().hint, "A whole number from 1 to 10000.");
  const auto typo = parse("[backup]\ntraget = \"/x\"\n");
  EXPECT_THAT(typo.error().hint, HasSubstr("backup.target"));
  EXPECT_THAT(parse("[backup]\ntarget = \"x\"\n").error().message, HasSubstr("not an absolute path"));
  EXPECT_THAT(parse("[encryption]\nwhen = \"always\"\n").error().message, HasSubstr("no recipients"));
}

TEST(BackupConfig, WhatIsStoppedHasToBeStarted) {
  EXPECT_THAT(parse("[[application]]\nname = \"a\"\nstop = [\"x\"]\n").error().message, HasSubstr("come together"));
}

TEST(BackupConfig, PatternsStayBelowTheirRoot) {
  constexpr auto kText = "[[application]]\nname = \"a\"\n[[application.folder]]\nroot = \"/opt/a\"\nrestore = [\"{}\"]\n";
  EXPECT_FALSE(parse(fmt::format(fmt::runtime(kText), "../b")));
  EXPECT_TRUE(parse(fmt::format(fmt::runtime(kText), "bin/**")));
  EXPECT_FALSE(parse("[[application]]\nname = \"a\"\n[[application.folder]]\nroot = \"/\"\n"));
  EXPECT_FALSE(parse("[[application]]\nname = \"../a\"\n"));
}

TEST(BackupConfig, EntriesCarryTheirVersionsAndWhetherTheyMayBeMissing) {
  const auto config = parse(R"([[application]]
name = "practice"
[[application.folder]]
root = "/opt/practice/"
restore = ["bin"]
restore_optional = ["xup"]
[[application.folder.only]]
versions = "7.*"
restore = ["orant/database"]
)");
  ASSERT_TRUE(config) << config.error().message;
  const FolderRule& rule = config->applications[0].folders[0];
  EXPECT_EQ(rule.root, "/opt/practice");
  EXPECT_THAT(rule.lists.restored, ElementsAre(ListEntry{"bin", false, ""}, ListEntry{"xup", true, ""}, ListEntry{"orant/database", false, "7.*"}));
}

TEST(BackupConfig, EncryptsWhatLeavesTheHouse) {
  Config config;
  config.encrypt = Encrypt::kLeaving;
  config.leaving = {"/media/usb"};
  EXPECT_TRUE(encrypts(config, "/media/usb/sets"));
  EXPECT_TRUE(encrypts(config, "/media/usb"));
  EXPECT_FALSE(encrypts(config, "/media/usb2"));
  EXPECT_FALSE(encrypts(config, "/srv/backup"));
}

}  // namespace
}  // namespace verbund::backup
