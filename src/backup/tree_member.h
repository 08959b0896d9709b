#pragma once
/// What an archive of a tree says about one file, folder or link. Names are bytes: no character set is assumed or converted.
/// Values; any thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace verbund::backup {

enum class MemberType { kFile, kHardLink, kSymbolicLink, kCharacterDevice, kBlockDevice, kFolder, kFifo };
/// "file", "hardlink", "symlink", "chardev", "blockdev", "folder", "fifo".
std::string_view to_string(MemberType type);

struct Timestamp {
  std::int64_t seconds = 0;  ///< since 1970, negative before
  std::uint32_t nanoseconds = 0;
  friend bool operator==(const Timestamp&, const Timestamp&) = default;
};

/// Where a sparse file holds something; the rest are holes.
struct Extent {
  std::uint64_t offset = 0, length = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

struct TreeMember {
  std::string path;            ///< relative, '/' between the parts; empty: the root itself
  MemberType type = MemberType::kFile;
  std::uint64_t size = 0;      ///< files: bytes as programs see them, holes included
  std::uint32_t mode = 0;      ///< 07777
  std::uint64_t uid = 0, gid = 0;
  std::string owner, group;    ///< names; empty: none
  Timestamp modified;
  std::string link;            ///< symbolic link: its text; hard link: the member's path that has the content
  std::uint32_t device_major = 0, device_minor = 0;
  std::string access_acl, default_acl;  ///< as posix_acl.h writes them; empty: none
  std::vector<std::pair<std::string, std::string>> attributes;  ///< extended attributes, by name
  bool sparse = false;
  std::vector<Extent> extents; ///< of a sparse file, ascending

  /// Content bytes in the archive.
  [[nodiscard]] std::uint64_t stored() const {
    if (type != MemberType::kFile) return 0;
    if (!sparse) return size;
    std::uint64_t sum = 0;
    for (const Extent& extent : extents) sum += extent.length;
    return sum;
  }
};

/// More than this is merged into larger extents when saved, refused when read.
inline constexpr std::size_t kMaxExtents = 100'000;

}  // namespace verbund::backup
