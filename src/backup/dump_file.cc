#include "backup/dump_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/os/random.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = ".verbund-", kSuffix = ".partial";
/// What has been written is sent to the disk in such pieces, so that the last fsync does not take minutes.
constexpr std::uint64_t kWriteBackBytes = 32ULL << 20;

std::unexpected<Error> failed(Phrase operation, int cause) {
  ErrorCode code = ErrorCode::kIo;
  if (cause == ENOSPC || cause == EDQUOT || cause == EFBIG) code = ErrorCode::kDiskFull;
  if (cause == EACCES || cause == EPERM || cause == EROFS) code = ErrorCode::kForbidden;
  if (cause == ENOENT || cause == ENOTDIR) code = ErrorCode::kNotFound;
  if (cause == EEXIST) code = ErrorCode::kAlreadyExists;
  return std::unexpected(make_error(code, verbatim(std::strerror(cause))).in(std::move(operation)));
}

/// Its writer holds a lock on it for as long as it lives.
void remove_left_over(const fs::path& directory) {
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename();
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    const int descriptor = ::open(at->path().c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0) continue;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(at->path().c_str());
    ::close(descriptor);
  }
}

Status sync_directory(const fs::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return failed(phrase("open {}", directory.string()), errno);
  // Some file systems (FAT over FUSE) can't sync a directory, and say so by EINVAL.
  const int cause = ::fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno;
  ::close(descriptor);
  if (cause != 0) return failed(phrase("write {} to the disk", directory.string()), cause);
  return {};
}

}  // namespace

Result<std::unique_ptr<DumpFile>> DumpFile::create(const fs::path& directory) {
  remove_left_over(directory);
  while (true) {
    const fs::path path = directory / fmt::format("{}{}{}", kPrefix, os::random_hex(8), kSuffix);
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0) return failed(phrase("write into {}", directory.string()), errno);
    ::flock(descriptor, LOCK_EX);  // a file system without locks has none to clear up by either
    struct stat status{};
    // Another one may have cleared it away before it was locked.
    if (::fstat(descriptor, &status) == 0 && status.st_nlink > 0) return std::unique_ptr<DumpFile>(new DumpFile(descriptor, path));
    ::close(descriptor);
  }
}

DumpFile::~DumpFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status DumpFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed(phrase("write {}", path_.parent_path().string()), errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
    bytes_ += static_cast<std::uint64_t>(written);
  }
  if (bytes_ - written_back_ >= kWriteBackBytes) {
    ::sync_file_range(descriptor_, static_cast<off_t>(written_back_), static_cast<off_t>(bytes_ - written_back_), SYNC_FILE_RANGE_WRITE);
    written_back_ = bytes_;
  }
  return {};
}

Status DumpFile::finish() {
  if (::fsync(descriptor_) != 0) return failed(phrase("write {} to the disk", path_.parent_path().string()), errno);
  return {};
}

Status DumpFile::publish(const fs::path& name) {
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, name.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno != EINVAL && errno != ENOSYS) return failed(phrase("name {}", name.string()), errno);
    std::error_code ignored;
    if (fs::exists(name, ignored)) return failed(phrase("name {}", name.string()), EEXIST);
    if (std::rename(path_.c_str(), name.c_str()) != 0) return failed(phrase("name {}", name.string()), errno);
  }
  path_.clear();
  return sync_directory(name.parent_path());
}

Result<std::unique_ptr<FileSource>> FileSource::open(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return failed(phrase("open {}", path.string()), errno);
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
  return std::unique_ptr<FileSource>(new FileSource(descriptor, path));
}

FileSource::~FileSource() { ::close(descriptor_); }

Result<std::size_t> FileSource::read(std::span<char> into) {
  while (true) {
    const ssize_t got = ::read(descriptor_, into.data(), into.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return failed(phrase("read {}", path_.string()), errno);
  }
}

}  // namespace verbund::backup
