// Devices that begin anew, all at once: few at a time, the others in line (LESSONS: 300 health workers at once, cht-core #6246).
#include <thread>

#include "sync/device_scene.h"
#include "testing/eventually.h"

namespace verbund::sync {
namespace {

using testing_scene::SyncScene;
using testing::eventually;
using testing_scene::Tablet;

class InLine : public ::testing::Test {
 protected:
  void SetUp() override {
    scene.sql("INSERT INTO patient SELECT n, 'P' || n, 'nord' FROM generate_series(1, 50) n");
    scene.office().settle();
    scene.user("anna");
    scene.subscribe("patient");
    scene.settings().first_syncs = 1;
    scene.settings().much_from = 10;
    scene.restart_service();
  }
  /// Nothing is written for devices until it is given back.
  std::unique_ptr<postgres::Connection> hold_outputs() {
    auto connection = std::make_unique<postgres::Connection>(std::move(postgres::Connection::open(scene.office().settings().mid_tier).value()));
    EXPECT_TRUE(connection->execute("BEGIN; LOCK TABLE sync.output IN EXCLUSIVE MODE"));
    return connection;
  }
  bool somebody_writes() { return scene.office().mid_tier_value("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'sync.output'::regclass") == "t"; }

  static device::SyncReport sync(Tablet& tablet, const device::SyncEvents& events, std::stop_token stop = {}) {
    return device::Device::open(tablet.file, tablet.clock)->sync(tablet.line, "", events, std::move(stop)).value();
  }

  SyncScene scene;
};

TEST_F(InLine, TheSecondHearsThatOneIsBeforeItAndComesNext) {
  Tablet first(scene, "anna"), second(scene, "anna");
  auto held = hold_outputs();
  std::jthread one([&] { first.expect_synced(); });
  ASSERT_TRUE(eventually([&] { return somebody_writes(); }));
  std::atomic<std::uint64_t> place = 0;
  device::SyncReport report;
  std::jthread other([&] { report = sync(second, {.on_waiting = [&](std::uint64_t before) { place = before; }}); });
  EXPECT_TRUE(eventually([&] { return place == 1; }));
  EXPECT_TRUE(held->execute("COMMIT"));
  one.join();
  other.join();
  EXPECT_EQ(device::name_of(report.result), "succeeded");
  EXPECT_EQ(second.value("SELECT count(*) FROM patient"), "50");
}

TEST_F(InLine, WhoGoesOnFromItsCursorNeverWaits) {
  Tablet first(scene, "anna"), second(scene, "anna"), third(scene, "anna");
  second.expect_synced();
  scene.sql("UPDATE patient SET name = 'x' WHERE id = 1");
  scene.office().settle();
  // One is being filled and does not fetch.
  first.line.before = [](const DeviceCall& call) { return call.method != "GET"; };
  EXPECT_EQ(first.sync().result, device::SyncResult::kFailed);
  bool waited = false;
  EXPECT_EQ(sync(second, {.on_waiting = [&](std::uint64_t) { waited = true; }}).result, device::SyncResult::kSucceeded);
  EXPECT_FALSE(waited);
  third.expect_synced();
  EXPECT_EQ(third.value("SELECT count(*) FROM patient"), "50") << "what is written is written, whoever fetches it";
}

TEST_F(InLine, WaitingCanBeCancelled) {
  Tablet first(scene, "anna"), second(scene, "anna");
  auto held = hold_outputs();
  std::jthread one([&] { first.expect_synced(); });
  ASSERT_TRUE(eventually([&] { return somebody_writes(); }));
  std::stop_source stop;
  const auto report = sync(second, {.on_waiting = [&](std::uint64_t) { stop.request_stop(); }}, stop.get_token());
  EXPECT_EQ(device::name_of(report.result), "canceled");
  EXPECT_TRUE(held->execute("COMMIT"));
  one.join();
  second.expect_synced();
}

}  // namespace
}  // namespace verbund::sync
