#include "backup/offsite/remote.h"

#include <gtest/gtest.h>

#include <fstream>

#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

// Words of rclone 1.60, as its servers and clients say them.
TEST(RemoteWords, MeanOneOfOurErrors) {
  EXPECT_EQ(meaning_of("read metadata failed: Propfind \"http://h/\": dial tcp 10.0.0.1:80: connect: connection refused", 5), ErrorCode::kNotReachable);
  EXPECT_EQ(meaning_of("read metadata failed: Unauthorized: 401 Unauthorized", 1), ErrorCode::kForbidden);
  EXPECT_EQ(meaning_of("NewFs: couldn't connect SSH: ssh: handshake failed: ssh: unable to authenticate, attempted methods [none password]", 1),
            ErrorCode::kForbidden);
  EXPECT_EQ(meaning_of("NewFs: couldn't connect SSH: ssh: handshake failed: knownhosts: key mismatch", 1), ErrorCode::kForbidden);
  EXPECT_EQ(meaning_of("Update mkParentDir failed: Conflict: 409 Conflict", 1), ErrorCode::kForbidden);
  EXPECT_EQ(meaning_of("507 Insufficient Storage", 1), ErrorCode::kDiskFull);
  EXPECT_EQ(meaning_of("googleapi: Error 403: The user's Drive storage quota has been exceeded", 1), ErrorCode::kDiskFull);
  EXPECT_EQ(meaning_of("directory not found", 3), ErrorCode::kNotFound);
  EXPECT_EQ(meaning_of("something of its own", 1), ErrorCode::kProgramFailed);
}

TEST(RemoteWords, StatsSayHowMuchHasGone) {
  EXPECT_EQ(bytes_in_stats(R"({"level":"warning","stats":{"bytes":5271552,"checks":0}})"), 5'271'552U);
  EXPECT_EQ(bytes_in_stats(R"({"level":"error","msg":"Failed"})"), std::nullopt);
  EXPECT_EQ(bytes_in_stats("no JSON"), std::nullopt);
  EXPECT_EQ(bytes_in_stats(R"({"stats":{"bytes":-1}})"), std::nullopt);
}

class RemoteConfig : public ::testing::Test {
 protected:
  void write(const std::string& text, std::filesystem::perms mode = std::filesystem::perms::owner_read | std::filesystem::perms::owner_write) const {
    std::filesystem::create_directories(directory_.path() / "secrets");
    std::ofstream(file()) << text;
    std::filesystem::permissions(file(), mode);
  }
  [[nodiscard]] std::filesystem::path file() const { return directory_.path() / "secrets/rclone.conf"; }
  [[nodiscard]] ErrorCode refused() const {
    auto remote = Remote::open(site_, directory_.path());
    return remote ? ErrorCode::kInternal : remote.error().code;
  }
  verbund::testing::ScratchDirectory directory_;
  OffSite site_{.name = "bank", .remote = "bank", .directory = "sets", .rclone_config = {}, .scratch = {}};
};

TEST_F(RemoteConfig, OthersMayNotReadIt) {
  write("[bank]\ntype = sftp\n", std::filesystem::perms(0640));
  EXPECT_EQ(refused(), ErrorCode::kForbidden);
}

TEST_F(RemoteConfig, HasTheSectionAndNoPasswordOfItsOwn) {
  EXPECT_EQ(refused(), ErrorCode::kNotFound);
  write("[banker]\ntype = sftp\n");
  EXPECT_EQ(refused(), ErrorCode::kNotFound);
  write("# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nabc\n");
  EXPECT_EQ(refused(), ErrorCode::kUnsupported);
  write("[other]\ntype = sftp\n[bank]\ntype = sftp\n");
  EXPECT_EQ(refused(), ErrorCode::kInternal) << "opened";
}

}  // namespace
}  // namespace verbund::backup
