#include "platform/os/new_file.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/os/random.h"

namespace verbund::os {

Status write_new_file(const std::filesystem::path& path, std::string_view content, unsigned mode) {
  const std::filesystem::path beside = path.parent_path() / fmt::format(".{}.{}", path.filename().native(), random_hex(8));
  if (auto written = write_file_atomically(beside, content, mode); !written) return written;
  const int linked = ::link(beside.c_str(), path.c_str()) == 0 ? 0 : errno;
  ::unlink(beside.c_str());
  if (linked == EEXIST) return fail(ErrorCode::kAlreadyExists, phrase("{} exists already", path.native()));
  if (linked != 0) return fail(ErrorCode::kIo, phrase("make {}: {}", path.native(), std::generic_category().message(linked)));
  // The name is on disk before anybody relies on it.
  const int directory = ::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = directory >= 0 && ::fsync(directory) == 0;
  const int why = errno;
  if (directory >= 0) ::close(directory);
  return synced ? Status{} : fail(ErrorCode::kIo, phrase("sync {}: {}", path.parent_path().native(), std::generic_category().message(why)));
}

}  // namespace verbund::os
