// Archives that somebody has made to break out of the place they are restored to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "backup/folder_fixture.h"
#include "backup/folder_restore.h"
#include "backup/tar_writer.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

TreeMember member(std::string path, MemberType type, std::string link = {}) {
  TreeMember made;
  made.path = std::move(path);
  made.type = type;
  made.link = std::move(link);
  made.mode = 0755;
  return made;
}

struct HostileArchive : ::testing::Test {
  verbund::testing::ScratchDirectory scratch;
  fs::path into = scratch.path() / "office", outside = scratch.path() / "outside";
  std::string archive;
  NoProgress progress;

  void SetUp() override {
    put_file(into / "kept", "kept");
    put_file(outside / "secret", "secret");
  }
  void make(const std::vector<TreeMember>& members) {
    archive.clear();
    StringSink sink(archive);
    TarWriter writer(sink);
    for (TreeMember each : members) {
      const bool file = each.type == MemberType::kFile;
      if (file) each.size = 5;
      ASSERT_TRUE(writer.begin(each));
      if (!file) continue;
      auto room = writer.room();
      std::copy_n("hello", 5, room->begin());
      writer.fill(5);
    }
    ASSERT_TRUE(writer.finish());
  }
  Result<RestoredFolder> restore() {
    RestoreFolderOptions options;
    options.into = into;
    options.journal = scratch.path() / "journal";
    options.wanted = PathSet::everything();
    return restore_folder(options, [this]() -> Result<std::unique_ptr<Source>> { return std::make_unique<StringSource>(archive); }, {}, progress);
  }
  void refused() {
    const auto result = restore();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kDamaged) << result.error().message;
    untouched();
    EXPECT_EQ(file_text(into / "kept"), "kept");
    EXPECT_FALSE(fs::exists(into.native() + "_Original"));
    for (const auto& each : fs::directory_iterator(scratch.path())) EXPECT_FALSE(each.path().filename().native().starts_with(".verbund"));
  }
  void untouched() const {
    EXPECT_EQ(file_text(outside / "secret"), "secret");
    EXPECT_EQ(std::distance(fs::directory_iterator(outside), {}), 1);
  }
  const TreeMember top = member("", MemberType::kFolder);
};

TEST_F(HostileArchive, CannotNameWhatIsOutside) {
  for (const char* path : {"../outside/new", "/tmp/verbund-hostile", "a/../../outside/new", "..", "a/./b", "a//b", "./../outside/new"}) {
    make({top, member(path, MemberType::kFile)});
    SCOPED_TRACE(path);
    refused();
  }
  make({top, member(std::string("a\0b", 3), MemberType::kFolder), member(std::string(300, 'x') + std::string("\0b", 2), MemberType::kFile)});
  refused();
}

TEST_F(HostileArchive, CannotLinkToWhatIsOutside) {
  for (const char* target : {"../outside/secret", "/etc/passwd", "kept", "b", "../office/kept"}) {
    make({top, member("a", MemberType::kHardLink, target)});
    SCOPED_TRACE(target);
    refused();
  }
}

TEST_F(HostileArchive, CannotWriteThroughALink) {
  make({top, member("a", MemberType::kSymbolicLink, outside.native()), member("a/new", MemberType::kFile)});
  refused();
  make({top, member("a", MemberType::kSymbolicLink, (outside / "secret").native()), member("a", MemberType::kFile)});
  refused();
  make({top, member("a", MemberType::kSymbolicLink, outside.native()), member("a", MemberType::kFolder), member("a/new", MemberType::kFile)});
  refused();
  make({top, member("a", MemberType::kSymbolicLink, (outside / "secret").native()), member("b", MemberType::kHardLink, "a")});
  refused();
}

TEST_F(HostileArchive, CannotComeOutOfOrder) {
  make({top, member("b", MemberType::kFile), member("a", MemberType::kFile)});
  refused();
  make({top, member("b", MemberType::kFile), member("b", MemberType::kFile)});
  refused();
  make({member("a", MemberType::kFile)});
  refused();
  make({top, member("a/b", MemberType::kFile)});
  refused();
  make({top, top});
  refused();
}

TEST_F(HostileArchive, GetsNoDevicesAndNoRights) {
  TreeMember device = member("disk", MemberType::kBlockDevice);
  device.device_major = 8;
  TreeMember tool = member("tool", MemberType::kFile);
  tool.mode = 06777;
  tool.attributes = {{"security.capability", std::string("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)}, {"system.odd", "x"}};
  make({top, device, tool});
  const auto result = restore();
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(result->left_out.names, ::testing::ElementsAre("disk (device)"));
  EXPECT_THAT(result->not_set.names, ::testing::ElementsAre("tool (set-user-ID)", "tool (capabilities)", "tool (system.odd)"));
  EXPECT_FALSE(fs::exists(into / "disk"));
  struct stat status{};
  ASSERT_EQ(::stat((into / "tool").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07000, 0U);
}

TEST_F(HostileArchive, MayHoldLinksThatLeadOutAsText) {
  make({top, member("a", MemberType::kSymbolicLink, (outside / "secret").native())});
  ASSERT_TRUE(restore());
  EXPECT_TRUE(fs::is_symlink(into / "a"));
  untouched();
}

TEST_F(HostileArchive, IsDamagedWhenItsIndexSaysOtherwise) {
  make({top, member("a", MemberType::kFile)});
  RestoreFolderOptions options;
  options.into = into;
  options.journal = scratch.path() / "journal";
  const std::vector<std::string> wanted{"b"};
  options.wanted = PathSet::literal(wanted, LetterCase::kExact);
  const std::string index = R"({"path":"","type":"folder","modified":"0.000000000"}
{"path":"b","type":"fifo","modified":"0.000000000"}
{"end":true,"members":2}
)";
  const auto open = [](const std::string& text) { return [&text]() -> Result<std::unique_ptr<Source>> { return std::make_unique<StringSource>(text); }; };
  const auto result = restore_folder(options, open(archive), open(index), progress);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDamaged);
  EXPECT_FALSE(fs::exists(into / "b"));
}

}  // namespace
}  // namespace verbund::backup
