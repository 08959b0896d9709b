#include "backup/folder_restore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/folder_fixture.h"
#include "backup/stock_program_fixture.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Folders that were only gone through have new times; what they hold counts.
std::string without_times(const fs::path& left, const fs::path& right) {
  return run_program({"rsync", "-aAXHnciO", "--delete", left.native() + "/", right.native() + "/"}).output;
}

struct FolderRestore : ::testing::Test {
  verbund::testing::ScratchDirectory scratch;
  fs::path root = scratch.path() / "saved", into = scratch.path() / "office", journal = scratch.path() / "journal";
  NoProgress progress;
  Saved saved;
  RestoreFolderOptions options;

  void SetUp() override {
    fs::create_directories(root);
    options.into = into;
    options.journal = journal;
    options.wanted = PathSet::everything();
    options.allow_set_id = true;
  }
  static OpenSource opener(const std::string& text) {
    return [&text]() -> Result<std::unique_ptr<Source>> { return std::make_unique<StringSource>(text); };
  }
  Result<RestoredFolder> restore(bool with_index = true) {
    return restore_folder(options, opener(saved.archive), with_index ? opener(saved.index) : OpenSource(), progress);
  }
  RestoredFolder restored(bool with_index = true) {
    auto result = restore(with_index);
    if (!result) ADD_FAILURE() << result.error().message;
    return result ? *result : RestoredFolder();
  }
  void want(std::vector<ListEntry> entries, LetterCase letter_case = LetterCase::kExact) {
    options.wanted = *PathSet::compile(entries, "1", letter_case);
  }
  void make_practice() {
    for (const char* name : {"M1/Bin/a.exe", "M1/Bin/deep/b.dll", "M1/Project/p", "M1/Temp/t", "ifap/x.adt", "ifap/x.adi"}) put_file(root / name, std::string("saved ") + name);
    set_time(root / "M1/Bin/a.exe", 1'400'000'000, 7);
    set_time(root / "M1/Bin", 1'400'000'001, 8);
    saved = save(root);
    for (const char* name : {"M1/Bin/a.exe", "M1/Bin/newer.exe", "M1/Keep/k", "ifap/x.adt"}) put_file(into / name, std::string("there ") + name);
  }
  /// Equal trees, and nothing left of the restore.
  void copy_to(const fs::path& to) const {
    EXPECT_EQ(run_program({"rsync", "-aAXH", "--modify-window=-1", into.native() + "/", to.native() + "/"}).exit_code, 0);
  }
};

TEST_F(FolderRestore, BringsATreeBackAsItWas) {
  make_odd_tree(root);
  saved = save(root);
  for (const bool with_index : {true, false}) {
    const auto result = restored(with_index);
    EXPECT_EQ(differences(root, into), "");
    EXPECT_THAT(result.not_set.names, IsEmpty());
    EXPECT_EQ(result.counts.members, saved.result.counts.members);
    EXPECT_EQ(result.counts.bytes, saved.result.counts.bytes);
    EXPECT_EQ(*restore_state(journal), RestoreState::kNone);
    fs::remove_all(into);
  }
}

TEST_F(FolderRestore, BringsAnyTreeBack) {
  for (std::uint64_t seed = 100; seed < 112; ++seed) {
    root = scratch.path() / fmt::format("random{}", seed);
    make_random_tree(root, seed);
    saved = save(root);
    options.into = into = root.native() + ".out";
    restored();
    EXPECT_EQ(differences(root, into), "") << "seed " << seed;
  }
}

TEST_F(FolderRestore, KeepsHoles) {
  make_odd_tree(root);
  saved = save(root);
  restored();
  struct stat status{};
  ASSERT_EQ(::stat((into / "sparse/end").c_str(), &status), 0);
  EXPECT_LT(status.st_blocks, 1000);
}

TEST_F(FolderRestore, SetsAsideWhatIsThereAndNeverMixes) {
  make_practice();
  want({{"M1/Bin", false, {}}, {"ifap/*.adt", false, {}}});
  EXPECT_THAT(restored().placed, ::testing::UnorderedElementsAre(Placed{"M1/Bin", "Bin_Original"}, Placed{"ifap/x.adt", "x.adt_Original"}));
  EXPECT_EQ(differences(root / "M1/Bin", into / "M1/Bin"), "");
  EXPECT_EQ(file_text(into / "M1/Bin_Original/newer.exe"), "there M1/Bin/newer.exe");
  EXPECT_FALSE(fs::exists(into / "M1/Bin/newer.exe"));
  EXPECT_EQ(file_text(into / "ifap/x.adt"), "saved ifap/x.adt");
  EXPECT_EQ(file_text(into / "M1/Keep/k"), "there M1/Keep/k");
  EXPECT_FALSE(fs::exists(into / "M1/Project"));
  EXPECT_FALSE(fs::exists(into / "ifap/x.adi"));
  EXPECT_THAT(restored().placed, ::testing::UnorderedElementsAre(Placed{"M1/Bin", "Bin_Original_2"}, Placed{"ifap/x.adt", "x.adt_Original_2"}));
  EXPECT_EQ(std::distance(fs::directory_iterator(into / "M1"), {}), 4);
}

TEST_F(FolderRestore, MakesFoldersThatAreNotThere) {
  make_practice();
  fs::remove_all(into);
  want({{"M1/Bin", false, {}}, {"M1/Project", false, {}}});
  EXPECT_THAT(restored().placed, ElementsAre(Placed{"", ""}));
  EXPECT_EQ(differences(root / "M1/Bin", into / "M1/Bin"), "");
  EXPECT_FALSE(fs::exists(into / "M1/Temp"));
  fs::remove_all(into / "M1");
  EXPECT_THAT(restored().placed, ElementsAre(Placed{"M1", ""}));
  EXPECT_EQ(file_text(into / "M1/Project/p"), "saved M1/Project/p");
}

TEST_F(FolderRestore, RefusesBeforeAnythingIsTouchedWhatTheSetDoesNotHave) {
  make_practice();
  copy_to(scratch.path() / "before");
  want({{"M1/Bin", false, {}}, {"M1/Clients", false, {}}, {"M1/XUP", true, {}}});
  const auto refused = restore();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(refused.error().message, HasSubstr("M1/Clients"));
  EXPECT_EQ(differences(scratch.path() / "before", into), "");
  options.allow_missing = true;
  EXPECT_THAT(restored().missing.names, ElementsAre("M1/Clients", "M1/XUP (optional)"));
  EXPECT_TRUE(fs::exists(into / "M1/Bin_Original"));
}

TEST_F(FolderRestore, PlansWithoutTouchingAnything) {
  make_practice();
  copy_to(scratch.path() / "before");
  want({{"M1/Bin", false, {}}});
  const auto plan = plan_restore_folder(options, opener(saved.archive), opener(saved.index));
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->placed, ElementsAre(Placed{"M1/Bin", "Bin_Original"}));
  EXPECT_EQ(plan->counts.files, 2U);
  EXPECT_EQ(differences(scratch.path() / "before", into), "");
  EXPECT_FALSE(fs::exists(journal));
}

TEST_F(FolderRestore, TakesSingleFiles) {
  make_practice();
  const std::vector<std::string> paths{"M1/Bin/deep/b.dll"};
  options.wanted = PathSet::literal(paths, LetterCase::kExact);
  EXPECT_THAT(restored().placed, ElementsAre(Placed{"M1/Bin/deep", ""}));
  EXPECT_EQ(file_text(into / "M1/Bin/deep/b.dll"), "saved M1/Bin/deep/b.dll");
  EXPECT_EQ(file_text(into / "M1/Bin/newer.exe"), "there M1/Bin/newer.exe");
  EXPECT_THAT(restored().placed, ElementsAre(Placed{"M1/Bin/deep/b.dll", "b.dll_Original"}));
}

TEST_F(FolderRestore, SetsAsideWhatIsTheSameButForItsLetterCase) {
  make_practice();
  fs::rename(into / "M1", into / "m1");
  fs::rename(into / "m1/Bin", into / "m1/BIN");
  want({{"\\m1\\bin", false, {}}}, LetterCase::kIgnored);
  restored();
  EXPECT_EQ(file_text(into / "m1/Bin/a.exe"), "saved M1/Bin/a.exe");
  EXPECT_EQ(file_text(into / "m1/BIN_Original/newer.exe"), "there M1/Bin/newer.exe");
  EXPECT_FALSE(fs::exists(into / "m1/BIN"));
}

TEST_F(FolderRestore, BringsTheContentOfALinkWhoseFirstNameIsNotInTheList) {
  put_file(root / "a/first", "content");
  fs::create_directories(root / "b");
  fs::create_hard_link(root / "a/first", root / "b/second");
  fs::create_hard_link(root / "a/first", root / "b/third");
  saved = save(root);
  want({{"b", false, {}}});
  restored();
  EXPECT_EQ(file_text(into / "b/second"), "content");
  EXPECT_EQ(fs::hard_link_count(into / "b/third"), 2U);
  EXPECT_FALSE(fs::exists(into / "a"));
}

TEST_F(FolderRestore, TakesAwaySetUserIdUnlessAskedFor) {
  put_file(root / "tool", "x");
  ::chmod((root / "tool").c_str(), 04755);
  saved = save(root);
  options.allow_set_id = false;
  EXPECT_THAT(restored().not_set.names, ElementsAre("tool (set-user-ID)"));
  struct stat status{};
  ::stat((into / "tool").c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0755U);
}

TEST_F(FolderRestore, NamesWhatAnOrdinaryUserCannotSet) {
  put_file(root / "mine", "x");
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to begin with";
  ASSERT_EQ(::chown((root / "mine").c_str(), 12345, 12345), 0);
  saved = save(root);
  fs::permissions(scratch.path(), fs::perms::all);
  EXPECT_EQ(in_child([&] {
              if (::setgid(65534) != 0 || ::setuid(65534) != 0) return false;
              const auto result = restore();
              return result && result->not_set.count == 2 && file_text(into / "mine") == "x";  // the root and the file
            }),
            0);
}

TEST_F(FolderRestore, NeedsAPlaceForItsJournalOutside) {
  make_practice();
  options.journal = into / "journal";
  EXPECT_EQ(restore().error().code, ErrorCode::kBadConfig);
  options.into = scratch.path() / "no/such/place";
  options.journal = journal;
  EXPECT_EQ(restore().error().code, ErrorCode::kNotFound);
}

TEST_F(FolderRestore, DoesNotGoThroughLinksInThePlace) {
  make_practice();
  fs::create_directories(scratch.path() / "outside/Bin");
  fs::remove_all(into / "M1");
  fs::create_symlink(scratch.path() / "outside", into / "M1");
  want({{"M1/Bin", false, {}}});
  const auto refused = restore();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kForbidden);
  EXPECT_TRUE(fs::is_empty(scratch.path() / "outside/Bin"));
}

/// File systems of a size of their own; needs root.
struct MountedFolder {
  explicit MountedFolder(const fs::path& path, const std::string& size) : path_(path) {
    fs::create_directories(path);
    mounted_ = run_program({"mount", "-t", "tmpfs", "-o", size, "tmpfs", path.native()}).exit_code == 0;
  }
  MountedFolder(const MountedFolder&) = delete;
  MountedFolder& operator=(const MountedFolder&) = delete;
  ~MountedFolder() {
    if (mounted_) run_program({"umount", path_.native()});
  }
  explicit operator bool() const { return mounted_; }

 private:
  fs::path path_;
  bool mounted_ = false;
};

TEST_F(FolderRestore, LeavesTheOldStateWhenTheDiskIsFull) {
  make_practice();
  const MountedFolder small(scratch.path() / "small", "size=64m,nr_inodes=14");
  if (!small) GTEST_SKIP() << "no tmpfs can be mounted here";
  options.into = into = scratch.path() / "small/office";
  put_file(into / "M1/Bin/a.exe", "there");
  copy_to(scratch.path() / "before");
  const auto failed = restore();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kDiskFull) << failed.error().message;
  EXPECT_EQ(differences(scratch.path() / "before", into), "");
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path() / "small"), {}), 1);
  EXPECT_EQ(*restore_state(journal), RestoreState::kNone);
}

TEST_F(FolderRestore, LeavesTheOldStateWhenItIsGivenUp) {
  make_practice();
  copy_to(scratch.path() / "before");
  class Impatient final : public Progress {
   public:
    void moved(std::string_view, std::uint64_t, std::uint64_t) override { ++calls; }
    [[nodiscard]] bool cancelled() const override { return calls > 5; }
    int calls = 0;
  } impatient;
  EXPECT_EQ(restore_folder(options, opener(saved.archive), {}, impatient).error().code, ErrorCode::kCancelled);
  EXPECT_EQ(without_times(scratch.path() / "before", into), "");
  std::string nothing;
  StringSink sink(nothing);
  SaveFolderOptions saving;
  saving.root = root;
  EXPECT_EQ(save_folder(saving, sink, nullptr, impatient).error().code, ErrorCode::kCancelled);
}

TEST_F(FolderRestore, LooksAtTheSpaceBefore) {
  put_file(root / "big", sample_bytes(1, 3'000'000));
  saved = save(root);
  const MountedFolder small(scratch.path() / "small", "size=2m");
  if (!small) GTEST_SKIP() << "no tmpfs can be mounted here";
  options.into = scratch.path() / "small/office";
  const auto refused = restore();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kDiskFull);
  EXPECT_THAT(refused.error().message, HasSubstr("are needed"));
  EXPECT_FALSE(fs::exists(journal));
}

TEST_F(FolderRestore, RefusesToRenameAMountPoint) {
  make_practice();
  const MountedFolder mounted(into / "M1/Bin", "size=2m");
  if (!mounted) GTEST_SKIP() << "no tmpfs can be mounted here";
  want({{"M1/Bin", false, {}}});
  EXPECT_EQ(restore().error().code, ErrorCode::kUnsupported);
}

/// A restore of two folders and a file over what is there, killed at chosen steps.
struct KilledRestore : FolderRestore {
  fs::path old_state = scratch.path() / "old", new_state = scratch.path() / "new";

  void SetUp() override {
    FolderRestore::SetUp();
    make_practice();
    want({{"M1/Bin", false, {}}, {"M1/Project", false, {}}, {"ifap/*", false, {}}});
    copy_to(old_state);
    int steps = 0;
    options.on_step = [&] { ++steps; };
    restored();
    all_steps = steps;
    copy_to(new_state);
    reset();
  }
  void reset() {
    fs::remove_all(into);
    fs::remove_all(journal);
    EXPECT_EQ(run_program({"rsync", "-aAXH", "--modify-window=-1", old_state.native() + "/", into.native() + "/"}).exit_code, 0);
  }
  /// Dies before step `number`.
  static std::function<void()> killer(int number) {
    return [number, step = 0]() mutable {
      if (step++ == number) ::kill(::getpid(), SIGKILL);
    };
  }
  void die_at(int step) {
    options.on_step = killer(step);
    EXPECT_EQ(in_child([&] { return restore().has_value(); }), 128 + SIGKILL) << step;
  }
  int all_steps = 0;
};

TEST_F(KilledRestore, EndsOldWhenRolledBack) {
  for (int step = 0; step < all_steps; ++step) {
    reset();
    die_at(step);
    const auto before = restore_state(journal);
    ASSERT_TRUE(before);
    const auto back = roll_back_restore(journal);
    if (*before == RestoreState::kCleaningUp) {
      EXPECT_EQ(back.error().code, ErrorCode::kUnsupported);
      EXPECT_TRUE(resume_restore(journal));
      EXPECT_EQ(without_times(new_state, into), "") << "step " << step;
    } else {
      EXPECT_TRUE(back) << back.error().message;
      EXPECT_EQ(without_times(old_state, into), "") << "step " << step;
    }
    EXPECT_EQ(*restore_state(journal), RestoreState::kNone);
  }
}

TEST_F(KilledRestore, EndsNewWhenResumed) {
  int resumed = 0;
  for (int step = 0; step < all_steps; ++step) {
    reset();
    die_at(step);
    const auto before = restore_state(journal);
    const auto done = resume_restore(journal);
    if (*before == RestoreState::kUnpacking) {
      EXPECT_EQ(done.error().code, ErrorCode::kUnsupported);
      EXPECT_EQ(restore().error().code, ErrorCode::kInUse);
      EXPECT_TRUE(roll_back_restore(journal));
    }
    const bool old = *before == RestoreState::kUnpacking || *before == RestoreState::kNone;
    resumed += old ? 0 : 1;
    EXPECT_EQ(without_times(old ? old_state : new_state, into), "") << "step " << step;
    EXPECT_EQ(*restore_state(journal), RestoreState::kNone);
  }
  EXPECT_GT(resumed, 8);
}

TEST_F(KilledRestore, EndsWellHoweverOftenItIsKilled) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    reset();
    die_at(static_cast<int>(random() % static_cast<std::uint64_t>(all_steps)));
    for (int again = 0; again < 50 && *restore_state(journal) != RestoreState::kNone; ++again) {
      const auto now = *restore_state(journal);
      const bool forward = now == RestoreState::kCleaningUp || (now == RestoreState::kMoving && random() % 2 == 0);
      const auto hook = killer(static_cast<int>(random() % 6));
      in_child([&] { return (forward ? resume_restore(journal, hook) : roll_back_restore(journal, hook)).has_value(); });
    }
    EXPECT_EQ(*restore_state(journal), RestoreState::kNone) << "seed " << seed;
    const bool ended = without_times(old_state, into).empty() || without_times(new_state, into).empty();
    EXPECT_TRUE(ended) << "seed " << seed << "\n" << without_times(old_state, into);
  }
}

TEST_F(KilledRestore, NeverOverwritesWhatSomebodyPutThereMeanwhile) {
  for (int step = 0; step < all_steps; ++step) {
    reset();
    die_at(step);
    if (fs::exists(into / "M1/Bin") || *restore_state(journal) != RestoreState::kMoving) continue;
    put_file(into / "M1/Bin/mine", "made by a program that was not stopped");
    EXPECT_EQ(resume_restore(journal).error().code, ErrorCode::kAlreadyExists);
    EXPECT_EQ(roll_back_restore(journal).error().code, ErrorCode::kAlreadyExists);
    EXPECT_EQ(file_text(into / "M1/Bin/mine"), "made by a program that was not stopped");
    fs::remove_all(into / "M1/Bin");
    EXPECT_TRUE(roll_back_restore(journal));
    EXPECT_EQ(without_times(old_state, into), "");
    return;
  }
  FAIL() << "no step found the place empty";
}

}  // namespace
}  // namespace verbund::backup
