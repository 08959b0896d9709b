#include "backup/tar_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backup/folder_fixture.h"
#include "backup/restore_journal.h"
#include "backup/stock_program_fixture.h"
#include "backup/tar_writer.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

struct TarReading : ::testing::Test {
  verbund::testing::ScratchDirectory scratch;
  std::string archive;

  void made_by_tar(const std::string& format) {
    make_odd_tree(scratch.path() / "tree");
    const auto outcome = run_program({"tar", "--format=" + format, "--sparse", "--sort=name", "-cf", (scratch.path() / "a.tar").native(), "-C", (scratch.path() / "tree").native(), "."});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
    archive = file_text(scratch.path() / "a.tar");
  }
  Result<std::map<std::string, TreeMember>> read() const {
    StringSource source(archive);
    TarReader reader(source);
    std::map<std::string, TreeMember> members;
    TreeMember member;
    while (true) {
      auto more = reader.next(member);
      if (!more) return pass(more);
      if (!*more) return members;
      members.emplace(member.path, member);
    }
  }
};

TEST_F(TarReading, ReadsWhatGnuTarWrites) {
  made_by_tar("posix");
  const auto members = read();
  ASSERT_TRUE(members) << members.error().message;
  EXPECT_EQ(members->at("sparse/end").size, 1ULL << 26);
  EXPECT_TRUE(members->at("sparse/end").sparse);
  EXPECT_EQ(members->at("times/old").modified, (Timestamp{-300'000'000, 250'000'000}));
  EXPECT_EQ(members->at("times/before").modified, (Timestamp{-1, 999'999'999}));
  EXPECT_TRUE(members->contains("names/\xE4rzte.txt"));
  EXPECT_TRUE(members->contains(deep_path().native()));
  if (members->contains("owners")) {
    EXPECT_EQ(members->at("owners/2000000000").uid, 2'000'000'000U);
  }
}

TEST_F(TarReading, SaysWhichOldSparseFormatItDoesNotKnow) {
  made_by_tar("gnu");
  const auto members = read();
  ASSERT_FALSE(members);
  EXPECT_EQ(members.error().code, ErrorCode::kDamaged);
}

TEST_F(TarReading, KeepsNumbersThatNoHeaderHolds) {
  TreeMember member;
  member.path = "a";
  member.type = MemberType::kFifo;
  member.uid = 0xFFFFFFFE;
  member.gid = 2'097'152;
  member.mode = 07777;
  member.owner = std::string(40, 'o');
  member.group = "Ärzte";
  member.modified = {-62'135'596'800, 1};
  member.attributes = {{"user.=%3D%", std::string("\0\n", 2)}};
  StringSink sink(archive);
  TarWriter writer(sink);
  ASSERT_TRUE(writer.begin(member));
  ASSERT_TRUE(writer.finish());
  const auto members = read();
  ASSERT_TRUE(members) << members.error().message;
  const TreeMember& back = members->at("a");
  EXPECT_EQ(back.uid, member.uid);
  EXPECT_EQ(back.gid, member.gid);
  EXPECT_EQ(back.mode, member.mode);
  EXPECT_EQ(back.owner, member.owner);
  EXPECT_EQ(back.group, member.group);
  EXPECT_EQ(back.modified, member.modified);
  EXPECT_EQ(back.attributes, member.attributes);
}

/// Takes bytes and forgets them, so that sizes beyond all disks can be written.
class HeadOnly final : public Sink {
 public:
  Status write(std::string_view bytes) override {
    if (head.size() < 10'000) head += bytes.substr(0, 10'000 - head.size());
    return {};
  }
  Status finish() override { return {}; }
  std::string head;
};

TEST_F(TarReading, KnowsFilesOfAnySize) {
  TreeMember member;
  member.path = "large";
  member.size = 9ULL << 30;
  HeadOnly sink;
  TarWriter writer(sink);
  ASSERT_TRUE(writer.begin(member));
  ASSERT_TRUE(writer.fill_with_nothing());
  ASSERT_TRUE(writer.finish());
  EXPECT_THAT(sink.head, ::testing::HasSubstr("size=9663676416\n"));
  StringSource source(sink.head);
  TarReader reader(source);
  TreeMember back;
  ASSERT_TRUE(*reader.next(back));
  EXPECT_EQ(back.size, member.size);
  EXPECT_EQ(reader.next(back).error().code, ErrorCode::kDamaged);  // it is not all there
}

TEST_F(TarReading, RefusesPathsThatLeadOut) {
  for (const char* path : {"/a", "../a", "a/..", "a/../b", "a//b", ".", "a/.", "./", "a/"}) EXPECT_FALSE(is_member_path(path)) << path;
  for (const char* path : {"", "a", "...", "a/..b", "a/b..", "\xFF\n"}) EXPECT_TRUE(is_member_path(path)) << path;
  EXPECT_FALSE(is_member_path(std::string_view("a\0", 2)));
  EXPECT_FALSE(is_member_path(std::string(kMaxMemberPathBytes + 1, 'a')));
}

TEST(RestoreJournal, KeepsNamesOfAnyBytes) {
  std::string all;
  for (int byte = 1; byte < 256; ++byte) all += static_cast<char>(byte);
  for (const std::string& name : {all, std::string("-"), std::string(), std::string("%20 a")}) {
    const std::string text = journal_name(name);
    EXPECT_EQ(text.find_first_of(" \n\r\t"), std::string::npos);
    EXPECT_EQ(from_journal_name(text), name);
  }
  EXPECT_FALSE(from_journal_name("a%2"));
  EXPECT_FALSE(from_journal_name("a%zz"));
}

TEST(RestoreJournal, IsReadUpToALineThatWasCutOff) {
  const verbund::testing::ScratchDirectory scratch;
  const fs::path path = scratch.path() / "journal";
  put_file(path, "verbund-restore 1 abc /srv\nplace 0 office Bin Bin Bin_Original 1 2\nstaged 0 1 3\nready\naside 0\ndo");
  const auto record = read_restore_journal(path);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(state_of(*record), RestoreState::kMoving);
  EXPECT_EQ((*record)->placements[0].fresh, (Identity{1, 3}));
  put_file(path, "verbund-restore 1 abc /srv\nplace 1 office Bin Bin Bin_Original 1 2\n");
  EXPECT_EQ(read_restore_journal(path).error().code, ErrorCode::kBadJournal);
  put_file(path, "ready\n");
  EXPECT_EQ(read_restore_journal(path).error().code, ErrorCode::kBadJournal);
}

}  // namespace
}  // namespace verbund::backup
