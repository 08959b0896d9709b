#include "backup/medium.h"

#include <cerrno>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/messages.h"

namespace verbund::backup {
namespace {

/// False when a block device was pulled out; true for file systems that have none of their own (tmpfs, NFS).
bool device_present(dev_t device) {
  if (major(device) == 0) return true;
  const std::string entry = fmt::format("/sys/dev/block/{}:{}", major(device), minor(device));
  return ::access("/sys/dev/block", F_OK) != 0 || ::access(entry.c_str(), F_OK) == 0;
}

bool names_a_lost_device(int error_number) {
  return error_number == ENODEV || error_number == ENXIO || error_number == ESTALE || error_number == ENOTCONN || error_number == ENOMEDIUM;
}

}  // namespace

Result<Medium> Medium::open(const std::filesystem::path& directory) {
  os::Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat status {};
  if (!opened && (errno == ENOENT || names_a_lost_device(errno))) {
    return fail(ErrorCode::kMediumGone, phrase("open medium {}: there is no such directory", directory.native()),
                phrase("Plug in and mount the medium."));
  }
  if (!opened || ::fstat(opened.number(), &status) != 0) return os::failed_call(phrase("open medium {}", directory.native()), errno);
  std::error_code ignored;
  auto whole = std::filesystem::absolute(directory, ignored);
  return Medium(std::move(opened), ignored ? directory : std::move(whole), status.st_dev, status.st_ino);
}

Status Medium::still_there() const {
  struct stat status {};
  const bool same = ::stat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == node_;
  if (same && device_present(device_)) return {};
  return fail(ErrorCode::kMediumGone, phrase("medium {}: it is no longer there", path_.native()),
              phrase("It was unmounted or pulled out. Mount it and run the backup again; nothing that counts was left on it."));
}

Result<std::uint64_t> Medium::free_bytes() const {
  struct statvfs status {};
  if (::fstatvfs(descriptor(), &status) != 0) return failed(phrase("ask for free space on {}", path_.native()), errno, 0);
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

std::unexpected<Error> Medium::failed(Phrase operation, int error_number, std::uint64_t stored_bytes) const {
  if (auto there = still_there(); !there || names_a_lost_device(error_number)) {
    if (there) there = fail(ErrorCode::kMediumGone, phrase("medium {}: it is no longer there", path_.native()));
    return pass(there, std::move(operation));
  }
  if (error_number != ENOSPC && error_number != EDQUOT && error_number != EFBIG) return os::failed_call(std::move(operation), error_number);
  struct statvfs status {};
  const bool known = ::fstatvfs(descriptor(), &status) == 0;
  const std::string free = known ? bytes_text(std::uint64_t{status.f_bavail} * status.f_frsize) : "?";
  return std::unexpected(make_error(ErrorCode::kDiskFull, phrase("no space left: {} free, {} already written for this set", free, bytes_text(stored_bytes)),
                                    phrase("Take a larger medium or remove old sets with verbund backup prune. Nothing of this set was kept."))
                             .in(std::move(operation)));
}

bool sync_directory(int descriptor) {
  return ::fsync(descriptor) == 0 || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
}

bool remove_tree(int parent, const std::string& name) {
  const int opened = ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (opened < 0) return errno == ENOENT || ((errno == ENOTDIR || errno == ELOOP) && ::unlinkat(parent, name.c_str(), 0) == 0);
  DIR* const directory = ::fdopendir(opened);  // owns `opened` now
  if (directory == nullptr) {
    ::close(opened);
    return false;
  }
  struct stat above {}, here {};
  bool gone = ::fstat(parent, &above) == 0 && ::fstat(opened, &here) == 0 && above.st_dev == here.st_dev;
  while (const dirent* entry = gone ? ::readdir(directory) : nullptr) {
    const std::string below = entry->d_name;
    if (below == "." || below == "..") continue;
    if (::unlinkat(opened, below.c_str(), 0) != 0) gone = (errno == EISDIR || errno == EPERM) && remove_tree(opened, below);
  }
  ::closedir(directory);
  return gone && ::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0;
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::uint64_t kMib = 1ULL << 20;
  if (bytes >= kMib << 10) return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / static_cast<double>(kMib << 10));
  if (bytes >= kMib) return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / static_cast<double>(kMib));
  return fmt::format("{} bytes", bytes);
}

}  // namespace verbund::backup
