#include "backup/media/mount.h"

#include <algorithm>

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/messages.h"
#include "platform/os/descriptor.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
using Kind = Ground::Kind;

constexpr std::string_view kNetworkSystems[] = {"cifs", "smb3", "smbfs", "nfs", "nfs4", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.rclone", "fuse.davfs", "davfs", "virtiofs"};
constexpr std::string_view kMemorySystems[] = {"tmpfs", "ramfs"};
constexpr int kDeepest = 8;  // partition, LUKS, LVM, RAID, loop: each takes a step

/// "\040" is a blank (proc(5)).
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 3 < text.size() && std::ranges::all_of(text.substr(i + 1, 3), [](char c) { return c >= '0' && c <= '7'; });
    out += escape ? static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')) : text[i];
    if (escape) i += 3;
  }
  return out;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const auto end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

bool below(const fs::path& path, const fs::path& above) {
  return std::mismatch(above.begin(), above.end(), path.begin(), path.end()).first == above.end();
}

std::string device_of(dev_t device) { return fmt::format("{}:{}", major(device), minor(device)); }

std::string first_line(const fs::path& file) {
  auto text = os::read_file(file, 4096);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

void add_disks(const std::string& device, const Machine& machine, int depth, std::set<std::string>& disks);

/// A file that is used as a disk lies on another one.
bool follow_loop(const fs::path& entry, const Machine& machine, int depth, std::set<std::string>& disks) {
  const auto file = first_line(entry / "loop" / "backing_file");
  struct stat status{};
  if (file.empty()) return false;
  if (::stat(file.c_str(), &status) == 0) add_disks(device_of(status.st_dev), machine, depth + 1, disks);
  return true;
}

void add_disks(const std::string& device, const Machine& machine, int depth, std::set<std::string>& disks) {
  std::error_code error;
  auto entry = fs::canonical(machine.sys / "dev" / "block" / device, error);
  if (error || depth > kDeepest) return;
  if (fs::exists(entry / "partition", error)) entry = entry.parent_path();
  if (follow_loop(entry, machine, depth, disks)) return;
  bool stands_on_others = false;
  for (fs::directory_iterator slave(entry / "slaves", error), end; !error && slave != end; slave.increment(error)) {
    stands_on_others = true;
    add_disks(first_line(slave->path() / "dev"), machine, depth + 1, disks);
  }
  if (!stands_on_others) disks.insert(entry.filename().native());
}

/// The kernel says so of sticks and card readers; disks at USB or FireWire are told by their place in the device tree.
bool exchangeable(const std::string& disk, const Machine& machine) {
  const auto entry = machine.sys / "block" / disk;
  if (first_line(entry / "removable") == "1") return true;
  std::error_code error;
  const auto place = fs::canonical(entry, error).native();
  return !error && (place.find("/usb") != std::string::npos || place.find("/fw") != std::string::npos);
}

Kind kind_of(const Mount& mount, const std::string& device, const std::string& data_device, const Machine& machine) {
  if (std::ranges::find(kNetworkSystems, mount.file_system) != std::end(kNetworkSystems)) return Kind::kNetwork;
  if (std::ranges::find(kMemorySystems, mount.file_system) != std::end(kMemorySystems)) return Kind::kMemory;
  const auto disks = disks_of(device, machine);
  if (device == data_device) return Kind::kSameDisk;
  if (disks.empty()) return Kind::kUnknown;
  const auto data = disks_of(data_device, machine);
  if (std::ranges::any_of(disks, [&](const auto& disk) { return data.contains(disk); })) return Kind::kSameDisk;
  return std::ranges::all_of(disks, [&](const auto& disk) { return exchangeable(disk, machine); }) ? Kind::kExchangeable : Kind::kFixedDisk;
}

}  // namespace

std::vector<Mount> parse_mounts(std::string_view mountinfo) {
  std::vector<Mount> mounts;
  while (!mountinfo.empty()) {
    const auto end = std::min(mountinfo.find('\n'), mountinfo.size());
    const auto words = words_of(mountinfo.substr(0, end));
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 5 || words.end() - dash < 3) continue;
    mounts.push_back({std::string(words[2]), unescaped(words[4]), std::string(dash[1]), unescaped(dash[2])});
  }
  return mounts;
}

const Mount* mount_of(const std::vector<Mount>& mounts, const fs::path& path) {
  const Mount* found = nullptr;
  for (const auto& mount : mounts) {
    if (below(path, mount.point) && (!found || mount.point.size() >= found->point.size())) found = &mount;
  }
  return found;
}

std::set<std::string> disks_of(const std::string& device, const Machine& machine) {
  std::set<std::string> disks;
  add_disks(device, machine, 0, disks);
  return disks;
}

Result<Ground> ground_of(const fs::path& directory, const fs::path& installation, const Machine& machine) {
  struct stat there{}, here{}, root{};
  if (::stat(directory.c_str(), &there) != 0 || !S_ISDIR(there.st_mode)) {
    return fail(ErrorCode::kMediumGone, phrase("backup: the target {} is not there", directory.native()), phrase("Put the medium in, or mount it; the directory has to exist."));
  }
  if (::stat(installation.c_str(), &here) != 0) return os::failed_call(phrase("look at {}", installation.native()), errno);
  auto text = os::read_file(machine.mountinfo);
  if (!text) return pass(text);
  std::error_code error;
  const auto whole = fs::canonical(directory, error);
  const auto mounts = parse_mounts(*text);
  Ground ground;
  if (const auto* mount = mount_of(mounts, error ? directory : whole)) ground.mount = *mount;
  ground.mounted = there.st_dev != here.st_dev && (::stat("/", &root) != 0 || there.st_dev != root.st_dev);
  ground.kind = kind_of(ground.mount, device_of(there.st_dev), device_of(here.st_dev), machine);
  auto free = os::free_bytes(directory);
  if (!free) return pass(free);
  ground.free_bytes = *free;
  return ground;
}

Phrase copy_note(const Ground& ground) {
  switch (ground.kind) {
    case Kind::kExchangeable: return {};
    case Kind::kSameDisk: return phrase("a copy, not a backup: it lies on the same disk as the data");
    case Kind::kFixedDisk: return phrase("a copy, not a backup: it lies on a disk built into the same machine");
    case Kind::kMemory: return phrase("a copy, not a backup: it lies in this machine's memory");
    case Kind::kNetwork: return phrase("a copy, not a backup: it lies on another machine of the office ({})", ground.mount.source);
    case Kind::kUnknown: break;
  }
  return phrase("a copy, not a backup, as far as can be told: {} is no disk that can be taken out", ground.mount.source);
}

}  // namespace verbund::backup
