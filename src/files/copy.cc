#include "files/copy.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::files {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> failed(Phrase operation) {
  const auto code = errno == ENOSPC || errno == EDQUOT ? ErrorCode::kDiskFull : ErrorCode::kIo;
  return std::unexpected(make_error(code, verbatim(std::strerror(errno))).in(std::move(operation)));
}

Status sync(int descriptor, const std::string& what) {
  return ::fsync(descriptor) == 0 ? Status{} : failed(phrase("write {}", what));
}

/// `path` itself or a folder above it.
bool lies_in(const std::set<std::string>& gone, std::string path) {
  while (true) {
    if (gone.contains(path)) return true;
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return false;
    path.resize(slash);
  }
}

std::string day_of(const Clock& clock) { return to_iso8601(clock.wall()).substr(0, 10); }

}  // namespace

Copy Copy::in_place(fs::path tree) {
  Copy copy(tree, tree / kOwnFolder / "mirror");
  copy.in_place_ = true;
  return copy;
}

std::string Copy::part_name(const Entry& entry) const {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a: another version of a file never goes on with this one's part
  for (const char c : fmt::format("{}/{}/{}/{}", entry.bytes, entry.modified_ns, entry.changed_ns, entry.path)) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  return fmt::format("{:016x}-{}", hash, entry.bytes);
}

bool Copy::same(const Entry& there, const Entry& here) const {
  if (there.directory || here.directory) return there.directory && here.directory;
  const auto known = changed_ns_.find(there.path);
  const bool changed = known != changed_ns_.end() && known->second != there.changed_ns;
  return !changed && there.bytes == here.bytes && there.modified_ns == here.modified_ns && there.mode == here.mode;
}

Status Copy::make_directory(const Entry& entry) {
  const auto parent = open_parent(tree(), entry.path);
  if (!parent) return std::unexpected(parent.error());
  if (::mkdirat(parent->number(), leaf_of(entry.path).c_str(), in_place_ ? (entry.mode & 0777U) | 0700U : 0700U) != 0 && errno != EEXIST) return failed(phrase("make the folder {}", entry.path));
  return sync(parent->number(), entry.path);
}

Status Copy::set_aside(const std::string& path, const Clock& clock) {
  const fs::path target = folder_ / "before" / day_of(clock) / path;
  if (auto made = os::make_directories(target.parent_path(), 0700); !made) return made;
  std::error_code error;
  fs::remove_all(target, error);  // an earlier one of this day
  if (error) return fail(ErrorCode::kIo, phrase("remove {}: {}", target.string(), error.message()));
  const auto parent = open_parent(tree(), path);
  if (!parent) return std::unexpected(parent.error());
  if (::renameat(parent->number(), leaf_of(path).c_str(), AT_FDCWD, target.c_str()) != 0) return failed(phrase("put {} aside", path));
  return sync(parent->number(), path);
}

Result<std::vector<Entry>> Copy::prepare(const Listing& listing, const Clock& clock) {
  if (auto made = os::make_directories(tree_, in_place_ ? 0755 : 0700); !made) return pass(made);
  for (const char* name : {"part", "before"}) {
    if (auto made = os::make_directories(folder_ / name, 0700); !made) return pass(made);
  }
  auto here = list_tree(tree());
  if (!here) return pass(here);
  if (listing.entries.empty() && !here->entries.empty()) {
    return fail(ErrorCode::kUnavailable, phrase("copy a folder: it is empty there, and here are {} entries; nothing is deleted", here->entries.size()),
                phrase("Is its disk mounted on production? Else remove the copy in {}.", tree().string()));
  }
  auto gone = set_aside_gone(listing, *here, clock);
  if (!gone) return pass(gone);
  std::map<std::string_view, const Entry*> present;
  for (const auto& entry : here->entries) {
    if (!lies_in(*gone, entry.path)) present.emplace(entry.path, &entry);
  }
  std::vector<Entry> missing;
  for (const auto& entry : listing.entries) {
    if (auto good = check_path(entry.path); !good) return pass(good);
    const auto found = present.find(entry.path);
    if (found != present.end() && same(entry, *found->second)) {
      if (!entry.directory) changed_ns_[entry.path] = entry.changed_ns;
    } else if (!entry.directory) {
      missing.push_back(entry);
    } else if (auto made = make_directory(entry); !made) {
      return pass(made);
    }
  }
  return missing;
}

/// What is there no more, or is of another kind there; what lies in a folder goes with it.
Result<std::set<std::string>> Copy::set_aside_gone(const Listing& listing, const Listing& here, const Clock& clock) {
  std::map<std::string_view, bool> directory_there;
  for (const auto& entry : listing.entries) directory_there.emplace(entry.path, entry.directory);
  std::set<std::string> gone;
  for (const auto& entry : here.entries) {
    const auto there = directory_there.find(entry.path);
    if ((there != directory_there.end() && there->second == entry.directory) || lies_in(gone, entry.path)) continue;
    if (auto put = set_aside(entry.path, clock); !put) return pass(put);
    changed_ns_.erase(entry.path);
    gone.insert(entry.path);
  }
  return gone;
}

std::uint64_t Copy::begun(const Entry& entry) const {
  struct stat status {};
  const auto part = folder_ / "part" / part_name(entry);
  if (::stat(part.c_str(), &status) != 0 || static_cast<std::uint64_t>(status.st_size) > entry.bytes) return 0;
  return static_cast<std::uint64_t>(status.st_size);
}

Status Copy::append(const Entry& entry, std::string_view bytes) {
  const auto part = folder_ / "part" / part_name(entry);
  const os::Descriptor file(::open(part.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return failed(phrase("write {}", entry.path));
  while (!bytes.empty()) {
    const auto written = os::uninterrupted([&] { return ::write(file.number(), bytes.data(), bytes.size()); });
    if (written < 0) return failed(phrase("write {}", entry.path));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return ::fdatasync(file.number()) == 0 ? Status{} : failed(phrase("write {}", entry.path));
}

Status Copy::finish(const Entry& entry) {
  const auto part = folder_ / "part" / part_name(entry);
  {
    const os::Descriptor file(::open(part.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    struct stat status {};
    if (!file || ::fstat(file.number(), &status) != 0) return failed(phrase("write {}", entry.path));
    if (static_cast<std::uint64_t>(status.st_size) != entry.bytes) {
      ::unlink(part.c_str());
      return fail(ErrorCode::kDamaged, phrase("copy {}: what has come is not as long as was said", entry.path));
    }
    const timespec modified{entry.modified_ns / 1'000'000'000, entry.modified_ns % 1'000'000'000};
    const timespec times[] = {modified, modified};
    if (::fchmod(file.number(), entry.mode & 0777U) != 0 || ::futimens(file.number(), times) != 0) return failed(phrase("write {}", entry.path));
    if (auto synced = sync(file.number(), entry.path); !synced) return synced;
  }
  const auto parent = open_parent(tree(), entry.path);
  if (!parent) return std::unexpected(parent.error());
  if (::renameat(AT_FDCWD, part.c_str(), parent->number(), leaf_of(entry.path).c_str()) != 0) return failed(phrase("write {}", entry.path));
  changed_ns_[entry.path] = entry.changed_ns;
  return sync(parent->number(), entry.path);
}

Status Copy::forget_old(const std::vector<Entry>& wanted, std::chrono::days days, const Clock& clock) {
  std::set<std::string> parts;
  for (const auto& entry : wanted) parts.insert(part_name(entry));
  const std::string oldest = to_iso8601(clock.wall() - days).substr(0, 10);
  std::vector<fs::path> old;
  std::error_code error;
  for (fs::directory_iterator at(folder_ / "part", error), end; !error && at != end; at.increment(error)) {
    if (!parts.contains(at->path().filename().string())) old.push_back(at->path());
  }
  for (fs::directory_iterator at(folder_ / "before", error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename().string() < oldest) old.push_back(at->path());
  }
  for (const auto& path : old) {
    fs::remove_all(path, error);
    if (error) return fail(ErrorCode::kIo, phrase("remove {}: {}", path.string(), error.message()));
  }
  return error ? Status(fail(ErrorCode::kIo, phrase("read {}: {}", folder_.string(), error.message()))) : Status{};
}

}  // namespace verbund::files
