// Devices that lock their data when they were without their office for too long.
#include <fstream>

#include "sync/device_scene.h"

namespace verbund::sync {
namespace {

using testing_scene::SyncScene;
using testing_scene::Tablet;

constexpr seconds kDay{86'400};

class LeaseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    scene.sql("INSERT INTO patient SELECT n, 'Geheimnis ' || n, 'nord' FROM generate_series(1, 5) n");
    scene.office().settle();
    scene.user("anna");
    scene.subscribe("patient");
    scene.directory().in_force->rules.groups.front().lease_days = 14;
  }
  static bool has_patients(Tablet& tablet) { return tablet.value("SELECT count(*) FROM sqlite_schema WHERE name = 'patient'") == "1"; }
  /// In any of its files.
  static bool is_anywhere(Tablet& tablet, std::string_view text) {
    for (const auto& entry : std::filesystem::directory_iterator(tablet.directory.path())) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      if (bytes.find(text) != std::string::npos) return true;
    }
    return false;
  }
  std::string patients() { return scene.office().value("SELECT string_agg(id || name, ' ' ORDER BY id) FROM patient"); }
  static std::string patients(Tablet& tablet) { return tablet.value("SELECT group_concat(id || name, ' ') FROM (SELECT * FROM patient ORDER BY id)"); }

  SyncScene scene;
};

TEST_F(LeaseTest, AWorkingDeviceNeverNotices) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  EXPECT_NE(tablet.open().status()->lease_until, "");
  for (int week = 0; week < 4; ++week) {
    tablet.clock.jump(7 * (week + 1) * kDay);
    EXPECT_FALSE(tablet.open().status()->locked);
    tablet.expect_synced();
  }
  EXPECT_TRUE(has_patients(tablet));
}

TEST_F(LeaseTest, WhoWasAwayForTooLongHasNothingReadableAndGetsItBack) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  tablet.sql("UPDATE patient SET name = 'Abgewiesenes' WHERE id = 3");
  scene.sql("UPDATE patient SET name = 'Praxis' WHERE id = 3");
  tablet.expect_synced();
  ASSERT_EQ(tablet.last.rejected, 1U);
  tablet.sql("UPDATE patient SET name = 'Unterwegs geändert' WHERE id = 1; INSERT INTO patient VALUES (9, 'Unterwegs neu', NULL)");
  tablet.clock.jump(15 * kDay);
  const auto status = tablet.open().status();
  EXPECT_TRUE(status->locked);
  EXPECT_FALSE(has_patients(tablet));
  for (const auto* text : {"Geheimnis", "Unterwegs", "Abgewiesenes", "Praxis"}) EXPECT_FALSE(is_anywhere(tablet, text)) << text;
  EXPECT_EQ(tablet.open().rejects(true)->size(), 0U);
  tablet.expect_synced();
  EXPECT_EQ(patients(), "1Unterwegs geändert 2Geheimnis 2 3Praxis 4Geheimnis 4 5Geheimnis 5 9Unterwegs neu");
  EXPECT_EQ(patients(tablet), patients());
  EXPECT_FALSE(tablet.open().status()->locked);
  EXPECT_EQ(tablet.open().rejects(true)->size(), 1U) << "what was rejected before is still there to be seen";
  tablet.expect_synced();
  EXPECT_EQ(tablet.open().status()->undecided, 0U);
}

TEST_F(LeaseTest, AClockThatIsSetBackMakesItNoLonger) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  tablet.clock.jump(10 * kDay);
  EXPECT_FALSE(tablet.open().status()->locked);
  tablet.clock.jump(10 * kDay - seconds{7'200});
  EXPECT_FALSE(tablet.open().status()->locked) << "it was put right";
  tablet.clock.jump(1 * kDay);
  EXPECT_TRUE(tablet.open().status()->locked);
  tablet.expect_synced();
  EXPECT_EQ(patients(tablet), patients());
}

TEST_F(LeaseTest, ARevokedDeviceStaysLockedAndLosesTheRest) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  tablet.sql("UPDATE patient SET name = 'Unterwegs' WHERE id = 1");
  tablet.clock.jump(15 * kDay);
  EXPECT_TRUE(tablet.open().status()->locked);
  scene.directory().refuses = ErrorCode::kRevoked;
  const auto report = tablet.sync();
  ASSERT_TRUE(report.error);
  EXPECT_EQ(report.error->code, ErrorCode::kRevoked);
  EXPECT_NE(tablet.open().status()->revoked, "");
  EXPECT_EQ(tablet.value("SELECT count(*) FROM verbund_upload_block"), "0");
}

TEST_F(LeaseTest, WithoutAnAnswerItStaysLocked) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  tablet.clock.jump(15 * kDay);
  tablet.line.before = [](const DeviceCall&) { return false; };
  EXPECT_EQ(tablet.sync().result, device::SyncResult::kFailed);
  EXPECT_TRUE(tablet.open().status()->locked);
  // The answer with the key arrives, and then the line is gone: what was kept is open, for a day.
  tablet.line.before = [](const DeviceCall& call) { return call.target == "/api/device/unlock"; };
  EXPECT_EQ(tablet.sync().result, device::SyncResult::kFailed);
  EXPECT_FALSE(tablet.open().status()->locked);
  tablet.clock.jump(17 * kDay);
  EXPECT_TRUE(tablet.open().status()->locked);
  tablet.line.before = nullptr;
  tablet.expect_synced();
  EXPECT_EQ(patients(tablet), patients());
}

TEST_F(LeaseTest, WithoutALeaseInTheRulesThereIsNone) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  scene.directory().in_force->rules.groups.front().lease_days = 0;
  tablet.expect_synced();
  tablet.clock.jump(400 * kDay);
  EXPECT_FALSE(tablet.open().status()->locked);
  EXPECT_EQ(tablet.open().status()->lease_until, "");
  EXPECT_TRUE(has_patients(tablet));
}

}  // namespace
}  // namespace verbund::sync
