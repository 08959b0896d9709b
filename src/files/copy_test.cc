#include "files/copy.h"

#include <fstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "testing/scratch_directory.h"

namespace verbund::files {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Production's folder and the mirror's copy, on one machine.
class Folders : public ::testing::Test {
 protected:
  void write(const std::string& path, std::string_view text) {
    fs::create_directories((source() / path).parent_path());
    std::ofstream(source() / path, std::ios::binary) << text;
  }
  /// Whole files; "": it is not there.
  std::string copied(const std::string& path) const { return os::read_file(copy_.tree() / path).value_or(""); }
  std::vector<Entry> missing() {
    auto listing = list_tree(source());
    EXPECT_TRUE(listing) << listing.error().message;
    auto wanted = copy_.prepare(*listing, clock_);
    EXPECT_TRUE(wanted) << wanted.error().message;
    return wanted.value_or(std::vector<Entry>{});
  }
  Status fetch(const Entry& entry, std::size_t piece = 3) {
    for (auto at = copy_.begun(entry); at < entry.bytes;) {
      auto bytes = read_piece(source(), entry, at, piece);
      if (!bytes) return pass(bytes);
      if (auto added = copy_.append(entry, *bytes); !added) return added;
      at += bytes->size();
    }
    return copy_.finish(entry);
  }
  void bring_up() {
    for (const auto& entry : missing()) {
      const auto done = fetch(entry);
      EXPECT_TRUE(done) << done.error().message;
    }
  }
  std::vector<std::string> paths(const std::vector<Entry>& entries) {
    std::vector<std::string> found;
    for (const auto& entry : entries) found.push_back(entry.path);
    return found;
  }
  fs::path source() const { return scratch_.path() / "dokumente"; }
  fs::path folder() const { return scratch_.path() / "copy"; }

  os::SystemClock clock_;
  verbund::testing::ScratchDirectory scratch_;
  Copy copy_{folder()};
};

TEST_F(Folders, AreCopiedWithTheirNamesTimesAndRights) {
  write("Müller/Arztbrief ä.txt", "Sehr geehrte Frau Kollegin");
  write("leer.txt", "");
  fs::create_directories(source() / "ohne Inhalt");
  ::chmod((source() / "leer.txt").c_str(), 0640);
  bring_up();
  EXPECT_EQ(copied("Müller/Arztbrief ä.txt"), "Sehr geehrte Frau Kollegin");
  EXPECT_TRUE(fs::is_directory(copy_.tree() / "ohne Inhalt"));
  EXPECT_EQ(fs::file_size(copy_.tree() / "leer.txt"), 0U);
  struct stat status {};
  ASSERT_EQ(::stat((copy_.tree() / "leer.txt").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0640U);
  EXPECT_EQ(fs::last_write_time(copy_.tree() / "leer.txt"), fs::last_write_time(source() / "leer.txt"));
  EXPECT_THAT(missing(), IsEmpty()) << "what is here is not fetched again";
  Copy after_a_restart(folder());
  EXPECT_THAT(after_a_restart.prepare(*list_tree(source()), clock_).value(), IsEmpty());
}

TEST_F(Folders, AChangedFileIsNeverHalfHere) {
  write("brief.txt", "the first version");
  bring_up();
  write("brief.txt", "the second, longer version");
  const auto wanted = missing();
  ASSERT_THAT(paths(wanted), ElementsAre("brief.txt"));
  ASSERT_TRUE(copy_.append(wanted[0], "the sec"));
  EXPECT_EQ(copied("brief.txt"), "the first version");
  Copy after_a_kill(folder());
  EXPECT_EQ(after_a_kill.begun(wanted[0]), 7U) << "it goes on where it was";
  ASSERT_TRUE(fetch(wanted[0]));
  EXPECT_EQ(copied("brief.txt"), "the second, longer version");
}

TEST_F(Folders, AFileOfTheSameSizeAndTimeIsFetchedWhenItsContentChanged) {
  write("brief.txt", "aaaa");
  bring_up();
  const auto time = fs::last_write_time(source() / "brief.txt");
  write("brief.txt", "bbbb");
  fs::last_write_time(source() / "brief.txt", time);
  bring_up();
  EXPECT_EQ(copied("brief.txt"), "bbbb");
}

TEST_F(Folders, AFileThatChangesWhileItIsReadIsLeftForTheNextRound) {
  write("brief.txt", "0123456789");
  const auto wanted = missing();
  ASSERT_EQ(wanted.size(), 1U);
  ASSERT_TRUE(copy_.append(wanted[0], *read_piece(source(), wanted[0], 0, 4)));
  write("brief.txt", "9876543210!");
  EXPECT_EQ(read_piece(source(), wanted[0], 4, 4).error().code, ErrorCode::kNotFound);
  bring_up();
  EXPECT_EQ(copied("brief.txt"), "9876543210!") << "nothing of the older one is in it";
}

TEST_F(Folders, WhatIsDeletedThereIsKeptAsideForAWhile) {
  write("alt/brief.txt", "weg");
  write("bleibt.txt", "da");
  bring_up();
  fs::remove_all(source() / "alt");
  bring_up();
  EXPECT_FALSE(fs::exists(copy_.tree() / "alt"));
  const auto day = to_iso8601(clock_.wall()).substr(0, 10);
  EXPECT_EQ(os::read_file(folder() / "before" / day / "alt" / "brief.txt").value_or(""), "weg");
  fs::rename(folder() / "before" / day, folder() / "before" / "2020-01-01");
  ASSERT_TRUE(copy_.forget_old({}, std::chrono::days{7}, clock_));
  EXPECT_THAT(fs::exists(folder() / "before" / "2020-01-01"), false);
}

TEST_F(Folders, AFileBecomesAFolderAndBack) {
  write("was", "a file");
  bring_up();
  fs::remove(source() / "was");
  write("was/drin.txt", "in it");
  bring_up();
  EXPECT_EQ(copied("was/drin.txt"), "in it");
  fs::remove_all(source() / "was");
  write("was", "a file again");
  bring_up();
  EXPECT_EQ(copied("was"), "a file again");
}

// A medium that is not mounted looks like a folder from which all was deleted.
TEST_F(Folders, AnEmptyFolderThereDeletesNothingHere) {
  write("brief.txt", "wichtig");
  bring_up();
  fs::remove(source() / "brief.txt");
  const auto refused = copy_.prepare(*list_tree(source()), clock_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(copied("brief.txt"), "wichtig");
  fs::remove_all(source());
  EXPECT_EQ(list_tree(source()).error().code, ErrorCode::kNotFound);
}

TEST_F(Folders, LinksAndSpecialFilesAreToldAndNeverFollowed) {
  write("brief.txt", "da");
  fs::create_symlink("/etc", source() / "etc");
  ASSERT_EQ(::mkfifo((source() / "pipe").c_str(), 0600), 0);
  const auto listing = list_tree(source());
  ASSERT_TRUE(listing);
  EXPECT_THAT(paths(listing->entries), ElementsAre("brief.txt"));
  EXPECT_EQ(listing->skipped_total, 2U);
  EXPECT_THAT(listing->skipped, ::testing::UnorderedElementsAre(HasSubstr("etc"), HasSubstr("pipe")));
  Entry through{.path = "etc/passwd", .directory = false, .bytes = 10, .modified_ns = 0, .changed_ns = 0, .mode = 0600};
  EXPECT_FALSE(read_piece(source(), through, 0, 10)) << "a link above the file is no way out";
  // Nor on this side: a link that lies in the copy.
  bring_up();
  fs::create_directory_symlink(scratch_.path(), copy_.tree() / "out");
  Entry inside{.path = "out/evil", .directory = false, .bytes = 0, .modified_ns = 0, .changed_ns = 0, .mode = 0600};
  EXPECT_FALSE(copy_.finish(inside));
  EXPECT_FALSE(fs::exists(scratch_.path() / "evil"));
}

TEST_F(Folders, APathFromElsewhereStaysBelowItsFolder) {
  for (const char* bad : {"", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a/.", "\xff"}) EXPECT_FALSE(check_path(bad)) << bad;
  EXPECT_FALSE(check_path(std::string_view("a\0b", 3)));
  EXPECT_FALSE(check_path(std::string(300, 'x')));
  for (const char* good : {"a", "a/b", "..a", "Müller/Brief 1.txt", "…"}) EXPECT_TRUE(check_path(good)) << good;
  Listing evil;
  evil.entries = {{.path = "../evil", .directory = true, .bytes = 0, .modified_ns = 0, .changed_ns = 0, .mode = 0700}};
  EXPECT_FALSE(copy_.prepare(evil, clock_));
  EXPECT_FALSE(fs::exists(scratch_.path() / "evil"));
}

TEST_F(Folders, APartOfAnotherLengthIsNoFile) {
  write("brief.txt", "0123");
  const auto wanted = missing();
  ASSERT_TRUE(copy_.append(wanted[0], "01"));
  EXPECT_EQ(copy_.finish(wanted[0]).error().code, ErrorCode::kDamaged);
  EXPECT_EQ(copied("brief.txt"), "");
  EXPECT_EQ(copy_.begun(wanted[0]), 0U) << "it begins anew";
}

}  // namespace
}  // namespace verbund::files
