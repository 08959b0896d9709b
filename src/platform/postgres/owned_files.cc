#include "platform/postgres/owned_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "platform/postgres/server_process.h"

namespace verbund::postgres {

namespace fs = std::filesystem;

Status system_error(Phrase operation) {
  return std::unexpected(make_error(ErrorCode::kIo, verbatim(std::strerror(errno))).in(std::move(operation)));
}

Status give_to_server(const fs::path& path) {
  const auto user = server_user();
  if (!user) return std::unexpected(user.error());
  if (!*user) return {};
  if (::chown(path.c_str(), (*user)->uid, (*user)->gid) != 0) return system_error(phrase("chown {}", path.string()));
  return {};
}

Status sync_directory(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return system_error(phrase("open {}", path.string()));
  const bool synced = ::fsync(descriptor) == 0;
  ::close(descriptor);
  return synced ? Status{} : system_error(phrase("fsync {}", path.string()));
}

Status remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return fail(ErrorCode::kIo, phrase("remove {}: {}", path.string(), error.message()));
  return {};
}

}  // namespace verbund::postgres
