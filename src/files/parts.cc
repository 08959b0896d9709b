#include "files/parts.h"

#include <cerrno>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/os/random.h"

namespace verbund::files {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPiece = 1024UL * 1024;
constexpr int kMostOfOneName = 1'000;

std::unexpected<Error> failed(Phrase operation) {
  const auto code = errno == ENOSPC || errno == EDQUOT ? ErrorCode::kDiskFull : ErrorCode::kIo;
  return std::unexpected(make_error(code, verbatim(std::strerror(errno))).in(std::move(operation)));
}

/// "Wunde.jpg", 2 → "Wunde (2).jpg".
std::string numbered(const std::string& path, int number) {
  if (number == 1) return path;
  const auto slash = path.rfind('/');
  auto dot = path.rfind('.');
  const auto begin = slash == std::string::npos ? 0 : slash + 1;
  if (dot == std::string::npos || dot <= begin) dot = path.size();
  return fmt::format("{} ({}){}", path.substr(0, dot), number, path.substr(dot));
}

/// The new name or nothing: what has the name already stays.
int rename_beside(const char* part, int parent, const char* leaf) {
  if (::renameat2(AT_FDCWD, part, parent, leaf, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL) return -1;
  if (::linkat(AT_FDCWD, part, parent, leaf, 0) != 0) return -1;  // a network's file system
  return ::unlink(part);
}

/// What lies there, when it is a file of that length.
std::optional<std::string> hash_there(const fs::path& root, const std::string& path, std::uint64_t bytes) {
  auto entry = look_at(root, path);
  if (!entry || entry->directory || entry->bytes != bytes) return std::nullopt;
  auto hash = hash_of(root, *entry);
  if (!hash) return std::nullopt;
  return std::move(*hash);
}

}  // namespace

std::uint64_t Parts::begun(const std::string& name) const {
  struct stat status {};
  return ::stat(place(name).c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

Status Parts::write(const std::string& name, std::uint64_t offset, std::string_view bytes) {
  if (offset > begun(name)) return fail(ErrorCode::kBadMessage, phrase("take a piece of a file: {} bytes are there, it begins at {}", begun(name), offset));
  if (auto made = os::make_directories(directory_, 0700); !made) return made;
  const os::Descriptor file(::open(place(name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return failed(phrase("write {}", place(name).native()));
  while (!bytes.empty()) {
    const auto written = os::uninterrupted([&] { return ::pwrite(file.number(), bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (written < 0) return failed(phrase("write {}", place(name).native()));
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return {};
}

Status Parts::copy(const std::string& name, const fs::path& root, const Entry& file) {
  for (std::uint64_t at = begun(name); at < file.bytes || at == 0;) {
    auto piece = read_piece(root, file, at, kPiece);
    if (!piece) return pass(piece);
    if (auto written = write(name, at, *piece); !written) return written;
    if (piece->empty()) return {};
    at += piece->size();
  }
  return {};
}

Status Parts::check(const std::string& name, const Whole& whole) {
  const auto entry = look_at(directory_, name);
  if (!entry) return std::unexpected(entry.error());
  const auto hash = entry->bytes == whole.bytes ? hash_of(directory_, *entry) : Result<std::string>("");
  if (!hash) return std::unexpected(hash.error());
  if (*hash == whole.hash) return {};
  if (auto gone = forget(name); !gone) return gone;
  return fail(ErrorCode::kDamaged, phrase("take {}: what has come is not what was said", whole.path));
}

Result<std::string> Parts::put(const std::string& name, const fs::path& root, const Whole& whole, Taken taken) {
  if (auto sound = check(name, whole); !sound) return pass(sound);
  {
    const os::Descriptor file(::open(place(name).c_str(), O_WRONLY | O_CLOEXEC));
    const timespec modified{whole.modified_ms / 1'000, whole.modified_ms % 1'000 * 1'000'000};
    const timespec times[] = {modified, modified};
    if (!file || ::fchmod(file.number(), whole.mode & 0777U) != 0 || ::futimens(file.number(), times) != 0 || ::fsync(file.number()) != 0) return failed(phrase("write {}", whole.path));
  }
  if (auto made = make_parents(root, whole.path); !made) return pass(made);
  const auto parent = open_parent(root, whole.path);
  if (!parent) return std::unexpected(parent.error());
  if (taken == Taken::kReplaced) {
    if (::renameat(AT_FDCWD, place(name).c_str(), parent->number(), leaf_of(whole.path).c_str()) != 0) {
      if (errno == EISDIR || errno == EEXIST || errno == ENOTEMPTY) return fail(ErrorCode::kAlreadyExists, phrase("take {}: a folder is called so", whole.path));
      return failed(phrase("write {}", whole.path));
    }
    return ::fsync(parent->number()) == 0 ? Result<std::string>(whole.path) : failed(phrase("write {}", whole.path));
  }
  for (int number = 1; number <= kMostOfOneName; ++number) {
    const auto path = numbered(whole.path, number);
    if (rename_beside(place(name).c_str(), parent->number(), leaf_of(path).c_str()) == 0) {
      return ::fsync(parent->number()) == 0 ? Result<std::string>(path) : failed(phrase("write {}", whole.path));
    }
    if (errno != EEXIST) return failed(phrase("write {}", path));
    if (hash_there(root, path, whole.bytes) != whole.hash) continue;
    if (auto gone = forget(name); !gone) return pass(gone);
    return path;
  }
  return fail(ErrorCode::kAlreadyExists, phrase("take {}: there are {} files of that name", whole.path, kMostOfOneName));
}

Status Parts::forget(const std::string& name) { return ::unlink(place(name).c_str()) == 0 || errno == ENOENT ? Status{} : failed(phrase("remove {}", place(name).native())); }

Status Parts::forget_old(std::chrono::days days, const Clock& clock) {
  const auto oldest = std::chrono::duration_cast<seconds>((clock.wall() - days).time_since_epoch()).count();
  std::error_code error;
  std::vector<std::string> old;
  for (fs::directory_iterator at(directory_, error), end; !error && at != end; at.increment(error)) {
    struct stat status {};
    if (::stat(at->path().c_str(), &status) == 0 && status.st_mtim.tv_sec < oldest) old.push_back(at->path().filename().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) return fail(ErrorCode::kIo, phrase("read {}: {}", directory_.string(), error.message()));
  for (const auto& name : old) {
    if (auto gone = forget(name); !gone) return gone;
  }
  return {};
}

}  // namespace verbund::files
