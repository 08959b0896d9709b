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
