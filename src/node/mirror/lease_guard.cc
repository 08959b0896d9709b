#include "node/mirror/lease_guard.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstring>
#include <limits>
#include <thread>

#include "base/messages.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/process.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;

constexpr milliseconds kLookEvery{50};
constexpr seconds kStarts{10};
constexpr std::int64_t kNoEnd = std::numeric_limits<std::int64_t>::max();

fs::path lock_file(const fs::path& directory) { return directory / "agent" / "keeper.lock"; }

/// Times since the boot mean nothing after the next one.
std::string boot_id() {
  auto text = os::read_file("/proc/sys/kernel/random/boot_id", 100);
  return text ? text->substr(0, 36) : std::string(36, '?');
}

int postmaster_of(const fs::path& directory) {
  const auto text = os::read_file(directory / "postgres" / "data" / "postmaster.pid", 4096);
  int pid = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), pid).ec != std::errc() || pid <= 1) return 0;
  const auto program = os::process_executable(pid);
  return program && program->find("postgres") != std::string::npos ? pid : 0;
}

/// Field 4 of /proc/PID/stat, behind the name, which may hold anything.
int parent_of(const std::string& pid) {
  const auto stat = os::read_file(fs::path("/proc") / pid / "stat", 4096);
  const auto end = stat ? stat->rfind(") ") : std::string::npos;
  if (end == std::string::npos || end + 4 >= stat->size()) return 0;
  int parent = 0;
  std::from_chars(stat->data() + end + 4, stat->data() + stat->size(), parent);
  return parent;
}

std::vector<int> children_of(int parent) {
  std::vector<int> children;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const auto name = entry.path().filename().string();
    int pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec == std::errc() && pid > 0 && parent_of(name) == parent) children.push_back(pid);
  }
  return children;
}

/// Stopped first, so that it makes no new ones; then those who could acknowledge, then itself.
void end_by_force(int postmaster) {
  ::kill(postmaster, SIGSTOP);
  for (const int child : children_of(postmaster)) ::kill(child, SIGKILL);
  ::kill(postmaster, SIGKILL);
}

}  // namespace

struct LeaseGuard::Shared {
  std::atomic<std::int64_t> until;  // nanoseconds of CLOCK_BOOTTIME
  std::atomic<std::int64_t> node;   // its pid
  char boot[40];
};

Result<LeaseGuard::Shared*> LeaseGuard::map(const fs::path& directory) {
  const auto path = directory / "agent" / "lease";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return fail(ErrorCode::kIo, phrase("open {}: {}", path.string(), verbatim(std::strerror(errno))));
  const bool sized = ::ftruncate(file, sizeof(Shared)) == 0;
  void* memory = sized ? ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  const int why = errno;
  ::close(file);
  if (memory == MAP_FAILED) return fail(ErrorCode::kIo, phrase("open {}: {}", path.string(), verbatim(std::strerror(why))));
  return static_cast<Shared*>(memory);
}

Result<std::unique_ptr<LeaseGuard>> LeaseGuard::open(const fs::path& directory, Log& log) {
  auto shared = map(directory);
  if (!shared) return pass(shared);
  (*shared)->node = ::getpid();
  const auto boot = boot_id();
  if (std::strncmp((*shared)->boot, boot.c_str(), sizeof((*shared)->boot)) != 0) {
    (*shared)->until = kNoEnd;  // of an earlier boot, or new: nothing of that time runs any more
    std::strncpy((*shared)->boot, boot.c_str(), sizeof((*shared)->boot) - 1);
  }
  return std::unique_ptr<LeaseGuard>(new LeaseGuard(directory, *shared, log));
}

LeaseGuard::~LeaseGuard() { ::munmap(shared_, sizeof(Shared)); }

bool LeaseGuard::kept() const {
  const int file = ::open(lock_file(directory_).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return false;
  const bool free = ::flock(file, LOCK_SH | LOCK_NB) == 0;
  ::close(file);
  return !free;
}

Status LeaseGuard::set(std::optional<TimePoint> until) {
  shared_->until = until ? until->time_since_epoch().count() : kNoEnd;
  if (!until || kept()) return {};
  std::error_code error;
  const auto program = fs::read_symlink("/proc/self/exe", error);
  if (error) return fail(ErrorCode::kIo, phrase("read {}: {}", "/proc/self/exe", error.message()));
  os::Command command;
  command.argv = {program.string(), "--dir", directory_.string(), "witness", "keep"};
  auto child = os::start(command, (directory_ / "log" / "keeper.log").string());
  if (!child) return pass(child);
  const os::SystemClock clock;
  const auto deadline = Deadline::in(clock, kStarts);
  while (!kept()) {
    if (deadline.passed(clock)) return fail(ErrorCode::kTimedOut, phrase("start the process that guards the lease: it does not run after {} s", kStarts.count()));
    std::this_thread::sleep_for(milliseconds{2});
  }
  log_.info("pair.lease_guarded", {{"pid", child->pid}});
  return {};
}

Status keep_lease(const fs::path& directory) {
  auto lock = os::FileLock::acquire(lock_file(directory), fmt::format("verbund witness keep, pid {}", ::getpid()));
  if (!lock) return pass(lock);
  auto shared = LeaseGuard::map(directory);
  if (!shared) return pass(shared);
  ::mlockall(MCL_CURRENT | MCL_FUTURE);  // as far as it may
  const os::SystemClock clock;
  for (;; std::this_thread::sleep_for(kLookEvery)) {
    const std::int64_t until = (*shared)->until;
    if (until == kNoEnd) return {};
    if (clock.now().time_since_epoch().count() < until) continue;
    if (const int postmaster = postmaster_of(directory); postmaster != 0) {
      end_by_force(postmaster);
      continue;
    }
    const auto node = static_cast<int>((*shared)->node.load());
    if (::kill(node, 0) != 0 && errno == ESRCH) return {};
  }
}

}  // namespace verbund::node
