#include "backup/restore_plan.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include "backup/folder_stack.h"
#include "backup/tar_reader.h"
#include "base/messages.h"
#include "platform/os/random.h"

namespace verbund::backup {
namespace {

/// A file takes at least a block, and its folder entry.
constexpr std::uint64_t kBytesPerMember = 4096;
constexpr std::uint64_t kReserveBytes = 16 * 1024 * 1024;

/// What is at a name in a folder of the destination.
struct Present {
  std::string name;  ///< as it stands there
  struct stat status{};
};

/// Goes through the members, in the archive's order.
Status each_member(const OpenSource& archive, const OpenSource& index, const std::function<Status(const IndexLine&)>& take) {
  if (index) {
    auto source = index();
    if (!source) return pass(source);
    IndexReader reader(**source);
    while (true) {
      auto line = reader.next();
      if (!line) return pass(line);
      if (!*line) return {};
      if (auto taken = take(**line); !taken) return taken;
    }
  }
  auto source = archive();
  if (!source) return pass(source);
  TarReader reader(**source);
  TreeMember member;
  while (true) {
    auto more = reader.next(member);
    if (!more) return pass(more);
    if (!*more) return {};
    if (auto taken = take(index_line(member)); !taken) return taken;
  }
}

class Planner {
 public:
  Planner(const RestoreFolderOptions& options, const OpenSource& archive, const OpenSource& index)
      : options_(&options), archive_(&archive), index_(&index), hits_(options.wanted.entries().size()) {}

  Result<RestorePlan> run() {
    if (auto base = find_base(); !base) return pass(base);
    auto read = each_member(*archive_, *index_, [this](const IndexLine& line) { return take(line); });
    if (!read) return pass(read);
    tell_missing();
    for (const auto& [unit, bytes] : units_) {
      if (auto placed = place(unit, bytes); !placed) return pass(placed);
    }
    if (auto space = check_space(); !space) return pass(space);
    return std::move(plan_);
  }

 private:
  Status find_base();
  Status take(const IndexLine& line);
  void tell_missing();
  Status place(const std::string& unit, std::uint64_t bytes);
  Result<std::optional<Present>> look(int folder, std::string_view name, std::string_view path) const;
  Status add(std::string_view path, std::string_view folder, int opened, std::string_view name, const std::optional<Present>& present, std::uint64_t bytes);
  Result<std::string> free_name(int folder, const std::string& name) const;
  Status check_space() const;

  const RestoreFolderOptions* options_;
  const OpenSource* archive_;
  const OpenSource* index_;
  RestorePlan plan_;
  std::vector<bool> hits_;
  std::map<std::string, std::uint64_t> units_;  ///< selected paths that no other is above of; bytes
  std::string unit_;
  std::string previous_;
  bool any_ = false, in_unit_ = false;
  os::Descriptor base_;
  bool into_present_ = false;
  std::string into_name_;
  struct Need {
    std::uint64_t bytes = 0;
    std::string folder;
  };
  std::map<dev_t, Need> needs_;
};

Status Planner::find_base() {
  std::error_code error;
  auto into = std::filesystem::absolute(options_->into, error).lexically_normal();
  if (error) return os::failed_call(phrase("restore into {}", options_->into.string()), error.value());
  if (!into.has_filename()) into = into.parent_path();
  if (into == into.root_path()) return fail(ErrorCode::kBadConfig, phrase("restore into {}: that is the whole machine", into.string()));
  into_name_ = into.filename().native();
  plan_.record.id = os::random_hex(8);
  plan_.record.base = into.parent_path().native();
  base_ = os::Descriptor(::open(plan_.record.base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!base_) {
    const bool missing = errno == ENOENT;
    if (!missing) return os::failed_call(phrase("open {}", plan_.record.base), errno);
    return fail(ErrorCode::kNotFound, phrase("restore into {}: there is no folder {}", into.string(), plan_.record.base));
  }
  struct stat status{};
  into_present_ = ::fstatat(base_.number(), into_name_.c_str(), &status, 0) == 0;
  if (into_present_ && !S_ISDIR(status.st_mode)) return fail(ErrorCode::kAlreadyExists, phrase("restore into {}: it is no folder", into.string()));
  return {};
}

Status Planner::take(const IndexLine& line) {
  if (any_ && compare_paths(previous_, line.path) >= 0) return fail(ErrorCode::kDamaged, phrase("member {}: out of order", shown_path(line.path)));
  any_ = true;
  previous_ = line.path;
  const auto verdict = options_->wanted.judge(line.path, &hits_);
  if (!verdict.covered) return {};
  const auto unit = first_parts(line.path, verdict.depth);
  if (!in_unit_ || unit != unit_) {
    unit_ = unit;
    in_unit_ = true;
    if (units_.size() == kMaxPlacements) return fail(ErrorCode::kTooLarge, phrase("the list names more than {} files and folders one by one", kMaxPlacements));
  }
  units_[unit_] += line.stored + kBytesPerMember;
  ++plan_.counts.members;
  if (line.type == MemberType::kFolder) ++plan_.counts.folders;
  if (line.type == MemberType::kSymbolicLink || line.type == MemberType::kHardLink) ++plan_.counts.links;
  if (line.type == MemberType::kHardLink) plan_.linked.insert(line.link);
  if (line.type != MemberType::kFile) return {};
  ++plan_.counts.files;
  plan_.counts.bytes += line.size;
  plan_.counts.stored += line.stored;
  return {};
}

void Planner::tell_missing() {
  for (std::size_t i = 0; i < hits_.size(); ++i) {
    if (hits_[i]) continue;
    const ListEntry& entry = options_->wanted.entries()[i];
    plan_.missing.add(entry.pattern, entry.optional ? "optional" : "");
    plan_.mandatory_missing = plan_.mandatory_missing || !entry.optional;
  }
}

/// The entry of that name, or, where letter case does not count, the one that is the same by then.
Result<std::optional<Present>> Planner::look(int folder, std::string_view name, std::string_view path) const {
  Present present{std::string(name), {}};
  if (::fstatat(folder, present.name.c_str(), &present.status, AT_SYMLINK_NOFOLLOW) == 0) return std::optional(present);
  if (errno != ENOENT) return os::failed_call(phrase("look at {}", shown_path(path)), errno);
  if (options_->wanted.letter_case() == LetterCase::kExact) return std::optional<Present>();
  const int again = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(again < 0 ? nullptr : ::fdopendir(again), [](DIR* open) { return open == nullptr ? 0 : ::closedir(open); });
  if (!listing) return os::failed_call(phrase("look at {}", shown_path(path)), errno);
  while (const dirent* entry = ::readdir(listing.get())) {
    if (!same_name(entry->d_name, name, LetterCase::kIgnored)) continue;
    present.name = entry->d_name;
    if (::fstatat(folder, entry->d_name, &present.status, AT_SYMLINK_NOFOLLOW) == 0) return std::optional(present);
  }
  return std::optional<Present>();
}

/// Walks down to the unit in the destination: where the way ends, everything below is moved in as one.
Status Planner::place(const std::string& unit, std::uint64_t bytes) {
  if (!into_present_) return add("", "", base_.number(), into_name_, std::nullopt, bytes);
  if (unit.empty()) {
    Present root{into_name_, {}};
    if (::fstatat(base_.number(), into_name_.c_str(), &root.status, AT_SYMLINK_NOFOLLOW) != 0) return os::failed_call(phrase("look at {}", options_->into.string()), errno);
    return add("", "", base_.number(), into_name_, root, bytes);
  }
  // `into` itself may be a link of the administrator's; nothing below it may.
  os::Descriptor folder(::openat(base_.number(), into_name_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::string here = into_name_;
  for (std::size_t depth = 1;; ++depth) {
    if (!folder) return os::failed_call(phrase("open {}", shown_path(here)), errno);
    const auto path = first_parts(unit, depth);
    auto present = look(folder.number(), name_of_path(path), path);
    if (!present) return pass(present);
    if (!*present || path == unit) return add(path, here, folder.number(), name_of_path(path), *present, bytes);
    if (S_ISLNK((*present)->status.st_mode)) {
      return fail(ErrorCode::kForbidden, phrase("restore {}: {} is a symbolic link", shown_path(unit), shown_path(path)),
                  phrase("Restore into the folder that it leads to, or remove the link."));
    }
    if (!S_ISDIR((*present)->status.st_mode)) {
      return fail(ErrorCode::kAlreadyExists, phrase("restore {}: {} is no folder", shown_path(unit), shown_path(path)));
    }
    folder = os::Descriptor(::openat(folder.number(), (*present)->name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    here += "/" + (*present)->name;
  }
}

bool mounted_on(int folder, const std::string& name) {
  struct statx known{};
  return ::statx(folder, name.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &known) == 0 && (known.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Status Planner::add(std::string_view path, std::string_view folder, int opened, std::string_view name, const std::optional<Present>& present,
                    std::uint64_t bytes) {
  struct stat status{};
  if (::fstat(opened, &status) != 0) return os::failed_call(phrase("look at {}", shown_path(folder)), errno);
  Need& need = needs_[status.st_dev];
  need.bytes += bytes;
  need.folder = folder;
  if (!plan_.by_path.try_emplace(std::string(path), plan_.record.placements.size()).second) return {};
  Placement placement;
  placement.folder = folder;
  placement.name = name;
  if (present) {
    if (mounted_on(opened, present->name)) {
      return fail(ErrorCode::kUnsupported, phrase("restore {}: a file system is mounted there, it can't be renamed", shown_path(path)),
                  phrase("List the folders in it instead, for example with /*."));
    }
    auto original = free_name(opened, present->name);
    if (!original) return pass(original);
    placement.old_name = present->name;
    placement.original = *original;
    placement.old = {present->status.st_dev, present->status.st_ino};
  }
  plan_.record.placements.push_back(std::move(placement));
  return {};
}

Result<std::string> Planner::free_name(int folder, const std::string& name) const {
  for (int number = 1;; ++number) {
    std::string tried = name + "_Original" + (number > 1 ? fmt::format("_{}", number) : "");
    if (tried.size() > NAME_MAX) return fail(ErrorCode::kUnsupported, phrase("restore {}: no room in its name for _Original", shown_path(name)));
    const auto present = look(folder, tried, tried);
    if (!present) return std::unexpected(present.error());
    if (!*present) return tried;
  }
}

Status Planner::check_space() const {
  for (const auto& [device, need] : needs_) {
    const std::string folder = plan_.record.base + "/" + need.folder;
    struct statvfs space{};
    if (::statvfs(folder.c_str(), &space) != 0) continue;  // too deep to be named: a full disk will be met while unpacking
    const std::uint64_t free = std::uint64_t{space.f_bavail} * std::uint64_t{space.f_frsize};
    if (free >= need.bytes + kReserveBytes) continue;
    return fail(ErrorCode::kDiskFull, phrase("restore into {}: {} bytes are needed, {} are free", shown_path(folder), need.bytes + kReserveBytes, free),
                phrase("What is there stays beside until it is removed: free space, then try again."));
  }
  return {};
}

}  // namespace

std::size_t depth_of(std::string_view path) { return path.empty() ? 0 : 1 + static_cast<std::size_t>(std::ranges::count(path, '/')); }

std::string_view first_parts(std::string_view path, std::size_t parts) {
  std::size_t end = 0;
  for (; parts > 0 && end < path.size(); --parts) end = std::min(path.find('/', end + (end > 0 ? 1 : 0)), path.size());
  return path.substr(0, end);
}

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view name_of_path(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::optional<std::pair<std::size_t, std::size_t>> placement_of(const RestorePlan& plan, std::string_view path) {
  for (std::size_t depth = 0, last = depth_of(path); depth <= last; ++depth) {
    const auto found = plan.by_path.find(first_parts(path, depth));
    if (found != plan.by_path.end()) return std::pair(found->second, depth);
  }
  return std::nullopt;
}

Result<RestorePlan> plan_restore(const RestoreFolderOptions& options, const OpenSource& archive, const OpenSource& index) {
  auto plan = Planner(options, archive, index).run();
  if (!plan || !plan->mandatory_missing || options.allow_missing) return plan;
  std::string names;
  for (const std::string& name : plan->missing.names) {
    if (!name.ends_with(" (optional)") && names.size() < 500) names += (names.empty() ? "" : ", ") + name;
  }
  return fail(ErrorCode::kNotFound, phrase("restore into {}: not in the set: {}", options.into.string(), names),
              phrase("Mark it optional, or restore without what is missing."));
}

}  // namespace verbund::backup
