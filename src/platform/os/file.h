#pragma once
/// Files whose loss would hurt: read bounded, written atomically, locked. Any thread.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include <sys/types.h>

#include "base/result.h"

namespace verbund::os {

/// Errors: kNotFound, kTooLarge (over max_bytes), kIo.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes = 64 * 1024 * 1024);

/// Writes beside, fsync, rename, fsync of the directory: the old content or the new, never half. Errors: kIo, kDiskFull.
Status write_file_atomically(const std::filesystem::path& path, std::string_view content, unsigned mode = 0644);

/// Creates directories that are missing, with `mode` for those it makes.
Status make_directories(const std::filesystem::path& path, unsigned mode = 0755);

/// Bytes free for this process on the file system of `path`.
Result<std::uint64_t> free_bytes(const std::filesystem::path& path);

/// An exclusive lock on a file (flock), kept until destroyed; the kernel frees it when the process dies.
class FileLock {
 public:
  /// `holder` ends with a pid: who is dead is waited for, up to 2 s, until a child of its has let go.
  /// Errors: kInUse (message names the holder's text, written into the file by it), kIo.
  static Result<FileLock> acquire(const std::filesystem::path& path, std::string_view holder);
  /// Whether somebody has it just now (/proc/locks): nothing is taken by looking. What can't be seen is not held.
  static bool held(const std::filesystem::path& path);
  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

/// A file that only grows: one line per append, each on disk (fdatasync) before the call returns. One thread.
/// A write that fails leaves no half line behind. After a failed sync every further append is refused.
class AppendFile {
 public:
  /// Creates it when missing. A last line without newline was cut off by a crash, never acknowledged, and is removed.
  static Result<AppendFile> open(const std::filesystem::path& path, unsigned mode = 0600);
  AppendFile(AppendFile&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}
  ~AppendFile();
  /// `line` without newline. Errors: kIo, kDiskFull.
  Status append(std::string_view line);

 private:
  AppendFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  Status give_up(int cause, off_t before);
  int descriptor_;
  std::string path_;
};

}  // namespace verbund::os
