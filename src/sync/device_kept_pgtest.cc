// Databases of devices that were copied or taken back; what a device keeps for an office that may lose it (D12, B4).
#include <gmock/gmock.h>

#include "sync/device_scene.h"
#include "sync/server/tidy.h"

namespace verbund::sync {
namespace {

using ::testing::ElementsAre;
using testing_scene::SyncScene;
using testing_scene::Tablet;

class KeptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    scene.sql("INSERT INTO patient SELECT n, 'P' || n, 'nord' FROM generate_series(1, 5) n");
    scene.office().settle();
    scene.user("anna");
    scene.subscribe("patient");
    scene.subscribe("encounter");
  }
  void TearDown() override { mid_tier("SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE slot_name = 'mirror'"); }
  void office(std::string_view statements) {
    scene.sql(statements);
    scene.office().settle();
  }
  std::string patients() { return scene.office().value("SELECT string_agg(id || coalesce(name, '-'), ' ' ORDER BY id) FROM patient"); }
  static std::string patients(Tablet& tablet) { return tablet.value("SELECT group_concat(id || coalesce(name, '-'), ' ') FROM (SELECT * FROM patient ORDER BY id)"); }
  static std::string kept(Tablet& tablet) { return tablet.value("SELECT coalesce(group_concat(number), '') FROM verbund_upload"); }
  std::string mid_tier(const std::string& query) { return scene.office().mid_tier_value(query); }
  /// As a mirror that stands there and has got no further.
  void mirror() { mid_tier("SELECT pg_create_physical_replication_slot('mirror', true)"); }
  void mirror_catches_up() { mid_tier("SELECT pg_replication_slot_advance('mirror', pg_current_wal_lsn())"); }
  /// The machine that goes on has neither the changes of devices nor what was told of them.
  void lose(std::string_view statements) {
    office(statements);
    mid_tier("WITH a AS (DELETE FROM sync.change), b AS (DELETE FROM sync.upload), c AS (DELETE FROM sync.session), d AS (DELETE FROM sync.held) SELECT 1");
  }
  /// What it has is of the machine that is gone; so are its uploads.
  static void another_history(Tablet& tablet) {
    tablet.sql("UPDATE verbund_upload SET parts = replace(parts, (SELECT '\"history\":\"' || history || '\"' FROM verbund_device), '\"history\":\"gone\"'); UPDATE verbund_device SET history = 'gone'");
  }

  SyncScene scene;
};

TEST_F(KeptTest, ACopyOfADevicesDatabaseGoesOnAsADeviceOfItsOwn) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  Tablet copy(scene, tablet);
  tablet.sql("UPDATE patient SET name = 'vom ersten' WHERE id = 1; INSERT INTO patient VALUES (10, 'auch', NULL)");
  copy.sql("UPDATE patient SET name = 'von der Kopie' WHERE id = 2; INSERT INTO patient VALUES (11, 'neu', NULL)");
  tablet.expect_synced();
  copy.expect_synced();
  EXPECT_EQ(copy.value("SELECT id FROM verbund_device"), "2");
  EXPECT_EQ(scene.directory().devices.at(2).split_from, 1U);
  tablet.expect_synced();
  copy.expect_synced();
  EXPECT_EQ(patients(), "1vom ersten 2von der Kopie 3P3 4P4 5P5 10auch 11neu");
  EXPECT_EQ(patients(tablet), patients());
  EXPECT_EQ(patients(copy), patients());
  EXPECT_EQ(tablet.open().status()->id, "1");
  EXPECT_EQ(scene.directory().devices.size(), 2U);
}

TEST_F(KeptTest, ACopyThatIsFasterSplitsTheOtherOne) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  Tablet copy(scene, tablet);
  copy.sql("UPDATE patient SET name = 'von der Kopie' WHERE id = 2");
  copy.expect_synced();
  copy.expect_synced();
  tablet.sql("UPDATE patient SET name = 'zu spät' WHERE id = 2; UPDATE patient SET name = 'vom ersten' WHERE id = 1");
  tablet.expect_synced();
  EXPECT_EQ(tablet.last.rejected, 1U) << "a change of a row that the other one has changed";
  EXPECT_EQ(tablet.open().status()->id, "2");
  EXPECT_EQ(patients(tablet), patients());
  copy.expect_synced();
  EXPECT_EQ(patients(copy), patients());
}

TEST_F(KeptTest, ADeviceThatWasTakenBackDoesNothingTwice) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  // What is in the copy as a change that is still to be sent was sent after it was made.
  tablet.sql("INSERT INTO patient VALUES (10, 'kommt und geht', NULL); UPDATE patient SET name = 'einmal' WHERE id = 1; UPDATE patient SET name = 'abgewiesen' WHERE id = 3");
  office("UPDATE patient SET name = 'Praxis' WHERE id = 3");
  tablet.line.before = [](const DeviceCall& call) { return call.method != "PUT"; };
  EXPECT_EQ(tablet.sync().result, device::SyncResult::kFailed);
  tablet.line.before = nullptr;
  Tablet taken_back(scene, tablet);
  tablet.expect_synced();
  EXPECT_EQ(tablet.last.rejected, 1U);
  tablet.sql("UPDATE patient SET name = 'danach' WHERE id = 2");
  tablet.expect_synced();
  office("DELETE FROM patient WHERE id = 10; UPDATE patient SET name = 'später' WHERE id = 1");
  taken_back.sql("INSERT INTO patient VALUES (20, 'nach der Sicherung', NULL)");
  taken_back.expect_synced();
  taken_back.expect_synced();
  EXPECT_EQ(patients(), "1später 2danach 3Praxis 4P4 5P5 20nach der Sicherung") << "10 is not back";
  EXPECT_EQ(patients(taken_back), patients());
  EXPECT_EQ(taken_back.value("SELECT count(*) FROM verbund_reject"), "1") << "as the one before it";
}

TEST_F(KeptTest, ACopyWhoseAnswerWasLostIsNoThirdDevice) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  Tablet copy(scene, tablet);
  tablet.sql("UPDATE patient SET name = 'x' WHERE id = 1");
  tablet.expect_synced();
  bool lost = false;
  copy.line.after = [&](const DeviceCall& call) { return call.target != "/api/device/syncs" || std::exchange(lost, true); };
  EXPECT_EQ(copy.sync().result, device::SyncResult::kFailed);
  copy.expect_synced();
  EXPECT_EQ(scene.directory().devices.size(), 2U);
  EXPECT_EQ(patients(copy), patients());
}

TEST_F(KeptTest, ACopyIsNotStoppedByWhatTheOtherOneHasLeftAtTheServer) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  Tablet copy(scene, tablet);
  tablet.sql("UPDATE patient SET name = 'x' WHERE id = 1; INSERT INTO encounter VALUES (1, 1, 'Besuch')");
  tablet.line.before = [](const DeviceCall& call) { return call.target != "/api/device/syncs"; };
  EXPECT_EQ(tablet.sync().result, device::SyncResult::kFailed) << "two blocks have arrived, under number 1";
  copy.sql("UPDATE patient SET name = 'y' WHERE id = 2");
  copy.expect_synced();
  tablet.line.before = nullptr;
  tablet.expect_synced();
  copy.expect_synced();
  EXPECT_EQ(patients(), "1x 2y 3P3 4P4 5P5");
  EXPECT_EQ(patients(copy), patients());
  EXPECT_EQ(patients(tablet), patients());
}

TEST_F(KeptTest, WhatIsAcknowledgedStaysOnTheDeviceUntilTheMirrorHasIt) {
  mirror();
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  tablet.sql("UPDATE patient SET name = 'eins' WHERE id = 1");
  tablet.expect_synced();
  EXPECT_EQ(kept(tablet), "1");
  EXPECT_EQ(tablet.open().status()->undecided, 0U);
  tablet.expect_synced();
  EXPECT_EQ(kept(tablet), "1");
  mirror_catches_up();
  tablet.sql("UPDATE patient SET name = 'zwei' WHERE id = 2");
  tablet.expect_synced();
  EXPECT_EQ(kept(tablet), "2");
  mirror_catches_up();
  tablet.expect_synced();
  EXPECT_EQ(kept(tablet), "");
  mid_tier("SELECT pg_drop_replication_slot('mirror')");
  tablet.sql("UPDATE patient SET name = 'drei' WHERE id = 3");
  tablet.expect_synced();
  EXPECT_EQ(kept(tablet), "") << "without a mirror it is safe at once";
}

TEST_F(KeptTest, WhatTheOfficeHasLostGoesUpAgainInItsOrder) {
  mirror();
  Tablet tablet(scene, "anna"), other(scene, "anna");
  tablet.expect_synced();
  other.expect_synced();
  tablet.sql("INSERT INTO patient VALUES (10, 'Neu', NULL); UPDATE patient SET name = 'eins' WHERE id = 1");
  tablet.expect_synced();
  tablet.sql("INSERT INTO encounter VALUES (100, 10, 'Besuch'); UPDATE patient SET name = 'zwei' WHERE id = 1; DELETE FROM patient WHERE id = 5");
  tablet.expect_synced();
  tablet.sql("UPDATE encounter SET kind = 'Hausbesuch' WHERE id = 100");
  other.expect_synced();
  lose("DELETE FROM patient WHERE id = 10; UPDATE patient SET name = 'P1' WHERE id = 1; INSERT INTO patient VALUES (5, 'P5', 'nord')");
  another_history(tablet);
  another_history(other);
  tablet.expect_synced();
  EXPECT_EQ(tablet.last.rejected, 0U);
  EXPECT_EQ(patients(), "1zwei 2P2 3P3 4P4 10Neu");
  tablet.expect_synced();
  EXPECT_EQ(scene.office().value("SELECT kind FROM encounter WHERE id = 100"), "Hausbesuch");
  EXPECT_EQ(patients(tablet), patients());
  EXPECT_EQ(tablet.open().status()->undecided, 0U);
  other.expect_synced();
  EXPECT_EQ(patients(other), patients()) << "it had what was lost, and has it again";
  mirror_catches_up();
  tablet.expect_synced();
  EXPECT_EQ(kept(tablet), "");
}

TEST_F(KeptTest, WhatTheOfficeHasLostOnlyInPartIsNoConflict) {
  mirror();
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  tablet.sql("INSERT INTO patient VALUES (10, 'Neu', NULL); UPDATE patient SET name = 'eins' WHERE id = 1; DELETE FROM patient WHERE id = 5; UPDATE patient SET name = 'zwei' WHERE id = 2");
  tablet.expect_synced();
  lose("UPDATE patient SET name = 'P2' WHERE id = 2");  // all else has come to the mirror, but not that it was the device's
  another_history(tablet);
  tablet.expect_synced();
  EXPECT_EQ(tablet.last.rejected, 0U);
  EXPECT_EQ(patients(), "1eins 2zwei 3P3 4P4 10Neu");
  EXPECT_EQ(patients(tablet), patients());
}

TEST_F(KeptTest, WhatSomebodyHasChangedSinceTheLossIsAConflict) {
  mirror();
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  tablet.sql("UPDATE patient SET name = 'vom Gerät' WHERE id = 1; UPDATE patient SET letter = 'süd' WHERE id = 2");
  tablet.expect_synced();
  lose("UPDATE patient SET name = 'nach dem Ausfall' WHERE id = 1; UPDATE patient SET letter = 'nord' WHERE id = 2");
  another_history(tablet);
  tablet.expect_synced();
  EXPECT_EQ(tablet.last.rejected, 1U);
  EXPECT_EQ(tablet.value("SELECT reason || ' ' || key FROM verbund_reject"), "version [1]");
  EXPECT_EQ(patients(), "1nach dem Ausfall 2P2 3P3 4P4 5P5");
  EXPECT_EQ(scene.office().value("SELECT letter FROM patient WHERE id = 2"), "süd");
  EXPECT_EQ(patients(tablet), patients());
}

/// Seed 3784964449 of the oracle: the acknowledgement of a sync of before, delivered a second time, took for told what was to be told again.
TEST_F(KeptTest, AnAcknowledgementThatComesAgainMuchLaterChangesNothing) {
  mirror();
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  tablet.sql("UPDATE patient SET name = 'eins' WHERE id = 1");
  std::optional<DeviceCall> ack;
  tablet.line.arrived = [&](const DeviceCall& call) {
    if (call.target.ends_with("/ack")) ack = call;
  };
  tablet.expect_synced();
  tablet.line.arrived = nullptr;
  ASSERT_TRUE(ack);
  tablet.sql("UPDATE patient SET name = 'zwei' WHERE id = 2");
  tablet.expect_synced();
  const auto held = mid_tier("SELECT csn FROM sync.held WHERE subscription = 'patients'");
  another_history(tablet);
  bool again = true;
  tablet.line.before = [&](const DeviceCall& call) {
    if (call.target.ends_with("/ack") && std::exchange(again, false)) {
      EXPECT_TRUE(scene.service().handle(*ack, "127.0.0.1"));
    }
    return true;
  };
  tablet.expect_synced();
  EXPECT_FALSE(again);
  tablet.line.before = nullptr;
  tablet.expect_synced();
  EXPECT_EQ(tablet.open().status()->undecided, 0U);
  EXPECT_GE(std::stoull(mid_tier("SELECT csn FROM sync.held WHERE subscription = 'patients'")), std::stoull(held));
}

/// The server's history changes between its look at the request and its answer.
class ChangesHistory final : public DeviceTransport {
 public:
  explicit ChangesHistory(DeviceTransport& line) : line_(line) {}
  Result<DeviceAnswer> call(const DeviceCall& call, std::stop_token stop) override {
    auto answer = line_.call(call, std::move(stop));
    const auto at = answer && call.target == "/api/device/syncs" && !done ? answer->body.find("\"history\":\"") : std::string::npos;
    if (at == std::string::npos) return answer;
    done = true;
    answer->body.replace(at, std::string_view("\"history\":\"").size(), "\"history\":\"new");
    return answer;
  }
  bool done = false;

 private:
  DeviceTransport& line_;
};

TEST_F(KeptTest, AHistoryThatChangesWhileTheServerAnswersIsNotTakenOver) {
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  tablet.sql("UPDATE patient SET name = 'eins' WHERE id = 1");
  office("UPDATE patient SET name = 'zwei' WHERE id = 2");
  ChangesHistory line(tablet.line);
  const auto report = device::Device::open(tablet.file, tablet.clock)->sync(line, "", {}, {}).value();
  EXPECT_TRUE(line.done);
  EXPECT_EQ(device::name_of(report.result), "succeeded") << (report.error ? report.error->message : "");
  EXPECT_EQ(patients(), "1eins 2zwei 3P3 4P4 5P5");
  EXPECT_EQ(patients(tablet), patients());
  EXPECT_EQ(tablet.open().status()->undecided, 0U);
}

TEST_F(KeptTest, AsksTheMachineFirstThatHasAnsweredAndForgetsThoseThatAreNoMore) {
  scene.settings().servers = [] { return std::vector<std::string>{"second:2222"}; };
  scene.restart_service();
  Tablet anna(scene, "anna");
  anna.expect_synced();
  EXPECT_THAT(anna.open().identity()->servers, ElementsAre("server", "second:2222"));
  // Production went, the other machine answers, and names the one that is to come back.
  scene.settings().servers = [] { return std::vector<std::string>{"server"}; };
  scene.restart_service();
  anna.line.answers_at = "second:2222";
  anna.expect_synced();
  EXPECT_EQ(anna.open().identity()->servers.front(), "second:2222");
  // It has come back, alone: it names nobody.
  scene.settings().servers = [] { return std::vector<std::string>{}; };
  scene.restart_service();
  anna.line.answers_at = "server";
  anna.expect_synced();
  EXPECT_THAT(anna.open().identity()->servers, ElementsAre("server"));
}

TEST_F(KeptTest, WhatTheOfficeStillHasIsToldAgainAndNotDoneAgain) {
  mirror();
  Tablet tablet(scene, "anna");
  tablet.expect_synced();
  tablet.sql("UPDATE patient SET name = 'eins' WHERE id = 1; INSERT INTO patient VALUES (2, 'belegt', NULL) ON CONFLICT DO NOTHING; INSERT INTO patient VALUES (10, 'Neu', NULL)");
  office("INSERT INTO patient VALUES (10, 'andere', NULL)");
  tablet.expect_synced();
  EXPECT_EQ(tablet.last.rejected, 1U);
  office("UPDATE patient SET name = 'später' WHERE id = 1");
  another_history(tablet);
  tablet.expect_synced();
  EXPECT_EQ(patients(), "1später 2P2 3P3 4P4 5P5 10andere");
  EXPECT_EQ(patients(tablet), patients());
  EXPECT_EQ(tablet.open().status()->undecided, 0U);
  EXPECT_EQ(tablet.value("SELECT count(*) FROM verbund_reject"), "1");
  // And when the office does not know any more what it has told.
  mid_tier("DELETE FROM sync.change WHERE state = 'applied'");
  another_history(tablet);
  tablet.expect_synced();
  EXPECT_EQ(tablet.open().status()->undecided, 0U);
  EXPECT_EQ(patients(tablet), patients());
}

}  // namespace
}  // namespace verbund::sync
