#include "backup/remove_unpacked.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <dirent.h>
#include <fcntl.h>

#include "backup/folder_stack.h"
#include "backup/name_list.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

std::unexpected<Error> failed(const char* name, int error) { return os::failed_call(phrase("remove {}", shown_path(name)), error); }

/// Removes all but folders; those are returned.
Result<std::vector<std::string>> remove_files(int folder, const char* name) {
  const int again = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return failed(name, errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(again), ::closedir);
  if (!listing) return failed(name, errno);
  std::vector<std::string> folders;
  while (const dirent* entry = ::readdir(listing.get())) {
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    if (::unlinkat(folder, entry->d_name, 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return failed(entry->d_name, errno);
    folders.emplace_back(entry->d_name);
  }
  return folders;
}

/// Ours, but perhaps with rights that keep even us out.
int enter(FolderStack& stack, const char* name) {
  const int error = stack.enter(name);
  if (error != EACCES) return error;
  if (::fchmodat(stack.folder(), name, 0700, 0) != 0) return errno;
  return stack.enter(name);
}

Status remove_below(FolderStack& stack, const char* name) {
  std::vector<std::vector<std::string>> left;
  left.push_back({name});
  while (true) {
    if (left.back().empty()) {
      left.pop_back();
      if (left.empty()) return {};
      if (const int error = stack.leave(); error != 0) return failed(name, error);
      if (::unlinkat(stack.folder(), left.back().back().c_str(), AT_REMOVEDIR) != 0) return failed(name, errno);
      left.back().pop_back();
      continue;
    }
    if (const int error = enter(stack, left.back().back().c_str()); error != 0) return failed(name, error);
    (void)::fchmod(stack.folder(), 0700);  // so that its names can go; a failure shows at the first of them
    auto folders = remove_files(stack.folder(), name);
    if (!folders) return pass(folders);
    left.push_back(std::move(*folders));
  }
}

}  // namespace

Status remove_unpacked(int parent, const char* name) {
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return failed(name, errno);
  os::Descriptor above(::openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!above) return failed(name, errno);
  FolderStack stack(std::move(above));
  return remove_below(stack, name);
}

}  // namespace verbund::backup
