#include "files/parts.h"

#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/random.h"
#include "testing/scratch_directory.h"

namespace verbund::files {
namespace {

namespace fs = std::filesystem;

class PartsTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(root); }
  static Whole whole(const std::string& path, std::string_view content) { return {.path = path, .bytes = content.size(), .hash = os::blake2b_hex(content), .modified_ms = 1'700'000'000'123}; }
  std::string content(const std::string& path) const { return os::read_file(root / path).value_or("none"); }
  Result<std::string> put(const std::string& path, std::string_view text, Parts::Taken taken = Parts::Taken::kReplaced) {
    EXPECT_TRUE(parts.write("n", 0, text));
    return parts.put("n", root, whole(path, text), taken);
  }
  ErrorCode code(const Result<std::string>& done) const { return done ? ErrorCode::kInternal : done.error().code; }

  testing::ScratchDirectory directory;
  fs::path root = directory.path() / "root";
  Parts parts{directory.path() / "parts"};
  os::SystemClock clock;
};

TEST_F(PartsTest, GrowAndTakeTheirPlaceWhole) {
  EXPECT_EQ(parts.begun("n"), 0U);
  ASSERT_TRUE(parts.write("n", 0, "abc"));
  EXPECT_EQ(parts.begun("n"), 3U);
  EXPECT_EQ(parts.write("n", 4, "e").error().code, ErrorCode::kBadMessage);
  ASSERT_TRUE(parts.write("n", 1, "bcd")) << "a piece that came twice";
  const auto at = parts.put("n", root, whole("Müller/Wunde.txt", "abcd"), Parts::Taken::kReplaced);
  ASSERT_TRUE(at) << at.error().message;
  EXPECT_EQ(content("Müller/Wunde.txt"), "abcd");
  EXPECT_EQ(parts.begun("n"), 0U);
  EXPECT_EQ(look_at(root, "Müller/Wunde.txt")->modified_ns, 1'700'000'000'123'000'000);
}

TEST_F(PartsTest, OfAnotherContentAreThrownAway) {
  ASSERT_TRUE(parts.write("n", 0, "abc"));
  EXPECT_EQ(code(parts.put("n", root, whole("a", "abd"), Parts::Taken::kReplaced)), ErrorCode::kDamaged);
  EXPECT_EQ(parts.begun("n"), 0U);
  ASSERT_TRUE(parts.write("n", 0, "abc"));
  EXPECT_EQ(code(parts.put("n", root, whole("a", "abcd"), Parts::Taken::kReplaced)), ErrorCode::kDamaged);
  EXPECT_FALSE(fs::exists(root / "a"));
}

TEST_F(PartsTest, ReplaceOrStandBeside) {
  EXPECT_EQ(put("a.b/Wunde.jpg", "1").value(), "a.b/Wunde.jpg");
  EXPECT_EQ(put("a.b/Wunde.jpg", "2").value(), "a.b/Wunde.jpg");
  EXPECT_EQ(put("a.b/Wunde.jpg", "3", Parts::Taken::kBeside).value(), "a.b/Wunde (2).jpg");
  EXPECT_EQ(put("a.b/Wunde.jpg", "4", Parts::Taken::kBeside).value(), "a.b/Wunde (3).jpg");
  EXPECT_EQ(put("a.b/Wunde.jpg", "3", Parts::Taken::kBeside).value(), "a.b/Wunde (2).jpg") << "it is there already";
  EXPECT_EQ(parts.begun("n"), 0U);
  EXPECT_EQ(put("a.b/ohne", "1", Parts::Taken::kBeside).value(), "a.b/ohne");
  EXPECT_EQ(put("a.b/ohne", "2", Parts::Taken::kBeside).value(), "a.b/ohne (2)");
  EXPECT_EQ(content("a.b/Wunde.jpg"), "2");
}

TEST_F(PartsTest, NeverLeaveTheRootNorGoThroughWhatIsInTheWay) {
  for (const auto* path : {"../a", "/a", "a/../../b", "", "a//b", "."}) EXPECT_EQ(code(put(path, "1")), ErrorCode::kBadMessage) << path;
  ASSERT_TRUE(put("file", "1"));
  EXPECT_EQ(code(put("file/in", "1")), ErrorCode::kAlreadyExists);
  fs::create_directory_symlink(directory.path(), root / "link");
  EXPECT_EQ(code(put("link/x", "1")), ErrorCode::kAlreadyExists);
  EXPECT_FALSE(fs::exists(directory.path() / "x"));
  fs::create_directories(root / "folder" / "in");
  EXPECT_EQ(code(put("folder", "1")), ErrorCode::kAlreadyExists);
}

TEST_F(PartsTest, ThatNobodyGoesOnWithAreForgotten) {
  ASSERT_TRUE(parts.write("old", 0, "1"));
  ASSERT_TRUE(parts.write("new", 0, "1"));
  const timespec days_ago[] = {{::time(nullptr) - 3 * 86'400, 0}, {::time(nullptr) - 3 * 86'400, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (directory.path() / "parts" / "old").c_str(), days_ago, 0), 0);
  ASSERT_TRUE(parts.forget_old(std::chrono::days{2}, clock));
  EXPECT_EQ(parts.begun("old"), 0U);
  EXPECT_EQ(parts.begun("new"), 1U);
  EXPECT_TRUE(Parts(directory.path() / "none").forget_old(std::chrono::days{2}, clock));
}

TEST_F(PartsTest, AreCopiesOfFiles) {
  std::ofstream(root / "a") << std::string(3'000'000, 'a');
  ASSERT_TRUE(parts.copy("n", root, look_at(root, "a").value()));
  EXPECT_EQ(parts.begun("n"), 3'000'000U);
  EXPECT_EQ(hash_of(root, look_at(root, "a").value()).value(), os::blake2b_hex(std::string(3'000'000, 'a')));
}

TEST_F(PartsTest, OurOwnFolderIsNotListed) {
  fs::create_directories(root / kOwnFolder);
  std::ofstream(root / kOwnFolder / "part") << "x";
  std::ofstream(root / "a") << "x";
  EXPECT_EQ(list_tree(root)->entries.size(), 1U);
}

}  // namespace
}  // namespace verbund::files
