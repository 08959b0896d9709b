#include <gmock/gmock.h>
#include <zlib.h>

#include <fstream>

#include "importer/input.h"

namespace verbund::importer {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class InputTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "verbund-input-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path write(const fs::path& name, std::string_view text) {
    const auto path = directory_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  fs::path write_gz(const fs::path& name, std::string_view text) {
    const auto path = directory_ / name;
    gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
    return path;
  }

  /// "id" of each document, or the problem; at the end the error of the file.
  std::vector<std::string> read(const fs::path& path, const InputLimits& limits = {}) {
    std::vector<std::string> out;
    std::uint64_t bytes = 0;
    const InputFile file{path, path.filename().string(), fs::file_size(path)};
    auto done = read_documents(file, limits, bytes, [&](Document& document) {
      out.push_back(document.object != nullptr ? std::string(document.object->at("id").as_string())
                                               : fmt::format("{}: {}", document.line, document.problem.english()));
      return true;
    });
    if (!done) out.push_back(done.error().message);
    return out;
  }
  std::vector<std::string> names(const Discovery& found) const {
    std::vector<std::string> out;
    for (const auto& file : found.files) out.push_back(fs::relative(file.path, directory_).string());
    return out;
  }
  fs::path directory_;
};

TEST_F(InputTest, WalksInOrderPatientsFirstAndSurvivesLoops) {
  write("Observation-1.json", "{}");
  write("b/Encounter.ndjson.gz", "");
  write("b/Patient-2.JSON", "{}");
  write("a/readme.txt", "x");
  write("a/.stamp.json", "{}");
  fs::create_directory_symlink(directory_, directory_ / "a/loop");
  fs::create_symlink(directory_ / "Observation-1.json", directory_ / "b/same.json");
  fs::create_symlink(directory_ / "nowhere", directory_ / "b/dangling.json");
  const std::array paths{directory_};
  const auto found = discover(paths);
  ASSERT_TRUE(found);
  EXPECT_THAT(names(*found), ElementsAre("b/Patient-2.JSON", "b/Encounter.ndjson.gz", "Observation-1.json"));
  ASSERT_EQ(found->problems.size(), 2U);
  EXPECT_THAT(found->problems[0].first, HasSubstr("readme.txt"));
  EXPECT_THAT(found->problems[1].first, HasSubstr("dangling.json"));
}

TEST_F(InputTest, SaysWhichNamedPathDoesNotExist) {
  const std::array paths{directory_ / "gone"};
  const auto found = discover(paths);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(found.error().message, HasSubstr("gone"));
}

TEST_F(InputTest, ReadsPlainAndCompressedWithByteOrderMark) {
  EXPECT_THAT(read(write("a.json", "\xEF\xBB\xBF{\"id\":\"ä\"}")), ElementsAre("ä"));
  EXPECT_THAT(read(write_gz("b.json.gz", R"({"id":"z"})")), ElementsAre("z"));
}

TEST_F(InputTest, ReadsLinesAndNamesTheBrokenOnes) {
  EXPECT_THAT(read(write("a.ndjson", "{\"id\":\"1\"}\r\n\n{\"id\":\n[]\n{\"id\":\"5\"}")),
              ElementsAre("1", HasSubstr("3: is not JSON"), "4: is not a JSON object", "5"));
}

TEST_F(InputTest, RefusesALineThatIsTooLongAndGoesOn) {
  InputLimits limits;
  limits.max_line_bytes = 20;
  EXPECT_THAT(read(write("a.ndjson", "{\"id\":\"1\"}\n" + std::string(300'000, 'x') + "\n{\"id\":\"3\"}\n"), limits),
              ElementsAre("1", HasSubstr("2: is longer"), "3"));
}

TEST_F(InputTest, RefusesBrokenFilesByNameAndPosition) {
  EXPECT_THAT(read(write("cut.json", R"({"id":"1")")), ElementsAre(HasSubstr("cut.json: ends too early")));
  EXPECT_THAT(read(write("bad.json", "{\"id\":\"\xff\"}")), ElementsAre(HasSubstr("bad.json: byte 7 is not JSON")));
  EXPECT_THAT(read(write("deep.json", std::string(100, '[') + std::string(100, ']'))), ElementsAre(HasSubstr("deeper than 64")));
  EXPECT_THAT(read(write("two.json", "{} {}")), ElementsAre(HasSubstr("is not JSON")));
  EXPECT_THAT(read(write("empty.json", "")), ElementsAre(HasSubstr("ends too early")));
}

TEST_F(InputTest, RefusesATruncatedArchive) {
  const auto path = write_gz("a.json.gz", fmt::format(R"({{"id":"{}"}})", std::string(5'000, 'x')));
  fs::resize_file(path, fs::file_size(path) - 6);
  EXPECT_THAT(read(path), ElementsAre(HasSubstr("ends too early")));
}

TEST_F(InputTest, BoundsSizeAndMemory) {
  InputLimits small;
  small.max_document_bytes = 1024;
  EXPECT_THAT(read(write_gz("bomb.json.gz", "{\"id\":\"" + std::string(1 << 20, 'x') + "\"}"), small),
              ElementsAre(HasSubstr("holds more than")));
  InputLimits tight;
  tight.max_memory_bytes = 1 << 20;
  std::string many = "{\"id\":[";
  for (int at = 0; at < 200'000; ++at) many += "0,";
  EXPECT_THAT(read(write("many.json", many + "0]}"), tight), ElementsAre(HasSubstr("MiB of memory")));
}

}  // namespace
}  // namespace verbund::importer
