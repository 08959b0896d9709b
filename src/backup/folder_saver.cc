#include "backup/folder_saver.h"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/messages.h"

namespace verbund::backup {
namespace {

/// Names of files with several of them, kept until the last was seen. Beyond that such files are saved again under each name.
constexpr std::size_t kMaxSeenFiles = 200'000;
constexpr std::uint64_t kTellEvery = 1024 * 1024;
/// From here on the kernel is asked to read ahead further.
constexpr off_t kLargeFile = 1024 * 1024;

bool means_exhausted(int error) { return error == EMFILE || error == ENFILE || error == ENOMEM; }
bool means_replaced(int error) { return error == ENOENT || error == ELOOP || error == ENOTDIR || error == ENXIO; }

/// Not through a link, never waiting for the other end of a pipe, without a trace in the access time where we may.
int open_to_read(int parent, const char* name) {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const int file = os::uninterrupted([&] { return ::openat(parent, name, kFlags | O_NOATIME); });
  if (file >= 0 || errno != EPERM) return file;
  return os::uninterrupted([&] { return ::openat(parent, name, kFlags); });
}

/// Where the file holds something. Too many small holes: the last extent takes all the rest.
std::vector<Extent> extents_of(int descriptor, std::uint64_t size) {
  std::vector<Extent> extents;
  std::uint64_t at = 0;
  while (at < size) {
    const off_t begin = ::lseek(descriptor, static_cast<off_t>(at), SEEK_DATA);
    if (begin < 0) break;
    const off_t hole = ::lseek(descriptor, begin, SEEK_HOLE);
    const bool last = hole < 0 || extents.size() + 2 >= kMaxExtents;
    const auto from = static_cast<std::uint64_t>(begin);
    at = last ? size : std::min(size, static_cast<std::uint64_t>(hole));
    if (from >= at) break;  // it has just become shorter
    extents.push_back({from, at - from});
  }
  // As GNU tar has it: a hole at the end is closed by an empty extent.
  if (extents.empty() || extents.back().offset + extents.back().length < size) extents.push_back({size, 0});
  return extents;
}

MemberType type_of(mode_t mode) {
  if (S_ISLNK(mode)) return MemberType::kSymbolicLink;
  if (S_ISCHR(mode)) return MemberType::kCharacterDevice;
  if (S_ISBLK(mode)) return MemberType::kBlockDevice;
  if (S_ISDIR(mode)) return MemberType::kFolder;
  return S_ISFIFO(mode) ? MemberType::kFifo : MemberType::kFile;
}

/// Empty: it is no link any more.
std::string read_link(int parent, const char* name) {
  std::string text(256, '\0');
  while (true) {
    const ssize_t bytes = ::readlinkat(parent, name, text.data(), text.size());
    if (bytes < 0) return {};
    if (static_cast<std::size_t>(bytes) < text.size()) {
      text.resize(static_cast<std::size_t>(bytes));
      return text;
    }
    text.resize(text.size() * 2);
  }
}

}  // namespace

TreeMember member_of(const Found& found, OwnerNames& names) {
  TreeMember member;
  member.path = found.path;
  member.type = type_of(found.status.st_mode);
  member.size = S_ISREG(found.status.st_mode) ? static_cast<std::uint64_t>(found.status.st_size) : 0;
  member.mode = found.status.st_mode & 07777;
  member.uid = found.status.st_uid;
  member.gid = found.status.st_gid;
  member.owner = names.user(found.status.st_uid);
  member.group = names.group(found.status.st_gid);
  member.modified = {found.status.st_mtim.tv_sec, static_cast<std::uint32_t>(found.status.st_mtim.tv_nsec)};
  if (S_ISCHR(found.status.st_mode) || S_ISBLK(found.status.st_mode)) {
    member.device_major = major(found.status.st_rdev);
    member.device_minor = minor(found.status.st_rdev);
  }
  return member;
}

FolderSaver::FolderSaver(const SaveFolderOptions& options, Sink& archive, Sink* index, Progress& progress, SavedFolder& result)
    : options_(&options), progress_(&progress), result_(&result), tar_(archive), index_(index), attributes_(names_) {}

Status FolderSaver::finish() {
  if (auto ended = tar_.finish(); !ended) return ended;
  progress_->moved(options_->label, done_, options_->expected_bytes);
  return index_.finish();
}

Status FolderSaver::wanted() const {
  if (!progress_->cancelled()) return {};
  return fail(ErrorCode::kCancelled, phrase("save {}: given up", options_->root.string()));
}

Status FolderSaver::folder(const Found& found) {
  TreeMember member = member_of(found, names_);
  if (found.folder >= 0) read_attributes({found.folder, false}, found.path, member);
  ++result_->counts.folders;
  if (auto still = wanted(); !still) return still;
  return write(member);
}

Status FolderSaver::entry(const Found& found) {
  if (S_ISREG(found.status.st_mode)) return file(found);
  if (S_ISSOCK(found.status.st_mode)) {
    result_->findings.left_out.add(found.path, "socket");
    return {};
  }
  return other(found, type_of(found.status.st_mode));
}

Status FolderSaver::other(const Found& found, MemberType type) {
  TreeMember member = member_of(found, names_);
  const os::Descriptor node(::openat(found.parent, found.name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat now{};
  if (type == MemberType::kSymbolicLink) member.link = read_link(found.parent, found.name);
  const bool vanished = !node || ::fstat(node.number(), &now) != 0 || !unchanged(found.status, now);
  if (vanished || (type == MemberType::kSymbolicLink && member.link.empty())) {
    if (!node && means_exhausted(errno)) return os::failed_call(phrase("open {}", shown_path(found.path)), errno);
    result_->findings.changed.add(found.path, "vanished");
    return {};
  }
  read_attributes({node.number(), true}, found.path, member);
  if (type == MemberType::kSymbolicLink) ++result_->counts.links;
  return write(member);
}

Status FolderSaver::write(const TreeMember& member) {
  ++result_->counts.members;
  if (auto begun = tar_.begin(member); !begun) return begun;
  return index_.add(index_line(member));
}

void FolderSaver::read_attributes(OpenFile file, std::string_view path, TreeMember& member) {
  const int error = attributes_.read(file, member);
  if (error != 0) result_->findings.unreadable.add(path, std::string("attributes: ") + std::strerror(error));
}

Status FolderSaver::file(const Found& found) {
  const os::Descriptor opened(open_to_read(found.parent, found.name));
  if (!opened) {
    if (means_exhausted(errno)) return os::failed_call(phrase("open {}", shown_path(found.path)), errno);
    if (means_replaced(errno)) result_->findings.changed.add(found.path, "vanished");
    else result_->findings.unreadable.add(found.path, std::strerror(errno));
    return {};
  }
  struct stat before{};
  if (const int error = settled_status(opened.number(), before); error != 0) {
    result_->findings.unreadable.add(found.path, std::strerror(error));
    return {};
  }
  if (!S_ISREG(before.st_mode) || before.st_ino != found.status.st_ino || before.st_dev != found.status.st_dev) {
    result_->findings.changed.add(found.path, "replaced");
    return {};
  }
  auto known = another_name(found, before);
  if (!known || *known) return known ? Status{} : pass(known);
  return open_file(found, opened.number(), before);
}

/// True: the content is in the archive under another name, and a hard link was written.
Result<bool> FolderSaver::another_name(const Found& found, const struct stat& status) {
  const auto seen = status.st_nlink > 1 ? seen_.find({status.st_dev, status.st_ino}) : seen_.end();
  if (seen == seen_.end()) return false;
  if (!unchanged(seen->second.status, status)) result_->findings.changed.add(found.path);
  Found same = found;
  same.status = status;
  TreeMember member = member_of(same, names_);
  member.type = MemberType::kHardLink;
  member.size = 0;
  member.link = seen->second.path;
  if (--seen->second.names_left == 0) seen_.erase(seen);
  ++result_->counts.links;
  if (auto written = write(member); !written) return pass(written);
  return true;
}

void FolderSaver::remember_name(std::string_view path, const struct stat& status) {
  if (status.st_nlink < 2 || seen_.size() >= kMaxSeenFiles) return;
  seen_.insert_or_assign({status.st_dev, status.st_ino}, SeenFile{std::string(path), status, status.st_nlink - 1});
}

Status FolderSaver::open_file(const Found& found, int descriptor, const struct stat& before) {
  Found now = found;
  now.status = before;
  TreeMember member = member_of(now, names_);
  read_attributes({descriptor, false}, found.path, member);
  if (before.st_blocks * 512 < before.st_size) {
    member.extents = extents_of(descriptor, member.size);
    // Compressed or kept beside its inode, not holed.
    member.sparse = member.extents.front() != Extent{0, member.size};
  }
  if (before.st_size >= kLargeFile) (void)::posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
  if (auto begun = tar_.begin(member); !begun) return begun;
  Sha256 hash;
  auto whole = copy(descriptor, member, hash);
  if (!whole) return pass(whole);
  struct stat after{}, named{};
  const bool same = ::fstat(descriptor, &after) == 0 && unchanged(before, after) &&
                    ::fstatat(found.parent, found.name, &named, AT_SYMLINK_NOFOLLOW) == 0 && unchanged(before, named);
  if (*whole && !same) result_->findings.changed.add(found.path);
  remember_name(found.path, before);
  IndexLine line = index_line(member);
  line.changed = !*whole || !same;
  if (!line.changed) line.sha256 = hash.hex();
  FolderCounts& counts = result_->counts;
  ++counts.members;
  ++counts.files;
  counts.bytes += member.size;
  counts.stored += member.stored();
  return index_.add(line);
}

/// False: it could not be read to its end, which is told; the rest is NULs.
Result<bool> FolderSaver::copy(int descriptor, const TreeMember& member, Sha256& hash) {
  const Extent all{0, member.size};
  const std::span<const Extent> extents = member.sparse ? std::span<const Extent>(member.extents) : std::span(&all, 1);
  for (const Extent& extent : extents) {
    auto whole = copy_extent(descriptor, extent, member, hash);
    if (!whole) return whole;
    if (*whole) continue;
    if (auto filled = tar_.fill_with_nothing(); !filled) return pass(filled);
    return false;
  }
  return true;
}

Result<bool> FolderSaver::copy_extent(int descriptor, const Extent& extent, const TreeMember& member, Sha256& hash) {
  for (std::uint64_t at = 0; at < extent.length;) {
    auto space = tar_.room();
    if (!space) return pass(space);
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(space->size(), extent.length - at));
    const ssize_t got = os::uninterrupted([&] { return ::pread(descriptor, space->data(), wanted, static_cast<off_t>(extent.offset + at)); });
    if (got <= 0) {
      if (got == 0) result_->findings.changed.add(member.path, "became shorter");
      else result_->findings.unreadable.add(member.path, std::strerror(errno));
      return false;
    }
    const auto bytes = static_cast<std::size_t>(got);
    hash.update(std::string_view(space->data(), bytes));
    tar_.fill(bytes);
    at += bytes;
    done_ += bytes;
    if (auto heard = told(); !heard) return pass(heard);
  }
  return true;
}

Status FolderSaver::told() {
  if (done_ - told_ < kTellEvery) return {};
  told_ = done_;
  progress_->moved(options_->label, done_, options_->expected_bytes);
  return wanted();
}

}  // namespace verbund::backup
