// FileLock and AppendFile: files that stay open.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>

#include "base/messages.h"
#include "platform/os/descriptor.h"
#include "platform/os/file.h"

namespace verbund::os {
namespace {

/// First line of the lock file, without control characters; the holder may be writing it just now.
std::string holder_of(int descriptor) {
  std::string text(512, '\0');
  const ssize_t got = uninterrupted([&] { return ::pread(descriptor, text.data(), text.size(), 0); });
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  text.resize(std::min(text.find('\n'), text.size()));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text.empty() ? "another process" : text;
}

/// Offset behind the last newline: what follows was cut off by a crash and never acknowledged.
Result<off_t> end_of_whole_lines(int descriptor, off_t size, std::string_view path) {
  std::string block(4096, '\0');
  while (size > 0) {
    const off_t start = size > static_cast<off_t>(block.size()) ? size - static_cast<off_t>(block.size()) : 0;
    const auto wanted = static_cast<std::size_t>(size - start);
    const ssize_t got = uninterrupted([&] { return ::pread(descriptor, block.data(), wanted, start); });
    if (got < 0) return failed_call(phrase("read {}", path), errno);
    const auto newline = std::string_view(block.data(), static_cast<std::size_t>(got)).rfind('\n');
    if (newline != std::string_view::npos) return start + static_cast<off_t>(newline) + 1;
    size = start;
  }
  return off_t{0};
}

/// A holder that was killed while it started a program: the child between fork and exec still has a copy of the
/// descriptor, for milliseconds. The holder's text ends with its pid by custom; without one nobody is waited for.
constexpr int kDeadHolderTries = 200;
constexpr timespec kBetweenTries{0, 10'000'000};

bool holder_is_dead(int descriptor) {
  const std::string text = holder_of(descriptor);
  const auto end = text.find_last_of("0123456789");
  if (end == std::string::npos) return false;
  const auto before = text.find_last_not_of("0123456789", end);
  const auto begin = before == std::string::npos ? 0 : before + 1;
  const int pid = std::atoi(text.substr(begin, end - begin + 1).c_str());
  return pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH;
}

/// 0, or errno.
int lock_exclusively(int descriptor) {
  for (int tries = 0;; ++tries) {
    if (uninterrupted([&] { return ::flock(descriptor, LOCK_EX | LOCK_NB); }) == 0) return 0;
    const int error = errno;
    if (error != EWOULDBLOCK || tries == kDeadHolderTries || !holder_is_dead(descriptor)) return error;
    ::nanosleep(&kBetweenTries, nullptr);
  }
}

}  // namespace

Result<FileLock> FileLock::acquire(const std::filesystem::path& path, std::string_view holder) {
  // O_CLOEXEC: an inherited descriptor would keep the lock alive in a child after we are gone.
  Descriptor file(uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644); }));
  if (!file) return failed_call(phrase("open {}", path.native()), errno);
  if (const int error = lock_exclusively(file.number()); error != 0) {
    if (error != EWOULDBLOCK) return failed_call(phrase("lock {}", path.native()), error);
    return fail(ErrorCode::kInUse, phrase("lock {}: held by {}", path.native(), holder_of(file.number())));
  }
  FileLock lock(file.release());
  const std::string line = std::string(holder) + "\n";
  if (::ftruncate(lock.descriptor_, 0) != 0 ||
      uninterrupted([&] { return ::pwrite(lock.descriptor_, line.data(), line.size(), 0); }) < 0) {
    return failed_call(phrase("write {}", path.native()), errno);
  }
  return lock;
}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

bool FileLock::held(const std::filesystem::path& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return false;
  // Each line ends with "MAJOR:MINOR:INODE FROM TO"; the device in hexadecimal.
  const auto place = fmt::format(" {:02x}:{:02x}:{} ", major(status.st_dev), minor(status.st_dev), status.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    if (line.find(place) != std::string::npos && line.find("->") == std::string::npos) return true;
  }
  return false;
}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  // Explicitly: a child between fork and exec still has a copy of the descriptor, and closing ours alone would not unlock.
  ::flock(descriptor_, LOCK_UN);
  ::close(descriptor_);
}

Result<AppendFile> AppendFile::open(const std::filesystem::path& path, unsigned mode) {
  Descriptor file(uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, mode); }));
  if (!file) return failed_call(phrase("open {}", path.native()), errno);
  struct stat status{};
  if (::fstat(file.number(), &status) != 0) return failed_call(phrase("look at {}", path.native()), errno);
  auto whole = end_of_whole_lines(file.number(), status.st_size, path.native());
  if (!whole) return pass(whole);
  if (*whole != status.st_size && ::ftruncate(file.number(), *whole) != 0) {
    return failed_call(phrase("cut the torn last line of {}", path.native()), errno);
  }
  const auto directory = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened || (::fsync(opened.number()) != 0 && errno != EINVAL)) {
    return failed_call(phrase("sync directory {}", directory.native()), errno);
  }
  return AppendFile(file.release(), path.native());
}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status AppendFile::append(std::string_view line) {
  if (descriptor_ < 0) {
    return fail(ErrorCode::kIo, phrase("append to {}: an earlier write did not reach the disk", path_),
                phrase("Check the disk, then start again."));
  }
  if (line.find('\n') != std::string_view::npos) {
    return fail(ErrorCode::kInternal, phrase("append to {}: the line holds a newline", path_));
  }
  const off_t before = ::lseek(descriptor_, 0, SEEK_END);
  if (before < 0) return failed_call(phrase("append to {}", path_), errno);
  const std::string whole = std::string(line) + "\n";
  std::size_t done = 0;
  while (done < whole.size()) {
    const ssize_t written = uninterrupted([&] { return ::write(descriptor_, whole.data() + done, whole.size() - done); });
    if (written < 0) return give_up(errno, before);
    done += static_cast<std::size_t>(written);
  }
  if (uninterrupted([&] { return ::fdatasync(descriptor_); }) != 0) {
    const int cause = errno;
    // After a failed sync the kernel drops the dirty pages, and the next sync reports success: never ask again.
    ::close(std::exchange(descriptor_, -1));
    return failed_call(phrase("sync {}", path_), cause);
  }
  return {};
}

Status AppendFile::give_up(int cause, off_t before) {
  if (::ftruncate(descriptor_, before) != 0) ::close(std::exchange(descriptor_, -1));
  return failed_call(phrase("append to {}", path_), cause);
}

}  // namespace verbund::os
