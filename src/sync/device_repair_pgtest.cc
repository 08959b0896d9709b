// Devices that can't go on from their cursor: what they have is kept, and what differs is found by sums (D12). LESSONS: sync_gateway #3530 (ghosts of
// purged tombstones), powersync-js #954 (one sum that differs, everything anew).
#include "sync/device_scene.h"
#include "sync/server/tidy.h"

namespace verbund::sync {
namespace {

using testing_scene::SyncScene;
using testing_scene::Tablet;

constexpr int kRows = 20'000;

class Repair : public ::testing::Test {
 protected:
  void SetUp() override {
    scene.sql(fmt::format("INSERT INTO patient SELECT n, 'Patient Nummer ' || n, md5(n::text) FROM generate_series(1, {}) n", kRows));
    scene.office().settle();
    scene.user("anna", {{"most", "30000"}});
    scene.subscribe("patient");
  }
  void office(std::string_view statements) {
    scene.sql(statements);
    scene.office().settle();
  }
  /// As after a restore of the server, or a promotion with loss: its history is another one.
  static void forget_history(Tablet& tablet) { tablet.sql("UPDATE verbund_device SET history = 'of another time'"); }
  void expect_equal(Tablet& tablet) {
    const std::string rows = "SELECT count(*) || ' ' || sum(id) || ' ' || sum(length(coalesce(name, ''))) || ' ' || max(name) FROM patient";
    EXPECT_EQ(tablet.value(rows), scene.office().value(rows));
  }
  /// Bytes that a sync has brought.
  std::size_t bytes_of(Tablet& tablet) {
    const auto before = tablet.line.received;
    tablet.expect_synced();
    return tablet.line.received - before;
  }

  SyncScene scene;
};

TEST_F(Repair, FetchesWhatDiffersAndLittleMore) {
  Tablet tablet(scene, "anna");
  const auto whole = bytes_of(tablet);
  office("UPDATE patient SET name = 'geändert' WHERE id IN (7, 8000, 19999); DELETE FROM patient WHERE id IN (100, 200); INSERT INTO patient VALUES (70000, 'neu', 'x')");
  forget_history(tablet);
  const auto bytes = bytes_of(tablet);
  EXPECT_LT(bytes, whole / 20) << "of " << whole;
  EXPECT_LT(tablet.last.sessions.at(0).upserted, 1'000U);
  EXPECT_EQ(tablet.last.sessions.at(0).deleted, 2U);
  expect_equal(tablet);
  EXPECT_LT(bytes_of(tablet), 1'000U) << "and goes on from there";
}

TEST_F(Repair, WhereNothingDiffersNothingComes) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  forget_history(tablet);
  EXPECT_LT(bytes_of(tablet), 2'000U);
  EXPECT_EQ(tablet.fetched(), 0U);
  expect_equal(tablet);
}

TEST_F(Repair, WhatTheDeviceHasChangedGoesUpFirstAndStays) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  tablet.sql("UPDATE patient SET name = 'vom Gerät' WHERE id = 5; INSERT INTO patient VALUES (80000, 'auch vom Gerät', NULL); DELETE FROM patient WHERE id = 6");
  office("DELETE FROM patient WHERE id = 7");
  forget_history(tablet);
  bool during = true;
  tablet.line.after = [&](const DeviceCall& call) {
    // While the repair is on its way the application writes on.
    if (call.method == "GET" && std::exchange(during, false)) tablet.sql("UPDATE patient SET name = 'währenddessen' WHERE id = 9; INSERT INTO patient VALUES (80001, 'neu dabei', NULL); DELETE FROM patient WHERE id = 10");
    return true;
  };
  tablet.expect_synced();
  EXPECT_FALSE(during);
  EXPECT_EQ(tablet.last.applied, 3U);
  EXPECT_EQ(tablet.value("SELECT name FROM patient WHERE id = 9"), "währenddessen");
  EXPECT_EQ(tablet.value("SELECT count(*) FROM patient WHERE id IN (6, 7, 10, 80001)"), "1");
  tablet.line.after = nullptr;
  tablet.expect_synced();
  tablet.expect_synced();
  expect_equal(tablet);
  EXPECT_EQ(scene.office().value("SELECT string_agg(name, ', ' ORDER BY id) FROM patient WHERE id IN (5, 9, 80000, 80001)"), "vom Gerät, währenddessen, auch vom Gerät, neu dabei");
}

TEST_F(Repair, AfterMoreThanIsKnownOfWhatHasGone) {
  Tablet tablet(scene, "anna"), other(scene, "anna");
  const auto whole = bytes_of(tablet);
  other.expect_synced();
  office("DELETE FROM patient WHERE id BETWEEN 500 AND 510");
  other.expect_synced();
  auto& mid_tier = scene.office().mid_tier();
  // The rules stand in a list here, for which the node would end the watches.
  ASSERT_TRUE(mid_tier.query("INSERT INTO sync.subscription VALUES ('patients', 1, '', '', '', '', '{}', '', '{}', '{}')"));
  ASSERT_TRUE(mid_tier.query("UPDATE sync.moved SET at = at - interval '40 days'"));
  ASSERT_TRUE(server::tidy(mid_tier));
  EXPECT_EQ(scene.office().mid_tier_value("SELECT count(*) FROM sync.moved"), "0");
  EXPECT_LT(bytes_of(tablet), whole / 10);
  EXPECT_EQ(tablet.last.sessions.at(0).deleted, 11U);
  expect_equal(tablet);
  EXPECT_LT(bytes_of(other), 1'000U) << "it was here since";
}

TEST_F(Repair, OfAnotherFilterToo) {
  Tablet tablet(scene, "anna");
  const auto whole = bytes_of(tablet);
  auto& rules = *scene.directory().in_force;
  rules.rules.subscriptions.front().filter = parse_filter("id <= 19990").value();
  rules.versions["patients"] = 2;
  EXPECT_LT(bytes_of(tablet), whole / 10);
  EXPECT_EQ(tablet.last.sessions.at(0).deleted, 10U);
  EXPECT_EQ(tablet.value("SELECT max(id) FROM patient"), "19990");
}

TEST_F(Repair, ADeviceThatIsToGetEverythingAnewGetsIt) {
  Tablet tablet(scene, "anna");
  const auto whole = bytes_of(tablet);
  ++scene.directory().devices.at(1).generation;
  EXPECT_GT(bytes_of(tablet), whole / 2);
  EXPECT_EQ(tablet.last.sessions.at(0).upserted, static_cast<std::uint64_t>(kRows));
}

TEST_F(Repair, GoesOnWhereverItIsInterrupted) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  for (int lost = 0; lost < 8; ++lost) {
    for (const bool answer : {false, true}) {
      office(fmt::format("UPDATE patient SET name = 'Runde {0}' WHERE id = {0} + 50; DELETE FROM patient WHERE id = 300 + {0} * 2 + {1:d}", lost, answer));
      forget_history(tablet);
      int calls = 0;
      (answer ? tablet.line.after : tablet.line.before) = [&](const DeviceCall&) { return calls++ != lost; };
      (void)tablet.sync();
      tablet.line.before = tablet.line.after = nullptr;
      tablet.expect_synced();
      expect_equal(tablet);
    }
  }
}

}  // namespace
}  // namespace verbund::sync
