#include "backup/tree_walk.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <memory>

#include <dirent.h>
#include <fcntl.h>

#include "backup/tar_reader.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

/// The kernel stamps files with a clock that moves every 1 to 10 ms.
constexpr std::int64_t kTickNanoseconds = 20'000'000;

/// Nanoseconds; of spans that matter to nobody here only the sign is right (a file system may say any time at all).
std::int64_t since(const timespec& earlier, const timespec& later) {
  constexpr std::int64_t kLong = 1000;
  const std::int64_t whole = std::clamp(later.tv_sec - earlier.tv_sec, -kLong, kLong);
  return whole * 1'000'000'000 + (later.tv_nsec - earlier.tv_nsec);
}

bool same_time(const timespec& left, const timespec& right) { return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec; }

bool means_exhausted(int error) { return error == EMFILE || error == ENFILE || error == ENOMEM; }

bool is_mount_point(int folder) {
  struct statx known{};
  if (::statx(folder, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &known) == 0 && (known.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0) {
    return (known.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  }
  struct stat own{}, above{};
  return ::fstat(folder, &own) == 0 && ::fstatat(folder, "..", &above, 0) == 0 && own.st_dev != above.st_dev;
}

}  // namespace

int settled_status(int descriptor, struct stat& status) {
  if (::fstat(descriptor, &status) != 0) return errno;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t age = since(status.st_ctim, now);
  if (age < 0 || age >= kTickNanoseconds) return 0;
  const timespec rest{0, kTickNanoseconds - age};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, nullptr);
  return ::fstat(descriptor, &status) == 0 ? 0 : errno;
}

bool unchanged(const struct stat& before, const struct stat& after) {
  return before.st_dev == after.st_dev && before.st_ino == after.st_ino && before.st_size == after.st_size &&
         same_time(before.st_mtim, after.st_mtim) && same_time(before.st_ctim, after.st_ctim);
}

TreeWalk::TreeWalk(const SaveFolderOptions& options, TreeVisitor& visitor, FolderFindings& findings)
    : options_(&options), visitor_(&visitor), findings_(&findings) {}

Status TreeWalk::compile() {
  auto saved = saved_paths(options_->lists, options_->version);
  if (!saved) return pass(saved);
  auto excluded = excluded_paths(options_->lists, options_->version);
  if (!excluded) return pass(excluded);
  auto restored = restored_paths(options_->lists, options_->version);
  if (!restored) return pass(restored);
  saved_ = *saved;
  excluded_ = *excluded;
  restored_ = *restored;
  saved_hits_.assign(saved_.entries().size(), false);
  restored_hits_.assign(restored_.entries().size(), false);
  mounted_.assign(options_->mount_points.size(), false);
  return {};
}

Result<bool> TreeWalk::open_root() {
  os::Descriptor root(os::uninterrupted([&] { return ::open(options_->root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (root) {
    stack_.emplace(std::move(root));
    return true;
  }
  if (means_exhausted(errno)) return os::failed_call(phrase("open {}", options_->root.string()), errno);
  if (errno == ENOENT || errno == ENOTDIR) {
    if (!options_->optional) findings_->missing.add(options_->root.native());
  } else {
    findings_->unreadable.add(options_->root.native(), std::strerror(errno));
  }
  return false;
}

Status TreeWalk::run() {
  if (auto compiled = compile(); !compiled) return compiled;
  auto opened = open_root();
  if (!opened || !*opened) return opened ? Status{} : pass(opened);
  (void)wanted(true);
  Found found;
  found.folder = stack_->folder();
  if (const int error = settled_status(found.folder, found.status); error != 0) return os::failed_call(phrase("look at {}", options_->root.string()), error);
  check_mount_point(found.folder);
  if (auto visited = visitor_->folder(found); !visited) return visited;
  Level root;
  root.before = found.status;
  if (auto read = read_names(root); !read) return read;
  levels_.push_back(std::move(root));
  while (!levels_.empty()) {
    Level& level = levels_.back();
    Status done;
    if (level.next == level.order.size()) {
      done = leave();
    } else {
      done = visit(level.names.data() + level.order[level.next++]);
    }
    if (!done) return done;
  }
  tell_missing();
  return {};
}

/// Whether path_ is to be visited. Folders on the way to something that is saved are, too: their rights and times belong to it.
bool TreeWalk::wanted(bool is_folder) {
  const auto saved = saved_.judge(path_, &saved_hits_);
  if (!saved.covered && !(saved.leads && is_folder)) return false;
  if (excluded_.judge(path_).covered) return false;
  if (!all_hit_ && !restored_hits_.empty()) {
    (void)restored_.judge(path_, &restored_hits_);
    all_hit_ = std::ranges::find(restored_hits_, false) == restored_hits_.end();
  }
  return true;
}

Status TreeWalk::visit(const char* name) {
  path_.resize(levels_.back().path_bytes);
  if (!path_.empty()) path_ += '/';
  path_ += name;
  Found found;
  found.path = path_;
  found.name = name;
  found.parent = stack_->folder();
  if (::fstatat(found.parent, name, &found.status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (means_exhausted(errno)) return os::failed_call(phrase("look at {}", shown_path(path_)), errno);
    if (errno == ENOENT) findings_->changed.add(path_, "vanished");
    else findings_->unreadable.add(path_, std::strerror(errno));
    return {};
  }
  if (path_.size() > kMaxMemberPathBytes) {
    findings_->unreadable.add(path_, "its path is too long");
    return {};
  }
  const bool is_folder = S_ISDIR(found.status.st_mode);
  if (!wanted(is_folder)) return {};
  return is_folder ? visit_folder(name, found) : visitor_->entry(found);
}

Status TreeWalk::visit_folder(const char* name, const Found& seen) {
  Found found = seen;
  if (const int error = stack_->enter(name); error != 0) {
    if (means_exhausted(error)) return os::failed_call(phrase("open {}", shown_path(path_)), error);
    const bool replaced = error == ENOENT || error == ENOTDIR || error == ELOOP;
    if (replaced) findings_->changed.add(path_, "vanished");
    else findings_->unreadable.add(path_, std::strerror(error));
    // Its name and rights are saved all the same; that its contents are not is told.
    return replaced ? Status{} : visitor_->folder(found);
  }
  found.folder = stack_->folder();
  if (const int error = settled_status(found.folder, found.status); error != 0) {
    findings_->unreadable.add(path_, std::strerror(error));
    (void)stack_->leave();
    return {};
  }
  check_mount_point(found.folder);
  if (auto visited = visitor_->folder(found); !visited) return visited;
  Level level;
  level.path_bytes = path_.size();
  level.before = found.status;
  if (auto read = read_names(level); !read) return read;
  levels_.push_back(std::move(level));
  return {};
}

Status TreeWalk::read_names(Level& level) {
  const int again = ::openat(stack_->folder(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return os::failed_call(phrase("open {}", shown_path(path_)), errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(again), ::closedir);
  if (!folder) return os::failed_call(phrase("open {}", shown_path(path_)), errno);
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) break;
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    if (level.names.size() > UINT32_MAX - 256) return fail(ErrorCode::kTooLarge, phrase("{}: too many names in one folder", shown_path(path_)));
    level.order.push_back(static_cast<std::uint32_t>(level.names.size()));
    level.names.append(entry->d_name, std::strlen(entry->d_name) + 1);
  }
  if (errno != 0) findings_->unreadable.add(path_, std::strerror(errno));
  const char* names = level.names.data();
  std::ranges::sort(level.order, [names](std::uint32_t left, std::uint32_t right) { return std::strcmp(names + left, names + right) < 0; });
  return {};
}

/// What came or went in the folder since its names were read is not in the archive, or not as it was.
Status TreeWalk::leave() {
  const Level& level = levels_.back();
  path_.resize(level.path_bytes);
  struct stat after{};
  if (::fstat(stack_->folder(), &after) != 0) return os::failed_call(phrase("look at {}", shown_path(path_)), errno);
  if (!unchanged(level.before, after)) findings_->changed.add(path_, "names came or went");
  levels_.pop_back();
  if (levels_.empty()) return {};
  const int error = stack_->leave();
  if (error == ESTALE) return fail(ErrorCode::kIo, phrase("save {}: the folder was moved while it was read", shown_path(path_)));
  return error == 0 ? Status{} : os::failed_call(phrase("leave {}", shown_path(path_)), error);
}

void TreeWalk::check_mount_point(int folder) {
  for (std::size_t i = 0; i < mounted_.size(); ++i) {
    if (options_->mount_points[i] == path_) mounted_[i] = is_mount_point(folder);
  }
}

void TreeWalk::tell_missing() {
  const auto tell = [&](const PathSet& set, const std::vector<bool>& hits) {
    for (std::size_t i = 0; i < hits.size(); ++i) {
      const std::string& pattern = set.entries()[i].pattern;
      if (!hits[i] && !set.entries()[i].optional && std::ranges::find(findings_->missing.names, shown_path(pattern)) == findings_->missing.names.end()) {
        findings_->missing.add(pattern);
      }
    }
  };
  tell(saved_, saved_hits_);
  tell(restored_, restored_hits_);
  for (std::size_t i = 0; i < mounted_.size(); ++i) {
    if (!mounted_[i]) findings_->missing.add(options_->mount_points[i], "not mounted");
  }
}

}  // namespace verbund::backup
