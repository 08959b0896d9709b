#pragma once
/// What a directory really stands on: which file system, on which disks, and whether that makes a backup or only a copy (C7).
/// Any thread.
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace verbund::backup {

/// A line of /proc/self/mountinfo.
struct Mount {
  std::string device;        ///< "254:0"
  std::string point;         ///< where, with blanks as they are
  std::string file_system;   ///< "ext4", "exfat", "fuseblk", "cifs"
  std::string source;        ///< "/dev/sdb1", "//office/share"
};
/// Pure. Lines that it can't read are left out.
std::vector<Mount> parse_mounts(std::string_view mountinfo);
/// The mount that `path` (absolute, without links) lies on: the longest point above it, of two the later one. nullptr: none.
const Mount* mount_of(const std::vector<Mount>& mounts, const std::filesystem::path& path);

/// Where a target lies.
struct Ground {
  enum class Kind {
    kExchangeable,   ///< a disk of its own that can be taken out: a backup
    kFixedDisk,      ///< another disk of this machine: a copy
    kSameDisk,       ///< the disk that the data is on: a copy
    kMemory,         ///< tmpfs: gone with the power
    kNetwork,        ///< a share of another machine in the office: a copy
    kUnknown,        ///< no block device that can be told
  };
  Kind kind = Kind::kUnknown;
  Mount mount;
  bool mounted = false;            ///< something is mounted there: another file system than the installation's and than /
  std::uint64_t free_bytes = 0;
  [[nodiscard]] bool backup() const { return kind == Kind::kExchangeable; }
};

/// The machine as it is looked at; tests give a tree of their own.
struct Machine {
  std::filesystem::path mountinfo = "/proc/self/mountinfo";
  std::filesystem::path sys = "/sys";
};
/// `directory`: of the target; `installation`: where the data is. Errors: kMediumGone (no such directory), kIo.
Result<Ground> ground_of(const std::filesystem::path& directory, const std::filesystem::path& installation, const Machine& machine = {});

/// Names of the whole disks ("sda") under a device number: partitions, LUKS, LVM and loop devices are followed. Empty: none known.
std::set<std::string> disks_of(const std::string& device, const Machine& machine);

/// What is to be told of a target that is no backup: "copy, not a backup: …". msgid empty: it is one.
Phrase copy_note(const Ground& ground);

}  // namespace verbund::backup
