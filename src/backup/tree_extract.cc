#include "backup/tree_extract.h"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/messages.h"

namespace verbund::backup {
namespace {

std::unexpected<Error> damaged(const TreeMember& member, Phrase what) {
  return std::unexpected(make_error(ErrorCode::kDamaged, std::move(what)).in(phrase("member {}", shown_path(member.path))));
}

std::unexpected<Error> failed(const TreeMember& member, int error) { return os::failed_call(phrase("unpack {}", shown_path(member.path)), error); }

bool is_above(std::string_view folder, std::string_view path) {
  return folder.empty() ? !path.empty() : path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

os::Descriptor open_below(int parent, const std::string& name) {
  return os::Descriptor(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

}  // namespace

std::string staging_name(const RestoreRecord& record) { return ".verbund-restore-" + record.id; }

Result<os::Descriptor> open_folder(const std::string& base, const std::string& folder) {
  os::Descriptor opened(::open(base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (std::size_t depth = 1; opened && depth <= depth_of(folder); ++depth) {
    const std::string name(name_of_path(first_parts(folder, depth)));
    // The first part is the application's root, which may be a link of the administrator's.
    opened = depth == 1 ? os::Descriptor(::openat(opened.number(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))
                        : open_below(opened.number(), name);
  }
  if (!opened) return os::failed_call(phrase("open {}", shown_path(base + "/" + folder)), errno);
  return opened;
}

TreeExtract::TreeExtract(const RestoreFolderOptions& options, RestorePlan& plan, RestoredFolder& result, Progress& progress)
    : options_(&options), plan_(&plan), result_(&result), progress_(&progress) {}

Status TreeExtract::run(Source& archive) {
  TarReader reader(archive);
  reader_ = &reader;
  TreeMember member;
  while (true) {
    auto more = reader.next(member);
    if (!more) return pass(more);
    if (!*more) return leave_until({});
    if (auto still = told(); !still) return still;
    if (auto taken = take(member); !taken) return taken;
  }
}

Status TreeExtract::told() const {
  progress_->moved(options_->label, reader_->position(), 0);
  if (!progress_->cancelled()) return {};
  return fail(ErrorCode::kCancelled, phrase("restore into {}: given up", options_->into.string()));
}

Status TreeExtract::take(const TreeMember& member) {
  if (any_ && compare_paths(previous_, member.path) >= 0) return damaged(member, phrase("out of order"));
  if (auto left = leave_until(member.path); !left) return left;
  const bool root = member.path.empty();
  if (root == any_ || (!root && (above_.empty() || above_.back().member.path != parent_of(member.path)))) {
    return damaged(member, phrase("its folder is not in the archive"));
  }
  any_ = true;
  previous_ = member.path;
  const bool covered = options_->wanted.judge(member.path).covered;
  const auto placement = covered ? placement_of(*plan_, member.path) : std::nullopt;
  if (covered && !placement) return damaged(member, phrase("in the archive, not in the index"));
  if (!covered) {
    if (member.type == MemberType::kFolder) above_.push_back({member, false});
    return member.type == MemberType::kFile && plan_->linked.contains(member.path) ? make_loose(member) : Status{};
  }
  if (auto gone = go_to(placement->first); !gone) return gone;
  for (Above& above : above_) {
    const std::size_t depth = depth_of(above.member.path);
    if (above.made || depth < placement->second) continue;
    if (auto made = make_folder(above.member, staged_name(above.member.path, placement->first, placement->second)); !made) return made;
    above.made = true;
  }
  const std::string name = staged_name(member.path, placement->first, placement->second);
  count(member);
  if (member.type != MemberType::kFolder) return make(member, name);
  if (auto made = make_folder(member, name); !made) return made;
  above_.push_back({member, true});
  return {};
}

std::string TreeExtract::staged_name(std::string_view path, std::size_t placement, std::size_t depth) const {
  return depth_of(path) == depth ? fmt::to_string(placement) : std::string(name_of_path(path));
}

/// Folders that the path is not in are complete: their rights and times are set last. Empty at the end of the archive: all of them.
Status TreeExtract::leave_until(std::string_view path) {
  while (!above_.empty() && !is_above(above_.back().member.path, path)) {
    if (above_.back().made) {
      if (auto finished = finish_folder(); !finished) return finished;
    }
    above_.pop_back();
  }
  return {};
}

Status TreeExtract::make_folder(const TreeMember& member, const std::string& name) {
  if (::mkdirat(stack_->folder(), name.c_str(), 0700) != 0) return failed(member, errno);
  const int error = stack_->enter(name.c_str());
  return error == 0 ? Status{} : failed(member, error);
}

Status TreeExtract::finish_folder() {
  os::Descriptor folder;
  const TreeMember& member = above_.back().member;
  if (const int error = stack_->leave(&folder); error != 0) return failed(member, error);
  set_all(member, {folder.number(), false});
  return {};
}

Status TreeExtract::go_to(std::size_t number) {
  const Placement& placement = plan_->record.placements[number];
  if (stack_ && (stack_->depth() > 0 || stack_folder_ == placement.folder)) return {};
  auto folder = open_folder(plan_->record.base, placement.folder);
  if (!folder) return pass(folder);
  os::Descriptor staging = open_below(folder->number(), staging_name(plan_->record));
  if (!staging) return os::failed_call(phrase("open {}", staging_name(plan_->record)), errno);
  stack_.emplace(std::move(staging));
  stack_folder_ = placement.folder;
  return {};
}

Status TreeExtract::make(const TreeMember& member, const std::string& name) {
  switch (member.type) {
    case MemberType::kFile: {
      if (auto made = make_file(member, stack_->folder(), name); !made) return made;
      return plan_->linked.contains(member.path) ? keep_for_links(member, stack_->folder(), name) : Status{};
    }
    case MemberType::kHardLink: return make_link(member, name);
    case MemberType::kSymbolicLink:
    case MemberType::kFifo: return make_node(member, name);
    default: result_->left_out.add(member.path, "device"); return {};
  }
}

Status TreeExtract::make_file(const TreeMember& member, int folder, const std::string& name) {
  const os::Descriptor file(::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return failed(member, errno);
  if (auto written = write_content(member, file.number()); !written) return written;
  set_all(member, {file.number(), false});
  return {};
}

Status TreeExtract::write_content(const TreeMember& member, int file) {
  while (true) {
    auto piece = reader_->content();
    if (!piece) return pass(piece);
    if (piece->bytes.empty()) break;
    auto [at, bytes] = *piece;
    while (!bytes.empty()) {
      const ssize_t written = os::uninterrupted([&] { return ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at)); });
      if (written < 0) return failed(member, errno);
      at += static_cast<std::uint64_t>(written);
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    if (auto still = told(); !still) return still;
  }
  if (member.sparse && ::ftruncate(file, static_cast<off_t>(member.size)) != 0) return failed(member, errno);
  return {};
}

/// A second name in staging, by which links from anywhere find the file; removed before anything is moved in.
Status TreeExtract::keep_for_links(const TreeMember& member, int folder, const std::string& name) {
  auto above = open_folder(plan_->record.base, stack_folder_);
  if (!above) return pass(above);
  const auto staging = open_below(above->number(), staging_name(plan_->record));
  const auto links = open_below(staging.number(), kLooseFiles);
  const Loose loose{stack_folder_, next_loose_++};
  if (!links || ::linkat(folder, name.c_str(), links.number(), fmt::to_string(loose.number).c_str(), 0) != 0) return failed(member, errno);
  loose_.insert_or_assign(member.path, loose);
  return {};
}

/// A file that is not in the list, but has the content of one that is.
Status TreeExtract::make_loose(const TreeMember& member) {
  const std::string& folder = plan_->record.placements.front().folder;
  auto above = open_folder(plan_->record.base, folder);
  if (!above) return pass(above);
  const auto staging = open_below(above->number(), staging_name(plan_->record));
  const auto links = open_below(staging.number(), kLooseFiles);
  if (!links) return failed(member, errno);
  const Loose loose{folder, next_loose_++};
  loose_.insert_or_assign(member.path, loose);
  return make_file(member, links.number(), fmt::to_string(loose.number));
}

Status TreeExtract::make_link(const TreeMember& member, const std::string& name) {
  const auto loose = loose_.find(member.link);
  if (loose == loose_.end()) return damaged(member, phrase("a hard link to what is not there"));
  auto above = open_folder(plan_->record.base, loose->second.folder);
  if (!above) return pass(above);
  const auto staging = open_below(above->number(), staging_name(plan_->record));
  const auto links = open_below(staging.number(), kLooseFiles);
  if (!links) return failed(member, errno);
  const std::string number = fmt::to_string(loose->second.number);
  if (::linkat(links.number(), number.c_str(), stack_->folder(), name.c_str(), 0) == 0) return {};
  if (errno != EXDEV && errno != EMLINK && errno != EPERM) return failed(member, errno);
  const os::Descriptor from(::openat(links.number(), number.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!from) return failed(member, errno);
  return copy_link(member, from.number(), name);
}

/// On another file system, or where there are no hard links: a file of its own.
Status TreeExtract::copy_link(const TreeMember& member, int from, const std::string& name) {
  const os::Descriptor file(::openat(stack_->folder(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return failed(member, errno);
  std::vector<char> buffer(1024 * 1024);
  for (off_t at = 0;;) {
    const ssize_t got = os::uninterrupted([&] { return ::pread(from, buffer.data(), buffer.size(), at); });
    if (got < 0) return failed(member, errno);
    if (got == 0) break;
    const ssize_t written = os::uninterrupted([&] { return ::pwrite(file.number(), buffer.data(), static_cast<std::size_t>(got), at); });
    if (written <= 0) return failed(member, errno);
    at += written;
  }
  set_all(member, {file.number(), false});
  result_->not_set.add(member.path, "hard link");
  return {};
}

Status TreeExtract::make_node(const TreeMember& member, const std::string& name) {
  const int made = member.type == MemberType::kFifo ? ::mkfifoat(stack_->folder(), name.c_str(), 0600)
                                                    : ::symlinkat(member.link.c_str(), stack_->folder(), name.c_str());
  if (made != 0) return failed(member, errno);
  const os::Descriptor node(::openat(stack_->folder(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!node) return failed(member, errno);
  set_all(member, {node.number(), true});
  return {};
}

void TreeExtract::count(const TreeMember& member) {
  FolderCounts& counts = result_->counts;
  ++counts.members;
  if (member.type == MemberType::kFolder) ++counts.folders;
  if (member.type == MemberType::kHardLink || member.type == MemberType::kSymbolicLink) ++counts.links;
  if (member.type != MemberType::kFile) return;
  ++counts.files;
  counts.bytes += member.size;
  counts.stored += member.stored();
}

/// Owner first, since that takes rights away; the time last, since everything else changes it.
void TreeExtract::set_all(const TreeMember& given, OpenFile file) {
  TreeMember member = given;
  const bool link = member.type == MemberType::kSymbolicLink;
  std::vector<std::string> not_set;
  const std::uint32_t uid = names_.user_id(member.owner).value_or(static_cast<std::uint32_t>(member.uid));
  const std::uint32_t gid = names_.group_id(member.group).value_or(static_cast<std::uint32_t>(member.gid));
  if (::fchownat(file.descriptor, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) not_set.emplace_back("owner");
  if (!options_->allow_set_id && member.type != MemberType::kFolder) {
    if ((member.mode & (S_ISUID | S_ISGID)) != 0 && !link) not_set.emplace_back("set-user-ID");
    if (std::erase_if(member.attributes, [](const auto& each) { return each.first == "security.capability"; }) > 0) not_set.emplace_back("capabilities");
    if (!link) member.mode &= ~static_cast<std::uint32_t>(S_ISUID | S_ISGID);
  }
  set_attributes(file, member, names_, not_set);
  const std::string reached = fmt::format("/proc/self/fd/{}", file.descriptor);
  if (!link && (file.path_only ? ::chmod(reached.c_str(), member.mode) : ::fchmod(file.descriptor, member.mode)) != 0) not_set.emplace_back("rights");
  const timespec times[2] = {{0, UTIME_OMIT}, {member.modified.seconds, static_cast<long>(member.modified.nanoseconds)}};
  const int timed = file.path_only ? ::utimensat(file.descriptor, "", times, AT_EMPTY_PATH) : ::futimens(file.descriptor, times);
  if (timed != 0) not_set.emplace_back("time");
  for (const std::string& what : not_set) result_->not_set.add(member.path, what);
}

}  // namespace verbund::backup
