#include "platform/os/file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/os/scratch_directory.h"

namespace verbund::os {
namespace {

struct File : testing::Test {
  ScratchDirectory scratch;
};

unsigned mode_of(const std::filesystem::path& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

TEST_F(File, WritesAtomicallyWithTheModeAskedFor) {
  const auto path = scratch.path() / "secret";
  ASSERT_TRUE(write_file_atomically(path, "one", 0600));
  ASSERT_TRUE(write_file_atomically(path, "two", 0644));
  EXPECT_EQ(read_file(path).value(), "two");
  EXPECT_EQ(mode_of(path), 0644U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1) << "something is left beside it";
}

TEST_F(File, KeepsTheOldContentWhenTheNewCannotBeWritten) {
  EXPECT_EQ(write_file_atomically(scratch.path() / "missing" / "file", "x").error().code, ErrorCode::kIo);
  std::filesystem::create_directories(scratch.path() / "taken" / "inside");
  EXPECT_FALSE(write_file_atomically(scratch.path() / "taken", "x"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1);
}

TEST_F(File, ReadsOnlyUpToTheLimit) {
  const auto path = scratch.path() / "file";
  ASSERT_TRUE(write_file_atomically(path, "12345"));
  EXPECT_EQ(read_file(path, 5).value(), "12345");
  EXPECT_EQ(read_file(path, 4).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(read_file(scratch.path() / "none").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_file(scratch.path()).error().code, ErrorCode::kIo);
}

TEST_F(File, MakesMissingDirectoriesWithTheirMode) {
  const auto path = scratch.path() / "a" / "b" / "";
  ASSERT_TRUE(make_directories(path, 0700));
  ASSERT_TRUE(make_directories(path, 0700));
  EXPECT_EQ(mode_of(scratch.path() / "a" / "b"), 0700U);
  ASSERT_TRUE(write_file_atomically(scratch.path() / "file", ""));
  EXPECT_EQ(make_directories(scratch.path() / "file" / "c").error().code, ErrorCode::kIo);
  EXPECT_GT(free_bytes(path).value(), 0U);
}

TEST_F(File, LockNamesItsHolderAndEndsWithIt) {
  const auto path = scratch.path() / "lock";
  {
    const auto lock = FileLock::acquire(path, "verbund node, pid 7");
    ASSERT_TRUE(lock);
    const auto second = FileLock::acquire(path, "x");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kInUse);
    EXPECT_NE(second.error().message.find("held by verbund node, pid 7"), std::string::npos) << second.error().message;
    EXPECT_TRUE(FileLock::held(path));
  }
  EXPECT_FALSE(FileLock::held(path));
  EXPECT_FALSE(FileLock::held(scratch.path() / "nothing"));
  EXPECT_TRUE(FileLock::acquire(path, "next"));
}

// A node killed while it started PostgreSQL: the child between fork and exec still had the lock's descriptor, and the agent
// that was started at once was refused.
TEST_F(File, LockOfADeadHolderIsWaitedFor) {
  const auto path = scratch.path() / "lock";
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const int holder = ::fork();
  if (holder == 0) {
    const auto lock = FileLock::acquire(path, fmt::format("process {}", ::getpid()));
    if (::fork() == 0) {
      const int parent = ::getppid();
      const char taken = lock ? 'y' : 'n';
      if (::write(ready[1], &taken, 1) != 1) ::_exit(1);
      // Lives on with its copy: longer than its parent, and then as long as fork and exec may lie apart on a busy machine.
      while (::getppid() == parent) ::usleep(1'000);
      ::usleep(100'000);
      ::_exit(0);
    }
    for (;;) ::pause();
  }
  char taken = 'n';
  ASSERT_EQ(::read(ready[0], &taken, 1), 1);
  ASSERT_EQ(taken, 'y');
  EXPECT_EQ(FileLock::acquire(path, "x").error().code, ErrorCode::kInUse) << "it lives";
  ASSERT_EQ(::kill(holder, SIGKILL), 0);
  ASSERT_EQ(::waitpid(holder, nullptr, 0), holder);
  EXPECT_TRUE(FileLock::acquire(path, "next"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(File, AppendsLinesAndRemovesATornOne) {
  const auto path = scratch.path() / "journal";
  {
    auto file = AppendFile::open(path);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->append("one"));
    EXPECT_EQ(file->append("two\nthree").error().code, ErrorCode::kInternal);
  }
  EXPECT_EQ(mode_of(path), 0600U);
  ASSERT_TRUE(write_file_atomically(path, "one\n" + std::string(10000, 'x')));
  auto file = AppendFile::open(path);
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->append("two"));
  EXPECT_EQ(read_file(path).value(), "one\ntwo\n");
}

TEST_F(File, SaysThatTheDiskIsFull) {
  auto full = AppendFile::open("/dev/full");
  if (!full) GTEST_SKIP() << "no /dev/full here";
  EXPECT_EQ(full->append("line").error().code, ErrorCode::kDiskFull);
}

}  // namespace
}  // namespace verbund::os
