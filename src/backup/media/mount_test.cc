#include "backup/media/mount.h"

#include <gmock/gmock.h>

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "platform/os/file.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kMountinfo =
    "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "40 27 8:17 / /media/back\\040up rw shared:5 master:2 - exfat /dev/sdb1 rw\n"
    "41 27 0:50 / /media rw - tmpfs tmpfs rw\n"
    "42 41 0:51 / /media/share rw - cifs //office/pc rw\n"
    "43 42 0:52 / /media/share rw - nfs4 office:/x rw\n"
    "a line of a later kernel\n";

TEST(Mounts, AreFoundByTheLongestPointAboveAndTheLaterOneOnTop) {
  const auto mounts = parse_mounts(kMountinfo);
  ASSERT_EQ(mounts.size(), 5U);
  EXPECT_EQ(mount_of(mounts, "/media/back up/sets")->file_system, "exfat");
  EXPECT_EQ(mount_of(mounts, "/media/back up/sets")->source, "/dev/sdb1");
  EXPECT_EQ(mount_of(mounts, "/media/back")->file_system, "tmpfs");
  EXPECT_EQ(mount_of(mounts, "/media/share")->file_system, "nfs4");
  EXPECT_EQ(mount_of(mounts, "/mediathek")->file_system, "ext4");
  EXPECT_EQ(mount_of({}, "/x"), nullptr);
}

/// A /sys with a built-in disk vda, a USB disk sdb with a LUKS device on its partition, a RAID of both.
class DisksTest : public ::testing::Test {
 protected:
  DisksTest() {
    disk("devices/pci/virtio0/block/vda", "254:0");
    disk("devices/pci/usb1/host2/block/sdb", "8:16");
    disk("devices/pci/usb1/host2/block/sdb/sdb1", "8:17");
    put("devices/pci/usb1/host2/block/sdb/sdb1/partition", "1");
    disk("devices/virtual/block/dm-0", "253:0");
    on("devices/virtual/block/dm-0", "devices/pci/usb1/host2/block/sdb/sdb1");
    disk("devices/virtual/block/md0", "9:0");
    on("devices/virtual/block/md0", "devices/virtual/block/dm-0");
    on("devices/virtual/block/md0", "devices/pci/virtio0/block/vda");
  }
  void put(const std::string& file, const std::string& text) {
    fs::create_directories((machine_.sys / file).parent_path());
    ASSERT_TRUE(os::write_file_atomically(machine_.sys / file, text + "\n"));
  }
  void disk(const std::string& place, const std::string& device) {
    put(place + "/dev", device);
    fs::create_directories(machine_.sys / "dev/block");
    fs::create_directory_symlink(machine_.sys / place, machine_.sys / "dev/block" / device);
  }
  void on(const std::string& upper, const std::string& lower) {
    fs::create_directories(machine_.sys / upper / "slaves");
    fs::create_directory_symlink(machine_.sys / lower, machine_.sys / upper / "slaves" / fs::path(lower).filename());
  }
  testing::ScratchDirectory scratch_;
  Machine machine_{.mountinfo = scratch_.path() / "mountinfo", .sys = scratch_.path() / "sys"};
};

TEST_F(DisksTest, AreFollowedThroughPartitionsEncryptionAndArrays) {
  EXPECT_THAT(disks_of("8:17", machine_), ElementsAre("sdb"));
  EXPECT_THAT(disks_of("253:0", machine_), ElementsAre("sdb")) << "LUKS";
  EXPECT_THAT(disks_of("9:0", machine_), ElementsAre("sdb", "vda"));
  EXPECT_THAT(disks_of("254:0", machine_), ElementsAre("vda"));
  EXPECT_THAT(disks_of("0:50", machine_), ElementsAre());
}

TEST_F(DisksTest, ALoopDeviceLiesWhereItsFileLies) {
  struct stat here{};
  ASSERT_EQ(::stat(scratch_.path().c_str(), &here), 0);
  disk("devices/virtual/block/loop0", "7:0");
  put("devices/virtual/block/loop0/loop/backing_file", scratch_.path().native());
  const auto device = fmt::format("{}:{}", major(here.st_dev), minor(here.st_dev));
  if (!fs::exists(machine_.sys / "dev/block" / device)) disk("devices/x/block/sdz", device);
  EXPECT_FALSE(disks_of(device, machine_).empty());
  EXPECT_EQ(disks_of("7:0", machine_), disks_of(device, machine_));
}

TEST(Ground, ADirectoryBesideTheDataIsACopyAndNoMount) {
  testing::ScratchDirectory scratch;
  const auto ground = ground_of(scratch.path(), scratch.path().parent_path()).value();
  EXPECT_FALSE(ground.mounted);
  EXPECT_FALSE(ground.backup());
  EXPECT_GT(ground.free_bytes, 0U);
  EXPECT_THAT(copy_note(ground).english(), HasSubstr("a copy, not a backup"));
  EXPECT_EQ(ground_of(scratch.path() / "nowhere", scratch.path()).error().code, ErrorCode::kMediumGone);
}

TEST(Ground, OnlyADiskThatIsTakenOutIsABackup) {
  Ground ground;
  ground.kind = Ground::Kind::kExchangeable;
  EXPECT_TRUE(copy_note(ground).msgid.empty());
  for (const auto kind : {Ground::Kind::kFixedDisk, Ground::Kind::kSameDisk, Ground::Kind::kMemory, Ground::Kind::kNetwork, Ground::Kind::kUnknown}) {
    ground.kind = kind;
    EXPECT_THAT(copy_note(ground).english(), HasSubstr("a copy, not a backup"));
  }
}

}  // namespace
}  // namespace verbund::backup
