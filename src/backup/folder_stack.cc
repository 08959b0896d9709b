#include "backup/folder_stack.h"

#include <fcntl.h>

namespace verbund::backup {
namespace {

/// Far below the usual limit of 1024 open files.
constexpr std::size_t kMaxOpen = 100;
constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

}  // namespace

FolderStack::FolderStack(os::Descriptor root) {
  struct stat status{};
  if (root) ::fstat(root.number(), &status);
  ways_.push_back({std::move(root), status.st_dev, status.st_ino});
}

int FolderStack::enter(const char* name) {
  os::Descriptor opened(os::uninterrupted([&] { return ::openat(folder(), name, kFlags); }));
  struct stat status{};
  if (!opened || ::fstat(opened.number(), &status) != 0) return errno;
  ways_.push_back({std::move(opened), status.st_dev, status.st_ino});
  if (ways_.size() > kMaxOpen) ways_[ways_.size() - kMaxOpen - 1].folder.close();
  return 0;
}

int FolderStack::leave(os::Descriptor* left) {
  Way& above = ways_[ways_.size() - 2];
  if (!above.folder) {
    os::Descriptor opened(os::uninterrupted([&] { return ::openat(folder(), "..", kFlags); }));
    struct stat status{};
    if (!opened || ::fstat(opened.number(), &status) != 0) return errno;
    if (status.st_dev != above.device || status.st_ino != above.inode) return ESTALE;
    above.folder = std::move(opened);
  }
  if (left != nullptr) *left = std::move(ways_.back().folder);
  ways_.pop_back();
  return 0;
}

}  // namespace verbund::backup
