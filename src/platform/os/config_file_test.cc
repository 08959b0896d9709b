#include <gtest/gtest.h>

#include "platform/os/config_file.h"
#include "platform/os/config_texts.h"

namespace verbund::os {
namespace {

Error refusal(const Result<ConfigFile>& result) { return result ? Error{} : result.error(); }

TEST(TomlView, FlattensTablesAndArraysOfTables) {
  auto file = ConfigFile::parse_toml("top = 'x'\n[feed]\nretention = 7\non = true\n[[record]]\ntable = 'patient'\n"
                                     "[[record]]\ntable = 'visit'\nchildren = ['a', 'b']\n", "v.toml");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(*file->text("top", ""), "x");
  EXPECT_EQ(*file->integer("feed.retention", 1, 0, 100), 7);
  EXPECT_EQ(*file->boolean("feed.on", false), true);
  EXPECT_EQ(file->count("record"), 2U);
  EXPECT_EQ(*file->text("record.0.table", ""), "patient");
  EXPECT_EQ(*file->list("record.1.children", {}), (std::vector<std::string>{"a", "b"}));
  const auto unknown = file->refuse_unknown();
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message, "v.toml:8: record.1.table: no such setting");
}

TEST(TomlView, NamesFileLineAndRangeOfABadValue) {
  auto file = ConfigFile::parse_toml("\n[net]\nport = 70000\nname = 5\n", "v.toml");
  ASSERT_TRUE(file);
  const auto port = file->integer("net.port", 2222, 1, 65535);
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().code, ErrorCode::kBadConfig);
  EXPECT_EQ(port.error().message, "v.toml:3: net.port = 70000: out of range");
  EXPECT_EQ(port.error().hint, "A whole number from 1 to 65535.");
  EXPECT_EQ(file->text("net.name", "").error().message, "v.toml:4: net.name = 5: not a text");
}

TEST(TomlView, NamesTheLineOfASyntaxError) {
  const auto error = refusal(ConfigFile::parse_toml("a = 1\nb = = 2\n", "v.toml"));
  EXPECT_EQ(error.code, ErrorCode::kBadConfig);
  EXPECT_TRUE(error.message.starts_with("v.toml:2: ")) << error.message;
}

TEST(TomlView, RefusesWhatItCannotFlatten) {
  EXPECT_EQ(refusal(ConfigFile::parse_toml("a = [1, 2]", "v")).message, "v:1: a: is not a list of texts");
  EXPECT_EQ(refusal(ConfigFile::parse_toml("a = 2026-11-22", "v")).code, ErrorCode::kBadConfig);
  EXPECT_EQ(refusal(ConfigFile::parse_toml("'a.b' = 1\n[a]\nb = 2", "v")).code, ErrorCode::kBadConfig);
  std::string deep = "a";
  for (int i = 0; i < 30; ++i) deep += ".a";
  EXPECT_EQ(refusal(ConfigFile::parse_toml(deep + " = 1", "v")).code, ErrorCode::kBadConfig);
  EXPECT_EQ(refusal(ConfigFile::parse_toml("a = '" + std::string(20000, 'x') + "'", "v")).code, ErrorCode::kBadConfig);
}

TEST(TomlView, RefusesATableWhoseNameBeginsBadly) {
  for (const char* line : {"[[[record]]]", "[=]", "[.a]", "[a.=]", "[[=", "[\xc3\xa4]", "[\xff"}) {
    const auto error = refusal(ConfigFile::parse_toml(std::string("x = 1\n") + line + "\nb = 1\n", "v"));
    EXPECT_EQ(error.code, ErrorCode::kBadConfig) << line;
    EXPECT_TRUE(error.message.starts_with("v:2: ")) << line << ": " << error.message;
  }
}

TEST(TomlView, RefusesForeignLettersOutsideOfQuotes) {
  for (const char* line : {"x = ä", "x = [1, 1\xd0\xa5\x30]", "Größe = 1", "x = 'ö' Ж"}) {
    EXPECT_TRUE(refusal(ConfigFile::parse_toml(line, "v")).message.starts_with("v:1: ")) << line;
  }
  auto file = ConfigFile::parse_toml("x = \"\"\"\\\n  Öl\"\"\"  # Ж\n'ü' = 'ß'\n", "v");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(*file->text("x", ""), "Öl");
  EXPECT_EQ(*file->text("ü", ""), "ß");
}

TEST(TomlView, RefusesControlCharactersWhereverTheyStand) {
  for (const char c : {'\0', '\1', '\x1f', '\x7f'}) {
    for (const char* before : {"[", "[a", "[[a.", "", "a", "a = ", "a = '", "# "}) {
      const std::string text = std::string("x = 1\n") + before + c + "b]]\n";
      EXPECT_EQ(refusal(ConfigFile::parse_toml(text, "v")).message, "v:2: control character") << before;
    }
  }
}

TEST(ConfigFile, ProposesTheNearestKnownSetting) {
  auto file = ConfigFile::parse_toml("[feed]\nretentoin = 7\n", "v.toml");
  ASSERT_TRUE(file);
  EXPECT_EQ(*file->integer("feed.retention", 3, 0, 10), 3);
  EXPECT_EQ(*file->text("feed.slot", "s"), "s");
  const auto unknown = file->refuse_unknown();
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message, "v.toml:2: feed.retentoin: no such setting");
  EXPECT_EQ(unknown.error().hint, "Did you mean feed.retention?");
}

TEST(ConfigFile, ProposesTheNearestArrayOfTables) {
  auto file = ConfigFile::parse_toml("[[recrod]]\ntable = 'x'\n", "v.toml");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->count("record"), 0U);
  EXPECT_EQ(file->refuse_unknown().error().hint, "Did you mean record?");
}

TEST(ConfigFile, DoesNotRepeatSecretsInMessages) {
  auto file = ConfigFile::parse_toml("[database]\npassword = 'hunter2'\n", "v.toml");
  ASSERT_TRUE(file);
  const auto error = file->integer("database.password", 0, 0, 1).error();
  EXPECT_EQ(error.message.find("hunter2"), std::string::npos) << error.message;
}

TEST(ConfigFile, TakesAChoiceInAnyCase) {
  auto file = ConfigFile::parse_toml("mode = 'SHARED'\nother = 'x'\n", "v.toml");
  ASSERT_TRUE(file);
  EXPECT_EQ(*file->choice("mode", "Shared", {"Terminalservice", "Shared"}), "Shared");
  EXPECT_EQ(file->choice("other", "a", {"a", "b"}).error().hint, "One of: a, b.");
  EXPECT_TRUE(file->refuse_unknown());
}

TEST(Properties, ReadsKeysValuesCommentsAndContinuations) {
  auto file = ConfigFile::parse_properties("# comment\n! too\n\nport.first = 3001\r\nname: Praxis \\\n   Adler\n"
                                           "uml = \\u00e4\\ud83d\\ude00\nempty=\nwith\\ blank=x\non=Yes\n", "P2P.properties");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(*file->integer("port.first", 0, 1, 65535), 3001);
  EXPECT_EQ(*file->text("name", ""), "Praxis Adler");
  EXPECT_EQ(*file->text("uml", ""), "ä😀");
  EXPECT_EQ(*file->text("empty", "x"), "");
  EXPECT_EQ(*file->text("with blank", ""), "x");
  EXPECT_EQ(*file->boolean("on", false), true);
  EXPECT_TRUE(file->refuse_unknown());
}

TEST(Properties, RefusesAKeyGivenTwiceAndNamesBothLines) {
  const auto error = refusal(ConfigFile::parse_properties("ports=5\nx = \\\n  1\nports=6\n", "P"));
  EXPECT_EQ(error.code, ErrorCode::kBadConfig);
  EXPECT_EQ(error.message, "P:4: ports is given twice, first in line 1");
}

TEST(Properties, RefusesBrokenLines) {
  EXPECT_EQ(refusal(ConfigFile::parse_properties("a=1\nports 5\n", "P")).message, "P:2: no '=' or ':' in the line");
  EXPECT_EQ(refusal(ConfigFile::parse_properties("=5\n", "P")).code, ErrorCode::kBadConfig);
  EXPECT_EQ(refusal(ConfigFile::parse_properties("a b = 5\n", "P")).code, ErrorCode::kBadConfig);
  EXPECT_EQ(refusal(ConfigFile::parse_properties("a = C:\\data\n", "P")).code, ErrorCode::kBadConfig);
  EXPECT_EQ(refusal(ConfigFile::parse_properties("a = \\u12\n", "P")).code, ErrorCode::kBadConfig);
  EXPECT_EQ(refusal(ConfigFile::parse_properties("a = \\ud800\n", "P")).code, ErrorCode::kBadConfig);
}

TEST(Properties, ReadsLatin1WhenItIsNoUtf8) {
  auto file = ConfigFile::parse_properties("name = M\xfcller\n", "P");
  ASSERT_TRUE(file);
  EXPECT_EQ(*file->text("name", ""), "Müller");
}

TEST(ConfigFile, SaysThatAFileIsMissing) {
  EXPECT_EQ(refusal(ConfigFile::read_toml("/nonexistent/verbund.toml")).code, ErrorCode::kNotFound);
}

TEST(ConfigTexts, GivesEveryKeyWhoeverKnowsIt) {
  using Texts = std::map<std::string, std::string>;
  EXPECT_EQ(toml_texts("top = 'x'\n[feed]\non = true\nrows = 7\ncapture = ['a', 'b']\n", "v.toml"),
            (Texts{{"feed.capture", "a, b"}, {"feed.on", "true"}, {"feed.rows", "7"}, {"top", "x"}}));
  EXPECT_EQ(toml_texts("top =", "v.toml").error().code, ErrorCode::kBadConfig);
  EXPECT_EQ(properties_texts("# no key\nlease.ms = 7\nname: a b\n", "P"), (Texts{{"lease.ms", "7"}, {"name", "a b"}}));
}

}  // namespace
}  // namespace verbund::os
