#include <gtest/gtest.h>

#include "sync/server/intake.h"
#include "sync/server/queues.h"
#include "sync/server/sync_scene.h"
#include "sync/server/tidy.h"

namespace verbund::sync::server {
namespace {

using testing_scene::ModelDevice;
using testing_scene::SyncScene;
using Op = Comparison::Op;
using With = Comparison::With;

void expect_synced(ModelDevice& device) {
  const auto done = device.sync();
  ASSERT_TRUE(done) << done.error().message;
  for (const auto& session : device.last_sessions) EXPECT_NE(session.mode, Session::Mode::kFailed) << session.message;
}

class SyncTest : public ::testing::Test {
 protected:
  void SetUp() override {
    scene.sql("INSERT INTO patient SELECT n, 'P' || n, 'nord' FROM generate_series(1, 5) n");
    scene.office().settle();
    scene.user("anna", {{"region", "nord"}});
    scene.user("bert", {{"region", "süd"}});
  }
  SyncScene scene;
};

TEST_F(SyncTest, TheFirstSyncBringsAllRowsAndTheNextOnlyWhatChanged) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna");
  expect_synced(device);
  EXPECT_EQ(device.tables["patient"].size(), 5U);
  EXPECT_EQ(device.value("patient", "3", "name"), "P3");
  expect_synced(device);
  EXPECT_EQ(device.rows_fetched, 0U);
  scene.sql("UPDATE patient SET name = 'Ä' WHERE id = 2; DELETE FROM patient WHERE id = 4; INSERT INTO patient VALUES (9, NULL, '')");
  scene.office().settle();
  expect_synced(device);
  EXPECT_EQ(device.rows_fetched, 3U);
  EXPECT_EQ(device.value("patient", "2", "name"), "Ä");
  EXPECT_EQ(device.value("patient", "4", "name"), "(none)");
  EXPECT_EQ(device.value("patient", "9", "name"), std::nullopt);
  EXPECT_EQ(device.value("patient", "9", "letter"), "");
}

TEST_F(SyncTest, WhatADeviceChangesIsInTheSourceAndDoesNotComeBackAsNews) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna"), other(scene, "bert");
  expect_synced(device);
  expect_synced(other);
  device.update("patient", "1", {{"name", "neu"}});
  device.insert("patient", {{"id", "77"}, {"name", "Größe"}});
  device.remove("patient", "5");
  expect_synced(device);
  EXPECT_EQ(device.rows_fetched, 0U) << "its own changes";
  EXPECT_EQ(device.waiting, 0U);
  EXPECT_TRUE(device.rejects.empty());
  EXPECT_EQ(scene.office().value("SELECT string_agg(id || name, ' ' ORDER BY id) FROM patient"), "1neu 2P2 3P3 4P4 77Größe");
  expect_synced(other);
  EXPECT_EQ(other.tables["patient"], device.tables["patient"]);
  EXPECT_EQ(other.rows_fetched, 3U);
}

TEST_F(SyncTest, AStaleChangeIsRejectedAndTheRightRowReplacesItInTheSameSync) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna");
  expect_synced(device);
  device.update("patient", "1", {{"name", "meins"}});
  device.remove("patient", "2");
  device.update("patient", "3", {{"name", "zu spät"}});
  scene.sql("UPDATE patient SET letter = 'x' WHERE id IN (1, 2); DELETE FROM patient WHERE id = 3");
  expect_synced(device);
  ASSERT_EQ(device.rejects.size(), 3U);
  EXPECT_EQ(device.rejects[0].reason, "version");
  EXPECT_EQ(device.rejects[1].reason, "version");
  EXPECT_EQ(device.rejects[2].reason, "gone");
  EXPECT_EQ(device.value("patient", "1", "name"), "P1");
  EXPECT_EQ(device.value("patient", "1", "letter"), "x");
  EXPECT_EQ(device.value("patient", "2", "name"), "P2");
  EXPECT_EQ(device.value("patient", "3", "name"), "(none)");
  EXPECT_EQ(scene.office().mid_tier_value("SELECT string_agg(key || ':' || reason || ':' || mine::text, ' ' ORDER BY key) FROM sync.reject WHERE op = 'U'"), "1:version:{1,meins,nord} 3:gone:{3,\"zu spät\",nord}");
  expect_synced(device);
  EXPECT_EQ(device.rejects.size(), 3U) << "told once";
  EXPECT_EQ(device.rows_fetched, 0U);
}

TEST_F(SyncTest, AChangeThatTheFeedHasNotToldYetIsSeenAtTheSource) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna");
  expect_synced(device);
  // The feed stands still: the shadow still has what the device knows.
  auto held = scene.office().feed().hold(Deadline::in(os::SystemClock{}, seconds{30}), seconds{30});
  ASSERT_TRUE(held);
  scene.sql("UPDATE patient SET letter = 'ungesehen' WHERE id = 1");
  device.update("patient", "1", {{"name", "meins"}});
  expect_synced(device);
  EXPECT_EQ(device.waiting, 1U);
  EXPECT_EQ(scene.office().value("SELECT name FROM patient WHERE id = 1"), "P1");
  EXPECT_EQ(device.value("patient", "1", "name"), "meins") << "it is not decided";
  scene.office().feed().release();
  expect_synced(device);
  EXPECT_EQ(device.waiting, 0U);
  ASSERT_EQ(device.rejects.size(), 1U);
  EXPECT_EQ(device.value("patient", "1", "letter"), "ungesehen");
}

TEST_F(SyncTest, WhatConstraintsRefuseIsARejectWithItsReason) {
  scene.sql("ALTER TABLE patient ADD CHECK (name <> 'böse'), ADD UNIQUE (letter, name)");
  scene.subscribe("patient");
  scene.subscribe("encounter");
  ModelDevice device(scene, "anna");
  expect_synced(device);
  device.update("patient", "1", {{"name", "böse"}});
  device.update("patient", "2", {{"name", "P3"}});
  device.insert("patient", {{"id", "8"}, {"name", "gut"}});
  device.insert("encounter", {{"id", "1"}, {"patient_id", "8"}, {"kind", "x"}});
  device.insert("encounter", {{"id", "2"}, {"patient_id", "4711"}, {"kind", "x"}});
  expect_synced(device);
  std::vector<std::string> reasons;
  for (const auto& reject : device.rejects) reasons.push_back(reject.reason);
  std::ranges::sort(reasons);
  EXPECT_EQ(reasons, (std::vector<std::string>{"check", "foreign_key", "unique"}));
  EXPECT_EQ(device.value("patient", "1", "name"), "P1");
  EXPECT_EQ(device.value("patient", "2", "name"), "P2");
  EXPECT_EQ(device.value("encounter", "2", "kind"), "(none)");
  EXPECT_EQ(scene.office().value("SELECT count(*) FROM encounter WHERE patient_id = 8"), "1");
}

TEST_F(SyncTest, RowsEnterAndLeaveAFilter) {
  scene.subscribe("patient", {{Op::kEqual, With::kParameter, "letter", "region"}, {Op::kLess, With::kConstant, "id", "100"}});
  ModelDevice north(scene, "anna"), south(scene, "bert");
  expect_synced(north);
  expect_synced(south);
  EXPECT_EQ(north.tables["patient"].size(), 5U);
  EXPECT_EQ(south.tables["patient"].size(), 0U);
  scene.sql("UPDATE patient SET letter = 'süd' WHERE id = 1; UPDATE patient SET id = 200 WHERE id = 2; DELETE FROM patient WHERE id = 3; INSERT INTO patient VALUES (6, 'n', 'nord')");
  scene.office().settle();
  expect_synced(north);
  expect_synced(south);
  EXPECT_EQ(north.tables["patient"].size(), 3U);
  EXPECT_TRUE(north.tables["patient"].contains("6"));
  ASSERT_EQ(south.tables["patient"].size(), 1U);
  EXPECT_EQ(south.value("patient", "1", "letter"), "süd");
  EXPECT_EQ(north.rows_fetched, 4U);
  scene.sql("TRUNCATE patient CASCADE");
  scene.office().settle();
  expect_synced(north);
  EXPECT_EQ(north.tables["patient"].size(), 0U);
}

TEST_F(SyncTest, NobodyChangesOrLearnsWhatLiesOutsideHisFilter) {
  scene.subscribe("patient", {{Op::kEqual, With::kParameter, "letter", "region"}});
  ModelDevice north(scene, "anna"), south(scene, "bert");
  expect_synced(north);
  expect_synced(south);
  south.insert("patient", {{"id", "1"}, {"name", "geraten"}, {"letter", "süd"}});
  south.insert("patient", {{"id", "50"}, {"name", "fremd"}, {"letter", "nord"}});
  expect_synced(south);
  ASSERT_EQ(south.rejects.size(), 2U);
  EXPECT_EQ(south.tables["patient"].size(), 0U);
  EXPECT_EQ(scene.office().mid_tier_value("SELECT count(*) FROM sync.reject WHERE theirs IS NOT NULL"), "0");
  EXPECT_EQ(scene.office().value("SELECT count(*) FROM patient WHERE name IN ('geraten', 'fremd')"), "0");
}

TEST_F(SyncTest, NoReplyHasARowOfAnotherUser) {
  constexpr int kUsers = 6;
  scene.sql("INSERT INTO patient SELECT 1000 + n, 'of ' || n % 6, 'region ' || n % 6 FROM generate_series(0, 59) n; INSERT INTO encounter SELECT n, 1000 + n, 'user ' || n % 6 FROM generate_series(0, 59) n");
  scene.office().settle();
  scene.subscribe("patient", {{Op::kEqual, With::kParameter, "letter", "region"}});
  scene.subscribe("encounter", {{Op::kEqual, With::kUser, "kind", ""}});
  std::vector<std::unique_ptr<ModelDevice>> devices;
  for (int user = 0; user < kUsers; ++user) {
    scene.user(fmt::format("user {}", user), {{"region", fmt::format("region {}", user)}});
    devices.push_back(std::make_unique<ModelDevice>(scene, fmt::format("user {}", user)));
  }
  const auto expect_own = [&] {
    for (int user = 0; user < kUsers; ++user) {
      auto& device = *devices[static_cast<std::size_t>(user)];
      expect_synced(device);
      EXPECT_EQ(device.tables["patient"].size(), 10U);
      EXPECT_EQ(device.tables["encounter"].size(), 10U);
      for (const auto& [key, row] : device.tables["patient"]) EXPECT_EQ(row.at("letter"), fmt::format("region {}", user)) << key;
      for (const auto& [key, row] : device.tables["encounter"]) EXPECT_EQ(row.at("kind"), fmt::format("user {}", user)) << key;
    }
  };
  expect_own();
  // All change hands: each gets what was another's, and what was its own goes.
  scene.sql("UPDATE patient SET letter = 'region ' || (id + 1) % 6 WHERE id >= 1000; UPDATE encounter SET kind = 'user ' || (id + 2) % 6");
  scene.office().settle();
  expect_own();
}

TEST_F(SyncTest, RightsAreThoseOfTheSubscription) {
  auto& rule = scene.subscribe("patient");
  rule.rights = {true, false, true, false};
  ModelDevice device(scene, "anna");
  expect_synced(device);
  EXPECT_FALSE(device.last_sessions[0].may_insert);
  device.insert("patient", {{"id", "50"}, {"name", "neu"}});
  device.remove("patient", "1");
  device.update("patient", "2", {{"name", "darf"}});
  expect_synced(device);
  ASSERT_EQ(device.rejects.size(), 2U);
  EXPECT_EQ(device.rejects[0].reason, "right");
  EXPECT_EQ(device.value("patient", "1", "name"), "P1");
  EXPECT_FALSE(device.tables["patient"].contains("50"));
  EXPECT_EQ(scene.office().value("SELECT name FROM patient WHERE id = 2"), "darf");
}

TEST_F(SyncTest, DifferentColumnsAreMergedWhereTheTableWantsIt) {
  auto& rule = scene.subscribe("patient");
  rule.conflict.kind = ConflictPolicy::Kind::kMerge;
  ModelDevice device(scene, "anna");
  expect_synced(device);
  device.update("patient", "1", {{"name", "meins"}});
  device.update("patient", "2", {{"name", "meins"}});
  scene.sql("UPDATE patient SET letter = 'deins' WHERE id = 1; UPDATE patient SET name = 'deins' WHERE id = 2");
  scene.office().settle();
  expect_synced(device);
  EXPECT_EQ(scene.office().value("SELECT name || letter FROM patient WHERE id = 1"), "meinsdeins");
  EXPECT_EQ(device.value("patient", "1", "name"), "meins");
  EXPECT_EQ(device.value("patient", "1", "letter"), "deins");
  ASSERT_EQ(device.rejects.size(), 1U);
  EXPECT_EQ(device.value("patient", "2", "name"), "deins");
}

TEST_F(SyncTest, AFunctionDecidesWhereTheTableHasOne) {
  ASSERT_TRUE(scene.office().mid_tier().execute(
      "CREATE FUNCTION public.both(old jsonb, mine jsonb, theirs jsonb) RETURNS jsonb LANGUAGE sql AS"
      " $$ SELECT CASE WHEN theirs ->> 'name' = 'nein' THEN NULL ELSE theirs || jsonb_build_object('name', (mine ->> 'name') || '+' || (theirs ->> 'name')) END $$"));
  auto& rule = scene.subscribe("patient");
  rule.conflict = {ConflictPolicy::Kind::kFunction, "public.both"};
  ModelDevice device(scene, "anna");
  expect_synced(device);
  device.update("patient", "1", {{"name", "ich"}});
  device.update("patient", "2", {{"name", "ich"}});
  scene.sql("UPDATE patient SET name = 'du' WHERE id = 1; UPDATE patient SET name = 'nein' WHERE id = 2");
  scene.office().settle();
  expect_synced(device);
  EXPECT_EQ(device.value("patient", "1", "name"), "ich+du");
  EXPECT_EQ(scene.office().value("SELECT name FROM patient WHERE id = 1"), "ich+du");
  ASSERT_EQ(device.rejects.size(), 1U);
  EXPECT_EQ(device.rejects[0].reason, "policy");
  EXPECT_EQ(device.value("patient", "2", "name"), "nein");
}

TEST_F(SyncTest, AnotherChangeOnTopOfOnesOwnIsNoConflict) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna");
  expect_synced(device);
  auto held = scene.office().feed().hold(Deadline::in(os::SystemClock{}, seconds{30}), seconds{30});
  ASSERT_TRUE(held);
  device.update("patient", "1", {{"name", "eins"}});
  expect_synced(device);
  EXPECT_EQ(device.waiting, 1U);
  device.update("patient", "1", {{"name", "zwei"}});
  scene.office().feed().release();
  expect_synced(device);
  EXPECT_TRUE(device.rejects.empty());
  EXPECT_EQ(scene.office().value("SELECT name FROM patient WHERE id = 1"), "zwei");
  EXPECT_EQ(device.value("patient", "1", "name"), "zwei");
  device.update("patient", "1", {{"name", "drei"}});
  expect_synced(device);
  EXPECT_EQ(scene.office().value("SELECT name FROM patient WHERE id = 1"), "drei");
}

TEST_F(SyncTest, AnyCallMayBeLostBeforeOrAfterItsWorkAndEachChangeIsDoneOnce) {
  scene.sql("CREATE TABLE trace (id serial PRIMARY KEY, what text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO trace (what) VALUES (TG_OP || coalesce(NEW.name, OLD.name)); RETURN NULL; END $$;"
            "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON patient FOR EACH ROW EXECUTE FUNCTION note()");
  scene.subscribe("patient");
  int calls = 1000;
  for (int lost = 0; lost < calls; ++lost) {
    SCOPED_TRACE(lost);
    ModelDevice device(scene, "anna");
    expect_synced(device);
    scene.sql("TRUNCATE trace");
    int made = 0;
    const auto count = [&](const DeviceCall&) { return made++ != lost; };
    const bool arrives = lost % 2 == 1;
    (arrives ? device.after : device.before) = count;
    device.update("patient", "1", {{"name", "lauf " + std::to_string(lost)}});
    device.insert("patient", {{"id", std::to_string(1000 + lost)}, {"name", "neu"}});
    scene.sql("INSERT INTO patient VALUES (" + std::to_string(2000 + lost) + ", 'office')");
    scene.office().settle();
    const auto first = device.sync();
    calls = std::min(calls, first ? made : calls);
    device.before = device.after = nullptr;
    if (arrives) scene.restart_service();
    if (!first) expect_synced(device);
    EXPECT_TRUE(device.rejects.empty());
    EXPECT_EQ(scene.office().value("SELECT string_agg(what, ' ' ORDER BY id) FROM trace WHERE what NOT LIKE '%office'"), "UPDATElauf " + std::to_string(lost) + " INSERTneu");
    EXPECT_EQ(std::to_string(device.tables["patient"].size()), scene.office().value("SELECT count(*) FROM patient"));
  }
  EXPECT_GE(calls, 4);
}

TEST_F(SyncTest, OneSubscriptionThatFailsDoesNotStopTheOthers) {
  scene.subscribe("patient");
  scene.subscribe("note");  // has no primary key
  ModelDevice device(scene, "anna");
  ASSERT_TRUE(device.sync());
  EXPECT_EQ(device.tables["patient"].size(), 5U);
  ASSERT_EQ(device.last_sessions.size(), 2U);
  EXPECT_EQ(device.last_sessions[1].mode, Session::Mode::kFailed);
  EXPECT_NE(device.last_sessions[1].message.find("note"), std::string::npos);
}

TEST_F(SyncTest, AColumnThatComesOrGoesKeepsTheDeviceInStep) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna");
  expect_synced(device);
  scene.sql("ALTER TABLE patient ADD COLUMN phone text DEFAULT '110', DROP COLUMN letter; UPDATE patient SET phone = '112' WHERE id = 1");
  scene.office().settle();
  scene.restart_service();  // tables are known for two seconds
  device.update("patient", "2", {{"name", "davor"}});
  expect_synced(device);
  EXPECT_EQ(device.value("patient", "1", "phone"), "112");
  EXPECT_EQ(device.value("patient", "3", "phone"), "110");
  EXPECT_FALSE(device.tables["patient"].at("3").contains("letter"));
  EXPECT_EQ(scene.office().value("SELECT name FROM patient WHERE id = 2"), "davor");
}

TEST_F(SyncTest, AChangeToARecordThatAWorkstationHoldsWaitsForIt) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna");
  expect_synced(device);
  scene.locks().held = {"patient/1"};
  device.update("patient", "1", {{"name", "vom Tablet"}});
  device.update("patient", "2", {{"name", "frei"}});
  expect_synced(device);
  EXPECT_EQ(device.waiting, 1U);
  EXPECT_EQ(device.value("patient", "1", "name"), "vom Tablet");
  EXPECT_EQ(scene.office().value("SELECT string_agg(name, ' ' ORDER BY id) FROM patient WHERE id < 3"), "P1 frei");
  EXPECT_EQ(scene.office().mid_tier_value("SELECT string_agg(key || state || coalesce(waits_for, ''), ' ' ORDER BY key) FROM sync.change"), "1acceptedheld 2applied");
  EXPECT_TRUE(scene.locks().taken.empty()) << "given back";
  scene.locks().held.clear();
  expect_synced(device);
  EXPECT_EQ(device.waiting, 0U);
  EXPECT_TRUE(device.rejects.empty());
  EXPECT_EQ(scene.office().value("SELECT name FROM patient WHERE id = 1"), "vom Tablet");
  EXPECT_EQ(scene.locks().released_with_writes, 2U);
}

TEST_F(SyncTest, WhenTheHolderHasChangedItTheVersionDecides) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna");
  expect_synced(device);
  scene.locks().held = {"patient/1"};
  device.update("patient", "1", {{"name", "vom Tablet"}});
  expect_synced(device);
  EXPECT_EQ(device.waiting, 1U);
  scene.sql("UPDATE patient SET letter = 'am Empfang' WHERE id = 1");
  scene.office().settle();
  scene.locks().held.clear();
  expect_synced(device);
  ASSERT_EQ(device.rejects.size(), 1U);
  EXPECT_EQ(device.rejects.front().reason, "version");
  EXPECT_EQ(device.value("patient", "1", "letter"), "am Empfang");
}

TEST_F(SyncTest, WhatWaitsIsDecidedWhileTheDeviceIsAway) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna"), other(scene, "bert");
  expect_synced(device);
  scene.locks().held = {"patient/1"};
  device.update("patient", "1", {{"name", "vom Tablet"}});
  expect_synced(device);
  ASSERT_TRUE(scene.service().settle_waiting());
  EXPECT_EQ(scene.office().value("SELECT name FROM patient WHERE id = 1"), "P1") << "still held";
  scene.locks().held.clear();
  scene.restart_service();  // looks again at once
  ASSERT_TRUE(scene.service().settle_waiting());
  EXPECT_EQ(scene.office().value("SELECT name FROM patient WHERE id = 1"), "vom Tablet");
  expect_synced(other);
  EXPECT_EQ(other.value("patient", "1", "name"), "vom Tablet");
  expect_synced(device);
  EXPECT_EQ(device.waiting, 0U);
  EXPECT_EQ(device.rows_fetched, 0U);
}

// What one set has left waiting was rejected by the sync of another, whose rules do not speak of it.
TEST_F(SyncTest, WhatWaitsOfOneSetIsNotJudgedByAnother) {
  scene.subscribe("patient");
  scene.subscribe("encounter");
  auto& rules = scene.directory().in_force->rules;
  rules.sets = {{"all", {"patients"}}, {"visits", {"encounters"}}};
  rules.groups.front().sets = {"all", "visits"};
  ModelDevice device(scene, "anna");
  device.set = "all";
  expect_synced(device);
  scene.locks().held = {"patient/1"};
  device.update("patient", "1", {{"name", "vom Tablet"}});
  expect_synced(device);
  device.set = "visits";
  expect_synced(device);
  EXPECT_TRUE(device.rejects.empty());
  scene.locks().held.clear();
  device.set = "all";
  expect_synced(device);
  EXPECT_EQ(scene.office().value("SELECT name FROM patient WHERE id = 1"), "vom Tablet");
}

TEST_F(SyncTest, ARejectIsTriedAgainOrDismissedByAPerson) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna"), other(scene, "bert");
  expect_synced(device);
  device.update("patient", "1", {{"name", "meins"}});
  device.update("patient", "2", {{"name", "auch meins"}});
  device.remove("patient", "3");
  scene.sql("UPDATE patient SET letter = 'x' WHERE id <= 3");
  expect_synced(device);
  ASSERT_EQ(device.rejects.size(), 3U);
  EXPECT_EQ(device.value("patient", "3", "letter"), "x");
  auto& mid_tier = scene.office().mid_tier();
  auto rejects = list_rejects(mid_tier, std::nullopt);
  ASSERT_TRUE(rejects);
  ASSERT_EQ(rejects->size(), 3U);
  const auto of = [&](const std::string& key) { return std::ranges::find(*rejects, key, &Reject::key)->id; };
  const auto& first = *std::ranges::find(*rejects, "1", &Reject::key);
  EXPECT_EQ(first.mine[1], "meins");
  EXPECT_EQ(first.theirs[2], "x");
  ASSERT_TRUE(retry_reject(mid_tier, of("1")));
  ASSERT_TRUE(dismiss_reject(mid_tier, of("2")));
  ASSERT_TRUE(retry_reject(mid_tier, of("3")));
  EXPECT_FALSE(retry_reject(mid_tier, of("1"))) << "once";
  EXPECT_EQ(list_waiting(mid_tier, std::nullopt)->size(), 2U);
  ASSERT_TRUE(scene.service().settle_waiting());
  EXPECT_EQ(scene.office().value("SELECT string_agg(id || name || letter, ' ' ORDER BY id) FROM patient WHERE id < 4"), "1meinsx 2P2x");
  expect_synced(device);
  expect_synced(other);
  EXPECT_EQ(device.value("patient", "1", "name"), "meins") << "it had been given the other's row";
  EXPECT_EQ(device.value("patient", "2", "name"), "P2");
  EXPECT_EQ(device.tables["patient"], other.tables["patient"]);
  EXPECT_EQ(device.rejects.size(), 3U);
  EXPECT_TRUE(list_rejects(mid_tier, std::nullopt)->empty());
}

// Seed 348559984: the row's version was the device's own, so it did not come back with the reject of a later change.
TEST_F(SyncTest, ARowThatOneHasChangedComesBackWhenItsDeletionIsRejected) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna");
  expect_synced(device);
  device.update("patient", "1", {{"name", "meins"}});
  expect_synced(device);
  scene.sql("CREATE TABLE bill (patient_id integer REFERENCES patient); INSERT INTO bill VALUES (1)");
  device.remove("patient", "1");
  expect_synced(device);
  ASSERT_EQ(device.rejects.size(), 1U);
  EXPECT_EQ(device.rejects.front().reason, "foreign_key");
  EXPECT_EQ(device.value("patient", "1", "name"), "meins");
}

// A reject that waits for its second decision kept the row's news from the device, whose cursor went on meanwhile.
TEST_F(SyncTest, ARowWhoseRejectIsBeingTriedAgainGoesOnReachingTheDevice) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna");
  expect_synced(device);
  device.update("patient", "1", {{"name", "meins"}});
  scene.sql("UPDATE patient SET letter = 'x' WHERE id = 1");
  expect_synced(device);
  ASSERT_EQ(device.rejects.size(), 1U);
  scene.locks().held = {"patient/1"};
  ASSERT_TRUE(retry_reject(scene.office().mid_tier(), list_rejects(scene.office().mid_tier(), std::nullopt)->front().id));
  scene.sql("UPDATE patient SET letter = 'y' WHERE id = 1");
  scene.office().settle();
  expect_synced(device);
  EXPECT_EQ(device.value("patient", "1", "letter"), "y");
  scene.locks().held.clear();
  expect_synced(device);
  expect_synced(device);
  EXPECT_EQ(device.value("patient", "1", "letter"), "y");
  EXPECT_EQ(device.value("patient", "1", "name"), scene.office().value("SELECT name FROM patient WHERE id = 1"));
}

TEST_F(SyncTest, WhatIsLongOverGoesAndNothingThatADeviceMayStillAskFor) {
  scene.subscribe("patient");
  ModelDevice device(scene, "anna"), away(scene, "bert");
  expect_synced(device);
  expect_synced(away);
  auto& mid_tier = scene.office().mid_tier();
  const auto count = [&](const std::string& table) { return scene.office().mid_tier_value("SELECT count(*) FROM sync." + table); };
  device.update("patient", "1", {{"name", "eins"}});
  device.update("patient", "2", {{"name", "abgelehnt"}});
  scene.sql("UPDATE patient SET letter = 'x' WHERE id = 2");
  expect_synced(device);
  device.update("patient", "3", {{"name", "drei"}});
  expect_synced(device);
  device.update("patient", "4", {{"name", "vier"}});
  device.before = [](const DeviceCall& call) { return !call.target.ends_with("/ack"); };
  EXPECT_FALSE(device.sync());
  device.before = nullptr;
  ASSERT_EQ(count("change"), "4");
  EXPECT_EQ(*tidy(mid_tier), 0U) << "nothing is old yet";
  const auto aged = postgres::Statement{"WITH a AS (UPDATE sync.change SET decided = decided - interval '40 days'), b AS (UPDATE sync.apply SET began = began - interval '40 days')"
                                        " UPDATE sync.upload SET taken = taken - interval '40 days'", {}};
  ASSERT_TRUE(mid_tier.query(aged.sql, aged.parameters));
  ASSERT_TRUE(tidy(mid_tier));
  EXPECT_EQ(scene.office().mid_tier_value("SELECT string_agg(key || state, ' ' ORDER BY key) FROM sync.change"), "2rejected 4applied") << "the last one was never acknowledged";
  EXPECT_EQ(count("upload"), "2");
  EXPECT_EQ(count("apply"), "1");
  expect_synced(device);
  expect_synced(device);
  expect_synced(away);
  EXPECT_EQ(device.tables["patient"], away.tables["patient"]);
  EXPECT_EQ(device.value("patient", "4", "name"), "vier");
  EXPECT_EQ(device.rejects.size(), 1U);
}

TEST_F(SyncTest, ADeviceLaysDownOnlySoMuchThatNoSyncTakes) {
  auto& mid_tier = scene.office().mid_tier();
  BlockWriter writer(BlockHead::Kind::kUp);
  ASSERT_TRUE(writer.add(UpRow{UpRow::Op::kInsert, {}, {}, {Value{std::string("x")}}, {}}));
  const auto block = writer.take(true).value();
  constexpr std::uint64_t kMost = 10;
  EXPECT_TRUE(keep_block(mid_tier, 7, 1, 0, block, kMost));
  EXPECT_TRUE(keep_block(mid_tier, 7, 1, 0, block, kMost)) << "the same again";
  EXPECT_EQ(keep_block(mid_tier, 7, 1, 1, block, kMost).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(keep_block(mid_tier, 7, 2, 0, block, kMost).error().code, ErrorCode::kTooLarge);
  EXPECT_TRUE(keep_block(mid_tier, 8, 1, 0, block, kMost)) << "another device";
}

}  // namespace
}  // namespace verbund::sync::server
