#include "backup/path_lists.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verbund::backup {
namespace {

using testing::HasSubstr;

PathSet compiled(std::vector<ListEntry> entries, std::string_view version = "1", LetterCase letter_case = LetterCase::kExact) {
  auto set = PathSet::compile(entries, version, letter_case);
  if (!set) ADD_FAILURE() << set.error().message;
  return set ? *set : PathSet();
}

bool covers(std::string_view pattern, std::string_view path, LetterCase letter_case = LetterCase::kExact) {
  return compiled({{std::string(pattern), false, {}}}, "1", letter_case).judge(path).covered;
}

TEST(PathLists, NameAFolderWithEverythingBeneath) {
  EXPECT_TRUE(covers("CompuMED/M1/Bin", "CompuMED/M1/Bin"));
  EXPECT_TRUE(covers("CompuMED/M1/Bin", "CompuMED/M1/Bin/deep/er"));
  EXPECT_FALSE(covers("CompuMED/M1/Bin", "CompuMED/M1/Binary"));
  EXPECT_FALSE(covers("CompuMED/M1/Bin", "CompuMED/M1"));
}

TEST(PathLists, AreWrittenAsUnderWindows) {
  EXPECT_TRUE(covers(R"(\CompuMED\M1\Bin)", "CompuMED/M1/Bin/a.exe"));
  EXPECT_TRUE(covers(R"(\compumed\m1\BIN\)", "CompuMED/M1/bin/a.exe", LetterCase::kIgnored));
  EXPECT_FALSE(covers(R"(\compumed\m1\BIN)", "CompuMED/M1/Bin/a.exe"));
  EXPECT_TRUE(covers("Ärzte/ÜBERWEISUNG", "ärzte/Überweisung", LetterCase::kIgnored));
}

TEST(PathLists, KnowTheUsualGlobs) {
  EXPECT_TRUE(covers("*.adt", "T_HOUSELIST.adt"));
  EXPECT_FALSE(covers("*.adt", "sub/T_HOUSELIST.adt"));
  EXPECT_TRUE(covers("**/*.adt", "a/b/T_HOUSELIST.adt"));
  EXPECT_TRUE(covers("**/*.adt", "T_HOUSELIST.adt"));
  EXPECT_TRUE(covers("a/**/z", "a/z"));
  EXPECT_TRUE(covers("a/**/z", "a/b/c/z/beneath"));
  EXPECT_FALSE(covers("a/**/z", "b/z"));
  EXPECT_TRUE(covers("?rzte", "Ärzte"));
  EXPECT_TRUE(covers("?", "\xE4"));
  EXPECT_FALSE(covers("?", "ab"));
  EXPECT_TRUE(covers("[a-c]x", "bx"));
  EXPECT_FALSE(covers("[!a-c]x", "bx"));
  EXPECT_TRUE(covers("[A-C]x", "bX", LetterCase::kIgnored));
  EXPECT_TRUE(covers("Uniface.{w95,w2k,wnt,wxp}/Bin/usys.ini", "Uniface.wnt/Bin/usys.ini"));
  EXPECT_FALSE(covers("Uniface.{w95,w2k,wnt,wxp}/Bin/usys.ini", "Uniface.vista/Bin/usys.ini"));
  EXPECT_TRUE(covers("{a,b/{c,d}}/e", "b/d/e"));
  EXPECT_TRUE(covers("[{]a[*]", "{a*"));
  EXPECT_TRUE(covers("**", ""));
}

TEST(PathLists, TellHowDeepTheMatchBegan) {
  const PathSet set = compiled({{"a/b", false, {}}, {"**/x", false, {}}});
  EXPECT_EQ(set.judge("a/b/x").depth, 2U);
  EXPECT_EQ(set.judge("c/d/x/y").depth, 3U);
  EXPECT_EQ(PathSet::everything().judge("a/b").depth, 0U);
  EXPECT_TRUE(set.judge("c").leads);
  EXPECT_FALSE(compiled({{"a/b", false, {}}}).judge("c").leads);
  EXPECT_TRUE(compiled({{"a/b", false, {}}}).judge("").leads);
}

TEST(PathLists, TellWhichEntriesWereThere) {
  const PathSet set = compiled({{"a", false, {}}, {"b/{c,d}", false, {}}, {"e", true, {}}});
  std::vector<bool> hits(set.entries().size());
  (void)set.judge("a/x", &hits);
  (void)set.judge("b/d", &hits);
  EXPECT_THAT(hits, testing::ElementsAre(true, true, false));
  EXPECT_TRUE(set.entries()[2].optional);
}

TEST(PathLists, WriteOptionalEntriesAsText) {
  const PathSet set = compiled({{"optional:\\CompuMED\\M1\\XUP", false, {}}, {"Bin", false, {}}});
  EXPECT_TRUE(set.entries()[0].optional);
  EXPECT_EQ(set.entries()[0].pattern, "CompuMED/M1/XUP");
  EXPECT_EQ(entry_text(set.entries()[0]), "optional:CompuMED/M1/XUP");
  EXPECT_EQ(entry_text(set.entries()[1]), "Bin");
}

TEST(PathLists, HoldPerProgramVersion) {
  const std::vector<ListEntry> entries{{"Orant/Database", false, "7.*|7"}, {"Orant/DB_M1/Database", false, ">= 11"}, {"Bin", false, ""}};
  EXPECT_EQ(compiled(entries, "7.3").entries().size(), 2U);
  EXPECT_TRUE(compiled(entries, "7.3").judge("Orant/Database").covered);
  EXPECT_TRUE(compiled(entries, "11g").judge("Orant/DB_M1/Database").covered);
  EXPECT_FALSE(compiled(entries, "11g").judge("Orant/Database").covered);
  const auto unknown = PathSet::compile(entries, "", LetterCase::kExact);
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("not known"));
}

TEST(PathLists, CompareVersionsAsPeopleDo) {
  const std::vector<std::string> ascending{"7", "7.2", "7.10", "11", "11g", "11h", "12.0.1"};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    for (std::size_t j = 0; j < ascending.size(); ++j) {
      EXPECT_EQ(compare_versions(ascending[i], ascending[j]), i < j ? -1 : (i > j ? 1 : 0)) << ascending[i] << " " << ascending[j];
    }
  }
  EXPECT_EQ(compare_versions("007", "7"), 0);
  EXPECT_EQ(compare_versions("11G", "11g"), 0);
  EXPECT_TRUE(*version_matches("> 6, <= 7.2", "7.2"));
  EXPECT_FALSE(*version_matches("> 6, <= 7.2", "7.3"));
  EXPECT_TRUE(*version_matches("!= 7.*", "8.0"));
  EXPECT_FALSE(version_matches("> 6,", "7"));
  EXPECT_FALSE(version_matches(">", "7"));
  EXPECT_FALSE(version_matches("1 | < 7.*", "1"));
}

TEST(PathLists, RefuseWhatLeadsOut) {
  for (const char* pattern : {"../x", "a/../b", "C:\\Program", "", "/", "a/[b", "{a,b", "a{"}) {
    PathLists lists;
    lists.restored = {{pattern, false, {}}};
    const auto checked = check_lists(lists);
    ASSERT_FALSE(checked) << pattern;
    EXPECT_EQ(checked.error().code, ErrorCode::kBadConfig);
    EXPECT_THAT(checked.error().message, testing::StartsWith("restored: pattern"));
  }
}

TEST(PathLists, StayBoundedWhateverIsWritten) {
  std::string braces;
  for (int i = 0; i < 20; ++i) braces += "{a,b}";
  EXPECT_FALSE(PathSet::compile(std::vector<ListEntry>{{braces, false, {}}}, "1", LetterCase::kExact));
  std::string deep;
  for (std::size_t i = 0; i <= kMaxPatternParts; ++i) deep += "a/";
  EXPECT_FALSE(PathSet::compile(std::vector<ListEntry>{{deep, false, {}}}, "1", LetterCase::kExact));
  std::string stars, name(2000, 'a');
  for (int i = 0; i < 500; ++i) stars += "*a";
  EXPECT_FALSE(covers(stars + "b", name));
}

TEST(PathLists, TakePathsLiterally) {
  const std::vector<std::string> paths{"a/[b]*{c}", "d\\e"};
  const PathSet set = PathSet::literal(paths, LetterCase::kExact);
  EXPECT_TRUE(set.judge("a/[b]*{c}").covered);
  EXPECT_TRUE(set.judge("d\\e").covered);
  EXPECT_FALSE(set.judge("a/bx").covered);
}

TEST(PathLists, OrderPathsFolderByFolder) {
  EXPECT_LT(compare_paths("a", "a/b"), 0);
  EXPECT_LT(compare_paths("a/b", "a!"), 0);
  EXPECT_LT(compare_paths("a!", "a\xE4"), 0);
  EXPECT_EQ(compare_paths("a/b", "a/b"), 0);
  EXPECT_GT(compare_paths("b", "a/z"), 0);
}

}  // namespace
}  // namespace verbund::backup
