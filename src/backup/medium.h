#pragma once
/// The directory on a medium that sets are written to, held open, so that nothing lands elsewhere when the medium goes. Any
/// thread. For this folder's units only.
#include <filesystem>
#include <string>

#include <sys/types.h>

#include "base/result.h"
#include "platform/os/descriptor.h"

namespace verbund::backup {

class Medium {
 public:
  /// Errors: kMediumGone (no such directory), kIo.
  static Result<Medium> open(const std::filesystem::path& directory);

  [[nodiscard]] int descriptor() const { return descriptor_.number(); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// kMediumGone unless the path still leads to the directory that was opened, on a device that is still there.
  [[nodiscard]] Status still_there() const;
  [[nodiscard]] Result<std::uint64_t> free_bytes() const;
  /// What a failed call means here: kMediumGone, kDiskFull (with what is free and what was stored), kIo.
  [[nodiscard]] std::unexpected<Error> failed(Phrase operation, int error_number, std::uint64_t stored_bytes) const;

 private:
  Medium(os::Descriptor descriptor, std::filesystem::path path, dev_t device, ino_t node)
      : descriptor_(std::move(descriptor)), path_(std::move(path)), device_(device), node_(node) {}
  os::Descriptor descriptor_;
  std::filesystem::path path_;
  dev_t device_;
  ino_t node_;
};

/// fsync of an open directory; file systems without that call are let through.
bool sync_directory(int descriptor);
/// Removes a directory with all that is in it, relative to `parent`; never follows links, never leaves the file system. False with
/// errno when something stays.
bool remove_tree(int parent, const std::string& name);
/// "1.5 GiB", "20 MiB", "17 bytes".
std::string bytes_text(std::uint64_t bytes);

}  // namespace verbund::backup
