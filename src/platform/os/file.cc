#include "platform/os/file.h"

#include <array>
#include <cstdlib>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/messages.h"
#include "platform/os/descriptor.h"

namespace verbund::os {
namespace {

Status write_all(int descriptor, std::string_view content, std::string_view path) {
  while (!content.empty()) {
    const ssize_t written = uninterrupted([&] { return ::write(descriptor, content.data(), content.size()); });
    if (written < 0) return failed_call(phrase("write {}", path), errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

std::filesystem::path directory_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

/// A new name is on disk only when its directory is.
Status sync_directory(const std::filesystem::path& directory) {
  const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened) return failed_call(phrase("open directory {}", directory.native()), errno);
  // EINVAL: file systems that have no such call (some network and FUSE ones); nothing more can be done there.
  if (::fsync(opened.number()) != 0 && errno != EINVAL) return failed_call(phrase("sync directory {}", directory.native()), errno);
  return {};
}

/// Removes the half-written file unless it has become the real one.
class Unfinished {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  ~Unfinished() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  void finished() { path_.clear(); }

 private:
  std::string path_;
};

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const Descriptor file(uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return fail(ErrorCode::kNotFound, phrase("read {}: no such file", path.native()));
    }
    return failed_call(phrase("open {}", path.native()), errno);
  }
  std::string content;
  std::vector<char> buffer(64 * 1024);
  while (true) {
    const ssize_t got = uninterrupted([&] { return ::read(file.number(), buffer.data(), buffer.size()); });
    if (got < 0) return failed_call(phrase("read {}", path.native()), errno);
    if (got == 0) return content;
    if (static_cast<std::size_t>(got) > max_bytes - content.size()) {
      return fail(ErrorCode::kTooLarge, phrase("read {}: larger than {} bytes", path.native(), max_bytes));
    }
    content.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

Status write_file_atomically(const std::filesystem::path& path, std::string_view content, unsigned mode) {
  const auto directory = directory_of(path);
  std::string beside = (directory / fmt::format(".{}.XXXXXX", path.filename().native())).native();
  // Made with 0600 and opened up only when asked: a secret is at no time readable by others.
  Descriptor file(::mkostemp(beside.data(), O_CLOEXEC));
  if (!file) return failed_call(phrase("create file beside {}", path.native()), errno);
  Unfinished unfinished(beside);
  if (::fchmod(file.number(), mode) != 0) return failed_call(phrase("set mode of {}", beside), errno);
  if (auto written = write_all(file.number(), content, path.native()); !written) return written;
  if (::fsync(file.number()) != 0) return failed_call(phrase("sync {}", path.native()), errno);
  // close() is where network file systems report a full disk.
  if (::close(file.release()) != 0 && errno != EINTR) return failed_call(phrase("close {}", path.native()), errno);
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed_call(phrase("rename to {}", path.native()), errno);
  unfinished.finished();
  return sync_directory(directory);
}

Status make_directories(const std::filesystem::path& path, unsigned mode) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return {};
    return failed_call(phrase("make directory {}", path.native()), ENOTDIR);
  }
  if (errno != ENOENT) return failed_call(phrase("make directory {}", path.native()), errno);
  const auto above = directory_of(path);
  if (above != path && above != ".") {
    if (auto made = make_directories(above, mode); !made) return made;
  }
  if (::mkdir(path.c_str(), mode) != 0) {
    // Somebody else made it meanwhile, or the path ends in '/' and the step above was the directory itself.
    if (errno == EEXIST && ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return {};
    return failed_call(phrase("make directory {}", path.native()), errno);
  }
  if (::chmod(path.c_str(), mode) != 0) return failed_call(phrase("set mode of {}", path.native()), errno);  // umask took some bits
  return sync_directory(above);
}

Result<std::uint64_t> free_bytes(const std::filesystem::path& path) {
  struct statvfs status{};
  if (uninterrupted([&] { return ::statvfs(path.c_str(), &status); }) != 0) {
    return failed_call(phrase("ask for the free space of {}", path.native()), errno);
  }
  return std::uint64_t{status.f_bavail} * std::uint64_t{status.f_frsize};
}

}  // namespace verbund::os
