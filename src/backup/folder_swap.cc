#include "backup/folder_swap.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/remove_unpacked.h"
#include "backup/tree_extract.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

std::optional<Identity> identity_of(int folder, const std::string& name) {
  struct stat status{};
  if (name.empty() || ::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  return Identity{status.st_dev, status.st_ino};
}

std::set<std::string> folders_of(const RestoreRecord& record) {
  std::set<std::string> folders;
  for (const Placement& each : record.placements) folders.insert(each.folder);
  return folders;
}

Status sync_folder(int folder, const std::string& name) {
  // EINVAL: file systems that have no such call.
  if (::fsync(folder) == 0 || errno == EINVAL) return {};
  return os::failed_call(phrase("sync directory {}", shown_path(name)), errno);
}

os::Descriptor open_staging(int folder, const RestoreRecord& record) {
  return os::Descriptor(::openat(folder, staging_name(record).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

std::unexpected<Error> in_the_way(const std::string& name) {
  return fail(ErrorCode::kAlreadyExists, phrase("restore {}: something else stands there now", shown_path(name)),
              phrase("Stop every program that works there, move it away, then resume or roll back."));
}

}  // namespace

FolderSwap::FolderSwap(const RestoreRecord& record, RestoreJournal& journal, const std::function<void()>& on_step)
    : record_(&record), journal_(&journal), on_step_(&on_step) {}

Status FolderSwap::make_staging() {
  for (const std::string& each : folders_of(*record_)) {
    auto folder = open_folder(record_->base, each);
    if (!folder) return pass(folder);
    step();
    const std::string name = staging_name(*record_);
    if (::mkdirat(folder->number(), name.c_str(), 0700) != 0) return os::failed_call(phrase("make directory {}", name), errno);
    const auto staging = open_staging(folder->number(), *record_);
    if (!staging || ::mkdirat(staging.number(), kLooseFiles, 0700) != 0) return os::failed_call(phrase("make directory {}", name), errno);
  }
  return {};
}

Status FolderSwap::seal(RestoreRecord& record) {
  for (const std::string& each : folders_of(record)) {
    auto folder = open_folder(record.base, each);
    if (!folder) return pass(folder);
    const auto staging = open_staging(folder->number(), record);
    if (!staging) return os::failed_call(phrase("open {}", staging_name(record)), errno);
    step();
    if (auto removed = remove_unpacked(staging.number(), kLooseFiles); !removed) return removed;
    if (::syncfs(staging.number()) != 0) return os::failed_call(phrase("sync directory {}", staging_name(record)), errno);
    for (std::size_t i = 0; i < record.placements.size(); ++i) {
      if (record.placements[i].folder != each) continue;
      const auto fresh = identity_of(staging.number(), fmt::to_string(i));
      if (!fresh) return fail(ErrorCode::kDamaged, phrase("{}: in the index, not in the archive", shown_path(record.placements[i].name)));
      record.placements[i].fresh = *fresh;
      if (auto written = journal_->staged(i, *fresh); !written) return written;
    }
  }
  step();
  record.ready = true;
  return journal_->step("ready");
}

Status FolderSwap::forward() {
  for (std::size_t i = 0; i < record_->placements.size(); ++i) {
    if (auto moved = move_in(i); !moved) return moved;
  }
  step();
  return journal_->step("done");
}

Status FolderSwap::back() {
  step();
  if (auto written = journal_->step("back"); !written) return written;
  if (!record_->ready) return {};
  for (std::size_t i = record_->placements.size(); i-- > 0;) {
    if (auto out = take_out(i); !out) return out;
  }
  return {};
}

Status FolderSwap::move_in(std::size_t number) {
  const Placement& placement = record_->placements[number];
  auto folder = open_folder(record_->base, placement.folder);
  if (!folder) return pass(folder);
  if (identity_of(folder->number(), placement.name) == placement.fresh) return {};
  const bool present = !placement.old_name.empty();
  if (present && identity_of(folder->number(), placement.original) != placement.old) {
    if (identity_of(folder->number(), placement.old_name) != placement.old) return in_the_way(placement.old_name);
    step();
    if (auto written = journal_->step("aside", number); !written) return written;
    step();
    if (auto renamed = rename(folder->number(), placement.old_name, folder->number(), placement.original); !renamed) return renamed;
    if (auto synced = sync_folder(folder->number(), placement.folder); !synced) return synced;
  }
  const auto staging = open_staging(folder->number(), *record_);
  if (!staging) return os::failed_call(phrase("open {}", staging_name(*record_)), errno);
  step();
  if (auto written = journal_->step("in", number); !written) return written;
  step();
  if (auto renamed = rename(staging.number(), fmt::to_string(number), folder->number(), placement.name); !renamed) return renamed;
  if (auto synced = sync_folder(staging.number(), placement.folder); !synced) return synced;
  return sync_folder(folder->number(), placement.folder);
}

Status FolderSwap::take_out(std::size_t number) {
  const Placement& placement = record_->placements[number];
  auto folder = open_folder(record_->base, placement.folder);
  if (!folder) return pass(folder);
  if (identity_of(folder->number(), placement.name) == placement.fresh) {
    const auto staging = open_staging(folder->number(), *record_);
    if (!staging) return os::failed_call(phrase("open {}", staging_name(*record_)), errno);
    step();
    if (auto renamed = rename(folder->number(), placement.name, staging.number(), fmt::to_string(number)); !renamed) return renamed;
    if (auto synced = sync_folder(folder->number(), placement.folder); !synced) return synced;
  }
  if (placement.old_name.empty() || identity_of(folder->number(), placement.original) != placement.old) return {};
  step();
  if (auto renamed = rename(folder->number(), placement.original, folder->number(), placement.old_name); !renamed) return renamed;
  return sync_folder(folder->number(), placement.folder);
}

/// Never over something that is there.
Status FolderSwap::rename(int from_folder, const std::string& from, int to_folder, const std::string& to) const {
  if (::renameat2(from_folder, from.c_str(), to_folder, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno == EEXIST) return in_the_way(to);
  // File systems without that flag: looked at first, since all programs that work there are stopped.
  if (errno != EINVAL) return os::failed_call(phrase("rename {} to {}", shown_path(from), shown_path(to)), errno);
  if (identity_of(to_folder, to)) return in_the_way(to);
  if (::renameat(from_folder, from.c_str(), to_folder, to.c_str()) == 0) return {};
  return os::failed_call(phrase("rename {} to {}", shown_path(from), shown_path(to)), errno);
}

Status FolderSwap::clean_up() {
  for (const std::string& each : folders_of(*record_)) {
    auto folder = open_folder(record_->base, each);
    if (!folder) return pass(folder);
    step();
    if (auto removed = remove_unpacked(folder->number(), staging_name(*record_).c_str()); !removed) return removed;
    if (auto synced = sync_folder(folder->number(), each); !synced) return synced;
  }
  step();
  return journal_->step("ended");
}

}  // namespace verbund::backup
