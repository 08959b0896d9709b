// A writer that is killed before any of its system calls leaves a whole set or something that the next run removes.
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "backup/set_scene.h"

namespace verbund::backup {
namespace {

class Killed : public SetScene {
 protected:
  /// A child writes a set; it is killed at its `limit`th stop (before or after a system call). False: it ended before.
  bool killed_at(long limit) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      ::raise(SIGSTOP);
      ::_exit(write_set(1, Sealing::kSealed).has_value() ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    for (long stop = 0; WIFSTOPPED(status); ++stop) {
      if (stop == limit) ::kill(child, SIGKILL);
      else ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
      ::waitpid(child, &status, 0);
    }
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
    }
    return WIFSIGNALED(status);
  }
};

TEST_F(Killed, BeforeAnySystemCallLeavesASetOrNothing) {
  zstd_threads_ = 0;  // the tracer sees one thread
  contents_ = {{"db/praxis.dump", sample_bytes(1, 60'000)}, {"folders/m1.tar", "x"}};
  long stop = 0;
  int whole = 0, nothing = 0;
  for (; killed_at(stop); stop += 3) {
    const auto found = find_sets(target(), trusted());
    ASSERT_TRUE(found.has_value());
    EXPECT_TRUE(found->ignored.empty()) << found->ignored[0].first << found->ignored[0].second;
    for (const FoundSet& set : found->sets) {
      const auto reader = SetReader::open(set.directory, trusted());
      ASSERT_TRUE(reader.has_value());
      EXPECT_EQ(findings_of(*reader), std::vector<std::string>{});
      std::filesystem::remove_all(set.directory);
    }
    ++(found->sets.empty() ? nothing : whole);
    // The next run is not hindered by what lies there, and takes it away.
    { ASSERT_TRUE(SetWriter::begin(options(2, Sealing::kSealed), key_).has_value()) << stop; }
    for (const auto& entry : std::filesystem::directory_iterator(target())) EXPECT_EQ(entry.path().filename(), ".verbund-backup.lock") << stop;
  }
  std::printf("killed at %ld stops: %d times nothing, %d times a set\n", stop / 3, nothing, whole);
  EXPECT_GT(nothing, 20);
  EXPECT_EQ(find_sets(target(), trusted())->sets.size(), 1U);  // the one that was not killed
}

}  // namespace
}  // namespace verbund::backup
