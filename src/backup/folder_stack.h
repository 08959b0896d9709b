#pragma once
/// A way down through folders, one open descriptor each, so that nobody can put a symbolic link into it. One thread.
/// For this folder's units only.
///
/// Of a deep way only the lowest folders stay open; the others are opened again on the way back, by "..", and must then be the
/// same as before.
#include <deque>

#include <sys/stat.h>

#include "platform/os/descriptor.h"

namespace verbund::backup {

class FolderStack {
 public:
  explicit FolderStack(os::Descriptor root);

  /// Goes into `name` of the current folder, never through a link. 0, or errno.
  int enter(const char* name);
  /// Back to the folder above; the one that is left goes to `left`. 0, or errno; ESTALE: it is not the one that it was.
  int leave(os::Descriptor* left = nullptr);
  /// The current folder.
  [[nodiscard]] int folder() const { return ways_.back().folder.number(); }
  /// 0: the root.
  [[nodiscard]] std::size_t depth() const { return ways_.size() - 1; }

 private:
  struct Way {
    os::Descriptor folder;
    dev_t device;
    ino_t inode;
  };
  std::deque<Way> ways_;
};

}  // namespace verbund::backup
