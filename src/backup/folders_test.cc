#include "backup/folders.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backup/folder_fixture.h"
#include "backup/folder_index.h"
#include "backup/tar_reader.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Folders : ::testing::Test {
  verbund::testing::ScratchDirectory scratch;
  fs::path root = scratch.path() / "root";
  NoProgress progress;

  void SetUp() override { fs::create_directories(root); }
  Result<FolderCounts> check(const Saved& saved) {
    StringSource archive(saved.archive), index(saved.index);
    return check_folder(archive, &index, "", progress);
  }
};

TEST_F(Folders, AreExtractedByGnuTarAsTheyWere) {
  make_odd_tree(root);
  const Saved saved = save(root);
  EXPECT_TRUE(saved.result.findings.complete());
  EXPECT_EQ(extract_with_tar(saved.archive, scratch.path() / "tar"), "");
  EXPECT_EQ(differences(root, scratch.path() / "tar"), "");
}

TEST_F(Folders, KeepTheirHolesInGnuTar) {
  make_odd_tree(root);
  const Saved saved = save(root);
  EXPECT_LT(saved.archive.size(), 5'000'000U);  // of 64 MiB
  EXPECT_EQ(extract_with_tar(saved.archive, scratch.path() / "tar"), "");
  for (const char* name : {"all hole", "begin", "end", "odd end"}) {
    struct stat before{}, after{};
    ASSERT_EQ(::stat((root / "sparse" / name).c_str(), &before), 0);
    ASSERT_EQ(::stat((scratch.path() / "tar/sparse" / name).c_str(), &after), 0);
    EXPECT_LE(after.st_blocks, before.st_blocks + 16) << name;
    EXPECT_EQ(after.st_size, before.st_size) << name;
  }
}

TEST_F(Folders, OfAnyKindComeBackFromGnuTar) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const fs::path tree = scratch.path() / fmt::format("random{}", seed);
    make_random_tree(tree, seed);
    const Saved saved = save(tree);
    EXPECT_EQ(extract_with_tar(saved.archive, tree.native() + ".out"), "") << "seed " << seed;
    EXPECT_EQ(differences(tree, tree.native() + ".out"), "") << "seed " << seed;
    EXPECT_TRUE(check(saved)) << "seed " << seed;
  }
}

TEST_F(Folders, OfEqualContentGiveEqualArchives) {
  make_odd_tree(root);
  const Saved first = save(root);
  EXPECT_EQ(first.archive, save(root).archive);
  // A copy made in another order is read in another order.
  ASSERT_EQ(extract_with_tar(first.archive, scratch.path() / "copy"), "");
  EXPECT_TRUE(first.archive == save(scratch.path() / "copy").archive);
  EXPECT_EQ(first.index, save(scratch.path() / "copy").index);
}

TEST_F(Folders, HoldAgainstTheirIndex) {
  make_odd_tree(root);
  const Saved saved = save(root);
  const auto counts = check(saved);
  ASSERT_TRUE(counts) << counts.error().message;
  EXPECT_EQ(counts->members, saved.result.counts.members);
  EXPECT_EQ(counts->files, saved.result.counts.files);
  EXPECT_EQ(counts->bytes, saved.result.counts.bytes);
  EXPECT_EQ(counts->stored, saved.result.counts.stored);
}

TEST_F(Folders, AreDamagedWhateverBitIsFlipped) {
  put_file(root / "a/b", sample_bytes(1, 3000));
  put_file(root / "c", sample_bytes(2, 700));
  const Saved saved = save(root);
  ASSERT_TRUE(check(saved));
  std::mt19937_64 random(7);
  int missed = 0;
  for (int i = 0; i < 2000; ++i) {
    Saved broken = saved;
    broken.archive[random() % broken.archive.size()] ^= static_cast<char>(1 << random() % 8);
    if (check(broken)) ++missed;
  }
  // Paddings inside records, and owners, are for the hash over the whole file to find.
  EXPECT_LT(missed, 500);
  // What fills the last record up behind the end marks may be missing.
  for (std::size_t bytes = 0; bytes < saved.archive.find_last_not_of('\0') + 1000; bytes += 100) {
    Saved cut = saved;
    cut.archive.resize(bytes);
    EXPECT_FALSE(check(cut)) << bytes;
  }
  for (std::size_t bytes = 0; bytes < saved.index.size(); ++bytes) {
    Saved cut = saved;
    cut.index.resize(bytes);
    EXPECT_FALSE(check(cut)) << bytes;
  }
}

TEST_F(Folders, DeeperThanAPathMayBeAreSaved) {
  fs::path below = root;
  int folder = ::open(root.c_str(), O_RDONLY | O_DIRECTORY);
  const std::string name(200, 'd');
  for (int depth = 0; depth < 150; ++depth) {
    ASSERT_EQ(::mkdirat(folder, name.c_str(), 0755), 0);
    const int next = ::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY);
    ::close(folder);
    folder = next;
  }
  const int file = ::openat(folder, "bottom", O_WRONLY | O_CREAT, 0644);
  ASSERT_EQ(::write(file, "x", 1), 1);
  ::close(file);
  ::close(folder);
  const Saved saved = save(root);
  EXPECT_TRUE(saved.result.findings.complete());
  EXPECT_EQ(saved.result.counts.folders, 151U);
  EXPECT_TRUE(check(saved));
}

TEST_F(Folders, LeaveSocketsOutAndNameThem) {
  const int server = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", (root / "socket").c_str());
  ASSERT_EQ(::bind(server, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const Saved saved = save(root);
  ::close(server);
  EXPECT_THAT(saved.result.findings.left_out.names, ElementsAre("socket (socket)"));
  EXPECT_TRUE(saved.result.findings.complete());
}

TEST_F(Folders, FollowTheTwoLists) {
  for (const char* name : {"M1/Bin/a.exe", "M1/Temp/x.tmp", "M1/Project/p", "Other/y"}) put_file(root / name, name);
  SaveFolderOptions options;
  options.root = root;
  options.lists.saved = {{"\\m1", false, {}}, {"optional:None", false, {}}, {"Gone", false, {}}};
  options.lists.excluded = {{"**/*.TMP", false, {}}};
  options.lists.restored = {{"M1/Bin", false, {}}, {"M1/Clients", false, {}}, {"M1/XUP", true, {}}, {"M1/Old", false, "< 7"}};
  options.lists.letter_case = LetterCase::kIgnored;
  options.version = "11g";
  const Saved saved = save(options);
  EXPECT_THAT(saved.result.findings.missing.names, ElementsAre("Gone", "M1/Clients"));
  EXPECT_FALSE(saved.result.findings.complete());
  StringSource archive(saved.archive);
  TarReader reader(archive);
  TreeMember member;
  std::vector<std::string> paths;
  while (*reader.next(member)) paths.push_back(member.path);
  EXPECT_THAT(paths, ElementsAre("", "M1", "M1/Bin", "M1/Bin/a.exe", "M1/Project", "M1/Project/p", "M1/Temp"));
}

TEST_F(Folders, ThatAreNotThereAreMissing) {
  SaveFolderOptions options;
  options.root = scratch.path() / "nowhere";
  Saved saved = save(options);
  EXPECT_TRUE(saved.result.root_missing);
  EXPECT_EQ(saved.result.findings.missing.count, 1U);
  EXPECT_TRUE(check(saved));
  options.optional = true;
  EXPECT_TRUE(save(options).result.findings.complete());
  options.root = root;
  options.mount_points = {"", "medium"};
  fs::create_directories(root / "medium");
  EXPECT_THAT(save(options).result.findings.missing.names, ElementsAre(". (not mounted)", "medium (not mounted)"));
  options.mount_points.clear();
  options.root = "/proc";
  options.lists.saved = {{"version", false, {}}};
  options.mount_points = {""};
  EXPECT_THAT(save(options).result.findings.missing.names, IsEmpty());
}

/// Does something to the tree once so many bytes of archive were written.
class Meanwhile final : public Sink {
 public:
  Meanwhile(std::string& into, std::function<void()> what) : into_(into), what_(std::move(what)) {}
  Status write(std::string_view bytes) override {
    into_ += bytes;
    if (what_) std::exchange(what_, nullptr)();
    return {};
  }
  Status finish() override { return {}; }

 private:
  std::string& into_;
  std::function<void()> what_;
};

struct ChangingFolders : Folders {
  /// The first write comes while "big" is read: it is larger than the writer's buffer.
  Saved save_while(const std::function<void()>& what) {
    put_file(root / "big", sample_bytes(3, 5'000'000));
    put_file(root / "zz", "behind");
    Saved saved;
    // In a process of its own, as programs that write have one.
    Meanwhile archive(saved.archive, [&] { EXPECT_EQ(in_child([&] { return what(), true; }), 0); });
    StringSink index(saved.index);
    SaveFolderOptions options;
    options.root = root;
    auto result = save_folder(options, archive, &index, progress);
    if (!result) ADD_FAILURE() << result.error().message;
    else saved.result = *result;
    const auto counts = check(saved);
    EXPECT_TRUE(counts) << counts.error().message;
    return saved;
  }
  void append(const char* name) {
    const int file = ::open((root / name).c_str(), O_WRONLY | O_APPEND);
    EXPECT_EQ(::write(file, "more", 4), 4);
    ::close(file);
  }
};

TEST_F(ChangingFolders, NameAFileThatGrew) {
  EXPECT_THAT(save_while([&] { append("big"); }).result.findings.changed.names, ElementsAre("big"));
}

TEST_F(ChangingFolders, NameAFileThatBecameShorter) {
  const Saved saved = save_while([&] { fs::resize_file(root / "big", 2'000'000); });
  EXPECT_THAT(saved.result.findings.changed.names, ElementsAre("big (became shorter)"));
}

TEST_F(ChangingFolders, NameAFileThatChangedInPlaceAndHidIt) {
  const auto names = save_while([&] {
    struct stat before{};
    ::stat((root / "big").c_str(), &before);
    const int file = ::open((root / "big").c_str(), O_WRONLY);
    EXPECT_EQ(::pwrite(file, "!", 1, 4'000'000), 1);
    ::close(file);
    set_time(root / "big", before.st_mtim.tv_sec, before.st_mtim.tv_nsec);
  });
  EXPECT_THAT(names.result.findings.changed.names, ElementsAre("big"));
}

TEST_F(ChangingFolders, NameAFileThatWasReplaced) {
  const Saved saved = save_while([&] {
    put_file(root / "new", "x");
    fs::rename(root / "new", root / "big");
  });
  EXPECT_THAT(saved.result.findings.changed.names, ElementsAre("big", ". (names came or went)"));
}

TEST_F(ChangingFolders, NameAFileThatVanished) {
  const Saved saved = save_while([&] { fs::remove(root / "zz"); });
  EXPECT_THAT(saved.result.findings.changed.names, ElementsAre("zz (vanished)", ". (names came or went)"));
  EXPECT_FALSE(saved.result.findings.complete());
}

TEST_F(ChangingFolders, NeverFollowALinkThatTookAPlace) {
  put_file(scratch.path() / "secret/file", "not to be seen");
  put_file(root / "zf/file", "x");
  const Saved saved = save_while([&] {
    fs::remove(root / "zz");
    fs::create_symlink(scratch.path() / "secret/file", root / "zz");
    fs::remove_all(root / "zf");
    fs::create_symlink(scratch.path() / "secret", root / "zf");
  });
  EXPECT_EQ(saved.archive.find("not to be seen"), std::string::npos);
  EXPECT_FALSE(saved.result.findings.complete());
}

TEST_F(Folders, NameWhatCannotBeRead) {
  put_file(root / "closed/file", "x");
  put_file(root / "secret", "x");
  put_file(root / "open", "x");
  fs::permissions(root / "closed", fs::perms::none);
  fs::permissions(root / "secret", fs::perms::none);
  fs::permissions(scratch.path(), fs::perms::all);
  const int code = in_child([&] {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return false;
    const Saved saved = save(root);
    return saved.result.findings.unreadable.names == std::vector<std::string>{"closed (Permission denied)", "secret (Permission denied)"} &&
           saved.result.counts.files == 1 && !saved.result.findings.complete();
  });
  EXPECT_EQ(code, 0);
  fs::permissions(root / "closed", fs::perms::all);
}

TEST_F(Folders, AreMeasuredWithoutReading) {
  make_odd_tree(root);
  SaveFolderOptions options;
  options.root = root;
  const auto measured = measure_folder(options, progress);
  ASSERT_TRUE(measured);
  EXPECT_EQ(measured->counts.members, save(root).result.counts.members);
}

TEST_F(Folders, StayWithinMemoryWhateverTheirSize) {
  for (int i = 0; i < 3000; ++i) put_file(root / fmt::format("{}/{}", i % 30, i), "x");
  put_file(root / "large", sample_bytes(5, 30'000'000));
  class Nowhere final : public Sink {
    Status write(std::string_view) override { return {}; }
    Status finish() override { return {}; }
  };
  const int code = in_child([&] {
    rusage before{}, after{};
    ::getrusage(RUSAGE_SELF, &before);
    Nowhere archive, index;
    SaveFolderOptions options;
    options.root = root;
    const bool saved = save_folder(options, archive, &index, progress).has_value();
    ::getrusage(RUSAGE_SELF, &after);
    return saved && after.ru_maxrss - before.ru_maxrss < 20'000;
  });
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace verbund::backup
