#include "files/tree.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/messages.h"
#include "base/utf8.h"
#include "platform/os/file.h"
#include "platform/os/random.h"

namespace verbund::files {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxShown = 100;
constexpr int kMaxDepth = 200;

std::unexpected<Error> failed(Phrase operation) {
  const auto code = errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? ErrorCode::kNotFound : ErrorCode::kIo;
  return std::unexpected(make_error(code, verbatim(std::strerror(errno))).in(std::move(operation)));
}

std::int64_t in_ns(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

Entry entry_of(std::string path, const struct stat& status) {
  const bool directory = S_ISDIR(status.st_mode);
  return {std::move(path), directory, directory ? 0 : static_cast<std::uint64_t>(status.st_size), in_ns(status.st_mtim), in_ns(status.st_ctim), status.st_mode & 0777U};
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

class Walk {
 public:
  Walk(Listing& into, const std::stop_token& stop) : into_(into), stop_(stop) {}

  Status directory(os::Descriptor descriptor, const std::string& prefix, int depth) {
    const std::unique_ptr<DIR, CloseDirectory> open(::fdopendir(descriptor.release()));
    if (!open) return failed(phrase("read the folder {}", prefix));
    errno = 0;
    while (const dirent* found = ::readdir(open.get())) {
      const std::string name = found->d_name;
      if (name == "." || name == ".." || (prefix.empty() && name == kOwnFolder)) continue;
      if (auto taken = take(::dirfd(open.get()), name, prefix, depth); !taken) return taken;
      errno = 0;
    }
    return errno == 0 ? Status{} : failed(phrase("read the folder {}", prefix));
  }

 private:
  Status take(int at, const std::string& name, const std::string& prefix, int depth) {
    if (stop_.stop_requested()) return fail(ErrorCode::kCancelled, phrase("list a folder: it is not waited for any more"));
    std::string path = prefix.empty() ? name : prefix + "/" + name;
    if (!is_utf8(name)) return skip("?", "the name is no UTF-8");
    struct stat status {};
    if (::fstatat(at, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT ? Status{} : skip(path, std::strerror(errno));  // gone since it was listed
    }
    if (S_ISLNK(status.st_mode)) return skip(path, "a symbolic link");
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) return skip(path, "neither file nor folder");
    if (into_.entries.size() >= kMaxEntries) return fail(ErrorCode::kTooLarge, phrase("list a folder: it has more than {} entries", kMaxEntries));
    into_.entries.push_back(entry_of(path, status));
    if (!S_ISDIR(status.st_mode)) return {};
    if (depth >= kMaxDepth) return skip(path, "too deep");
    os::Descriptor inner(::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!inner) return skip(path, std::strerror(errno));
    return directory(std::move(inner), path, depth + 1);
  }

  Status skip(const std::string& path, std::string_view why) {
    ++into_.skipped_total;
    if (into_.skipped.size() < kMaxShown) into_.skipped.push_back(fmt::format("{}: {}", path, why));
    return {};
  }

  Listing& into_;
  const std::stop_token stop_;
};

}  // namespace

Result<Listing> list_tree(const fs::path& root, const std::stop_token& stop) {
  os::Descriptor top(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top) return failed(phrase("read the folder {}", root.string()));
  Listing listing;
  if (auto walked = Walk(listing, stop).directory(std::move(top), "", 0); !walked) return pass(walked);
  std::ranges::sort(listing.entries, {}, &Entry::path);
  return listing;
}

Status check_path(std::string_view path) {
  const auto bad = [&] { return fail(ErrorCode::kBadMessage, phrase("read a path: it does not stay below its folder")); };
  if (path.empty() || path.find('\0') != std::string_view::npos || !is_utf8(path)) return bad();
  while (true) {
    const auto slash = path.find('/');
    const auto part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return bad();
    if (slash == std::string_view::npos) return {};
    path.remove_prefix(slash + 1);
  }
}

std::string leaf_of(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

Result<os::Descriptor> open_parent(const fs::path& root, std::string_view path) {
  if (auto good = check_path(path); !good) return pass(good);
  os::Descriptor at(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!at) return failed(phrase("open {}", root.string()));
  for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/')) {
    const std::string part(path.substr(0, slash));
    os::Descriptor next(::openat(at.number(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return failed(phrase("open {} in {}", part, root.string()));
    at = std::move(next);
    path.remove_prefix(slash + 1);
  }
  return at;
}

std::string mark_of(const fs::path& root) {
  constexpr std::size_t kBytes = 16;
  const auto file = root / kOwnFolder / "mark";
  if (auto there = os::read_file(file, 4 * kBytes)) return *there;
  const auto mark = os::random_hex(kBytes);
  if (!os::make_directories(file.parent_path(), 0700) || !os::write_file_atomically(file, mark, 0644)) return {};
  return mark;
}

Status make_parents(const fs::path& root, std::string_view path) {
  if (auto good = check_path(path); !good) return good;
  os::Descriptor at(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!at) return failed(phrase("open {}", root.string()));
  for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/')) {
    const std::string part(path.substr(0, slash));
    if (::mkdirat(at.number(), part.c_str(), 0777) == 0) {
      if (::fsync(at.number()) != 0) return failed(phrase("make the folder {}", part));
    } else if (errno != EEXIST) {
      return failed(phrase("make the folder {}", part));
    }
    os::Descriptor next(::openat(at.number(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return errno == ENOTDIR || errno == ELOOP ? fail(ErrorCode::kAlreadyExists, phrase("make the folder {}: something else is called so", part)) : failed(phrase("open {} in {}", part, root.string()));
    at = std::move(next);
    path.remove_prefix(slash + 1);
  }
  return {};
}

Result<Entry> look_at(const fs::path& root, const std::string& path) {
  const auto parent = open_parent(root, path);
  if (!parent) return std::unexpected(parent.error());
  struct stat status {};
  if (::fstatat(parent->number(), leaf_of(path).c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return failed(phrase("open {}", path));
  if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) return fail(ErrorCode::kNotFound, phrase("open {}: it is neither file nor folder", path));
  return entry_of(path, status);
}

Result<std::string> hash_of(const fs::path& root, const Entry& listed, const std::stop_token& stop) {
  constexpr std::size_t kPiece = 1024UL * 1024;
  os::Blake2b hash;
  for (std::uint64_t at = 0;;) {
    if (stop.stop_requested()) return fail(ErrorCode::kCancelled, phrase("read {}: it is not waited for any more", listed.path));
    auto piece = read_piece(root, listed, at, kPiece);
    if (!piece) return pass(piece);
    if (piece->empty()) return hash.hex();
    hash.add(*piece);
    at += piece->size();
  }
}

Result<std::string> read_piece(const fs::path& root, const Entry& listed, std::uint64_t offset, std::size_t max) {
  const auto parent = open_parent(root, listed.path);
  if (!parent) return std::unexpected(parent.error());
  // A pipe in the place of a file must not hold anybody up.
  const os::Descriptor file(::openat(parent->number(), leaf_of(listed.path).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return failed(phrase("open {}", listed.path));
  std::string bytes(max, '\0');
  std::size_t filled = 0;
  while (filled < max) {
    const auto got = os::uninterrupted([&] { return ::pread(file.number(), bytes.data() + filled, max - filled, static_cast<off_t>(offset + filled)); });
    if (got < 0) return failed(phrase("read {}", listed.path));
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  // Afterwards: what was read was read before it changed.
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) return failed(phrase("read {}", listed.path));
  const Entry now = entry_of(listed.path, status);
  const bool same = S_ISREG(status.st_mode) && now.bytes == listed.bytes && now.modified_ns == listed.modified_ns && now.changed_ns == listed.changed_ns;
  if (!same) return fail(ErrorCode::kNotFound, phrase("send {}: it has changed since it was listed", listed.path));
  return bytes;
}

}  // namespace verbund::files
