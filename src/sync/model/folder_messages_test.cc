#include "sync/model/folder_messages.h"

#include <regex>

#include <gtest/gtest.h>

#include "sync/model/rules.h"

namespace verbund::sync {
namespace {

TEST(FolderMessages, ComeOutAsTheyWentIn) {
  const std::string hash(64, 'a');
  FolderPage page;
  page.cursor = {"shape", 1ULL << 62};
  page.whole = page.more = true;
  page.files = {{"Müller/Wunde.jpg", 1ULL << 40, hash, 1'700'000'000'123}};
  page.gone = {"a/b"};
  const auto read = decode_folder_page(encode(page));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->cursor.version, page.cursor.version);
  EXPECT_EQ(read->files, page.files);
  EXPECT_EQ(read->gone, page.gone);
  EXPECT_TRUE(read->whole && read->more);
  EXPECT_EQ(decode_folder_cursor(encode(FolderCursor{"s", 7}))->version, 7U);
  EXPECT_EQ(decode_file_entry(encode(page.files[0])).value(), page.files[0]);
  EXPECT_EQ(decode_file_taken(encode(FileTaken{5, ""}))->have, 5U);
  EXPECT_EQ(decode_file_taken(encode(FileTaken{0, "a"}))->path, "a");
}

TEST(FolderMessages, APathStaysBelowItsFolder) {
  for (const auto* path : {"a", "a/b.c", "ä ö/ü.txt", "..a", "a/...b"}) EXPECT_TRUE(is_file_path(path)) << path;
  for (const auto* path : {"", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\nb", "\xff"}) EXPECT_FALSE(is_file_path(path)) << path;
  EXPECT_FALSE(is_file_path(std::string(256, 'a')));
  std::string deep = "a";
  while (deep.size() <= kMaxFilePathBytes) deep += "/a";
  EXPECT_FALSE(is_file_path(deep));
  const auto entry = [](const std::string& path, const std::string& hash) { return R"({"path":")" + path + R"(","bytes":"1","hash":")" + hash + R"(","modified_ms":"0"})"; };
  EXPECT_TRUE(decode_file_entry(entry("a", std::string(64, '0'))));
  EXPECT_FALSE(decode_file_entry(entry("../a", std::string(64, '0'))));
  EXPECT_FALSE(decode_file_entry(entry("a", std::string(64, 'G'))));
  EXPECT_FALSE(decode_folder_page(R"({"version":"1","gone":["../x"]})"));
  EXPECT_FALSE(decode_file_taken(R"({"path":"../x"})"));
}

TEST(FolderMessages, NamesAreExpressions) {
  const auto fits = [](const std::vector<std::string>& names, const std::string& path) {
    return std::regex_search(path, std::regex(expression_of(names), std::regex::extended | std::regex::icase));
  };
  EXPECT_EQ(expression_of({}), "");
  EXPECT_TRUE(fits({"*.pdf"}, "a/B.PDF"));
  EXPECT_FALSE(fits({"*.pdf"}, "a.pdf/b.txt"));
  EXPECT_FALSE(fits({"*.pdf"}, "xpdf"));
  EXPECT_TRUE(fits({"*.pdf", "?.txt"}, "b.txt"));
  EXPECT_FALSE(fits({"*.pdf", "?.txt"}, "bb.txt"));
  EXPECT_TRUE(fits({"a+b(1)$.x"}, "c/a+b(1)$.x"));
  EXPECT_FALSE(fits({"a"}, "ba"));
}

Result<Rules> read(const std::string& lines, const std::string& parameters = R"({ region = "nord" })") {
  return read_rules("[[subscription]]\nname = \"plans\"\nkind = \"files\"\n" + lines + "\n[[set]]\nname = \"s\"\nsubscriptions = [\"plans\"]\n[[group]]\nname = \"g\"\nsets = [\"s\"]\nparameters = " + parameters +
                        "\n[[user]]\nname = \"anna\"\ngroup = \"g\"\n",
                    "test.toml");
}

TEST(RulesOfFiles, AreReadAndWritten) {
  const auto rules = read("folder = \"pläne\"\npath = \":region/:user\"\nnames = [\"*.pdf\"]\nmax_rows = 10\nmax_bytes = \"5 MB\"");
  ASSERT_TRUE(rules) << rules.error().message;
  const auto& one = rules->subscriptions[0];
  EXPECT_EQ(one.direction, Direction::kDown);
  EXPECT_EQ(one.files, (FolderRule{"pläne", ":region/:user", "", {"*.pdf"}}));
  EXPECT_EQ(one.rights, (Rights{true, false, false, false}));
  EXPECT_TRUE(faults_of(*rules).empty());
  EXPECT_EQ(read_rules(write_rules(*rules), "again").value(), *rules);
  EXPECT_EQ(read("folder = \"x\"\ndirection = \"up\"")->subscriptions[0].rights, (Rights{false, true, false, false}));
}

TEST(RulesOfFiles, HaveNothingOfTables) {
  EXPECT_FALSE(read(""));
  for (const auto* line : {"table = \"t\"", "columns = [\"a\"]", "filter = \"a = 1\"", "rights = [\"read\"]", "conflict = \"merge\"", "direction = \"both\""}) {
    EXPECT_FALSE(read(std::string("folder = \"x\"\n") + line)) << line;
  }
  EXPECT_FALSE(read_rules("[[subscription]]\nname = \"p\"\ntable = \"t\"\nfolder = \"x\"", "test.toml"));
}

TEST(RulesOfFiles, SayWhatStandsAgainstThem) {
  const auto faults = [](const std::string& lines, const std::string& parameters = R"({ region = "nord" })") { return faults_of(read(lines, parameters).value()).size(); };
  EXPECT_EQ(faults("folder = \"x\""), 0U);
  EXPECT_EQ(faults("folder = \"x\"\npath = \"../y\""), 1U);
  EXPECT_EQ(faults("folder = \"x\"\npath = \"/y\""), 1U);
  EXPECT_EQ(faults("folder = \"x\"\npath = \":nothing\""), 1U);
  EXPECT_EQ(faults("folder = \"x\"\npath = \":region\"", R"({ region = "a/b" })"), 1U);
  EXPECT_EQ(faults("folder = \"x\"\npath = \":region\"", R"({ region = ".." })"), 1U);
  EXPECT_EQ(faults("folder = \"x\"\nof = \"patients\""), 1U);
  EXPECT_EQ(faults("folder = \"x\"\nof = \"plans\""), 1U);
  EXPECT_EQ(faults("folder = \"x\"\nnames = [\"[a].txt\"]"), 1U);
}

}  // namespace
}  // namespace verbund::sync
