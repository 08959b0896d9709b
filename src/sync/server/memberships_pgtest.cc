// Filters over membership tables (D3, D7). LESSONS: Dotmim #1346 (a row leaves and stays), electric #4004 (CASCADE in one transaction), #3681 (several reasons),
// WatermelonDB #1264 (old rows, newly granted).
#include <algorithm>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "sync/server/sync_scene.h"
#include "sync/server/watch.h"
#include "testing/eventually.h"

namespace verbund::sync::server {
namespace {

using testing_scene::ModelDevice;
using testing_scene::SyncScene;

void expect_synced(ModelDevice& device) {
  const auto done = device.sync();
  ASSERT_TRUE(done) << done.error().message;
  for (const auto& session : device.last_sessions) EXPECT_NE(session.mode, Session::Mode::kFailed) << session.message;
}

std::string keys(const ModelDevice& device, const std::string& table) {
  std::string all;
  const auto found = device.tables.find(table);
  if (found == device.tables.end()) return all;
  for (const auto& [key, row] : found->second) all += (all.empty() ? "" : " ") + key;
  return all;
}

/// Patients 1 to 6 with a visit (n * 10) and a reading of it each; Anna cares for 1 and 2, Bert for 2 and 3.
class Memberships : public ::testing::Test {
 protected:
  Memberships()
      : scene("CREATE TABLE care (id integer PRIMARY KEY, patient_id integer REFERENCES patient ON DELETE CASCADE ON UPDATE CASCADE, nurse text CHECK (nurse <> 'nobody'), note text)",
              {"public.patient", "public.encounter", "public.observation", "public.care"}) {}

  void SetUp() override {
    scene.sql("INSERT INTO patient SELECT n, 'P' || n, 'nord' FROM generate_series(1, 6) n; INSERT INTO encounter SELECT n * 10, n, 'visit' FROM generate_series(1, 6) n;"
              "INSERT INTO observation SELECT n * 10, 1, 'pulse' FROM generate_series(1, 6) n;"
              "INSERT INTO care VALUES (1, 1, 'anna'), (2, 2, 'anna'), (3, 2, 'bert'), (4, 3, 'bert')");
    scene.office().settle();
    for (const auto* user : {"anna", "bert", "cara"}) scene.user(user);
    subscribe("patient", "id IN (SELECT patient_id FROM care WHERE nurse = :user)");
    subscribe("encounter", "patient_id IN (SELECT patient_id FROM care WHERE nurse = :user)");
    subscribe("observation", "encounter_id IN (SELECT id FROM encounter WHERE patient_id IN (SELECT patient_id FROM care WHERE nurse = :user))");
  }
  Subscription& subscribe(const std::string& table, const std::string& filter) { return scene.subscribe(table, parse_filter(filter).value()); }
  Subscription& rule(const std::string& name) { return *std::ranges::find(scene.directory().in_force->rules.subscriptions, name, &Subscription::name); }
  void office(std::string_view statements) {
    scene.sql(statements);
    scene.office().settle();
  }
  std::string mid_tier(const std::string& query) { return scene.office().mid_tier_value(query); }

  SyncScene scene;
};

TEST_F(Memberships, SayWhatAFirstSyncBrings) {
  ModelDevice anna(scene, "anna"), cara(scene, "cara");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient"), "1 2");
  EXPECT_EQ(keys(anna, "encounter"), "10 20");
  EXPECT_EQ(keys(anna, "observation"), "10,1 20,1");
  expect_synced(anna);
  EXPECT_EQ(anna.rows_fetched, 0U);
  expect_synced(cara);
  EXPECT_EQ(keys(cara, "patient"), "");
}

TEST_F(Memberships, BringOldRowsAndTakeThemWithARowOfAnotherTable) {
  ModelDevice anna(scene, "anna"), bert(scene, "bert");
  expect_synced(anna);
  expect_synced(bert);
  office("INSERT INTO care VALUES (5, 4, 'anna')");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient"), "1 2 4") << "it is long there and has not changed";
  EXPECT_EQ(anna.value("observation", "40,1", "seen"), "pulse");
  EXPECT_EQ(anna.rows_fetched, 3U);
  expect_synced(bert);
  EXPECT_EQ(bert.rows_fetched, 0U);
  office("UPDATE care SET nurse = 'bert' WHERE id = 5");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "observation"), "10,1 20,1");
  EXPECT_EQ(anna.rows_fetched, 3U);
  expect_synced(bert);
  EXPECT_EQ(keys(bert, "patient"), "2 3 4");
  office("UPDATE care SET patient_id = 6 WHERE id = 5");
  expect_synced(bert);
  EXPECT_EQ(keys(bert, "encounter"), "20 30 60");
  office("DELETE FROM care WHERE id = 5");
  expect_synced(bert);
  EXPECT_EQ(keys(bert, "encounter"), "20 30");
}

TEST_F(Memberships, ARowLeavesByEachOfItsReasonsAndOnlyWithTheLast) {
  ModelDevice anna(scene, "anna");
  office("INSERT INTO care VALUES (6, 2, 'anna')");
  expect_synced(anna);
  office("DELETE FROM care WHERE id = 6");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient"), "1 2");
  EXPECT_EQ(anna.rows_fetched, 0U) << "she cares for 2 all the same";
  office("UPDATE encounter SET patient_id = 5 WHERE id = 20");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient") + "; " + keys(anna, "encounter") + "; " + keys(anna, "observation"), "1 2; 10; 10,1") << "by a change of the visit";
  office("UPDATE encounter SET patient_id = 2 WHERE id = 20; DELETE FROM care WHERE id = 2; UPDATE observation SET seen = 'x' WHERE encounter_id = 20");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient") + "; " + keys(anna, "encounter") + "; " + keys(anna, "observation"), "1; 10; 10,1");
  office("DELETE FROM patient WHERE id = 1");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient") + keys(anna, "encounter") + keys(anna, "observation"), "") << "by CASCADE, the assignment with it";
  office("INSERT INTO care VALUES (7, 3, 'anna'); DELETE FROM care WHERE id = 7; INSERT INTO care VALUES (7, 4, 'anna'); UPDATE patient SET id = 40 WHERE id = 4");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient") + "; " + keys(anna, "encounter"), "40; 40") << "with another key";
  office("TRUNCATE care");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient") + keys(anna, "encounter") + keys(anna, "observation"), "");
}

TEST_F(Memberships, WhatDecidesNothingMovesNothing) {
  ModelDevice anna(scene, "anna");
  expect_synced(anna);
  office("UPDATE care SET note = 'by bicycle'; UPDATE encounter SET kind = 'phone' WHERE id = 60; UPDATE care SET nurse = 'cara' WHERE id = 4");
  EXPECT_EQ(mid_tier("SELECT string_agg(concat_ws(' ', subscription, bucket, key), ', ' ORDER BY subscription, bucket) FROM sync.moved"),
            "encounters {bert} 30, encounters {cara} 30, observations {bert} 30,1, observations {cara} 30,1, patients {bert} 3, patients {cara} 3")
      << "one row for each bucket and row, whoever has devices";
  expect_synced(anna);
  EXPECT_EQ(anna.rows_fetched, 0U);
}

TEST_F(Memberships, AParameterOfAUserIsOneOfItsMemberships) {
  rule("patients").filter = parse_filter("id IN (SELECT patient_id FROM care WHERE nurse = :colleague)").value();
  auto& users = scene.directory().in_force->rules.users;
  for (auto& user : users) user.parameters["colleague"] = "bert";
  ModelDevice anna(scene, "anna");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient"), "2 3");
  for (auto& user : users) user.parameters["colleague"] = "anna";
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient"), "1 2");
}

TEST_F(Memberships, AChangeOfARowThatHasLeftIsRejected) {
  ModelDevice anna(scene, "anna");
  expect_synced(anna);
  anna.update("patient", "2", {{"name", "von unterwegs"}});
  anna.update("patient", "1", {{"name", "bleibt"}});
  office("DELETE FROM care WHERE id = 2");
  expect_synced(anna);
  ASSERT_EQ(anna.rejects.size(), 1U);
  EXPECT_EQ(anna.rejects[0].reason, "filter");
  EXPECT_EQ(keys(anna, "patient"), "1");
  EXPECT_EQ(scene.office().value("SELECT string_agg(name, ' ' ORDER BY id) FROM patient WHERE id < 3"), "bleibt P2");
}

TEST_F(Memberships, SomebodyNewComesTogetherWithWhoCaresForHer) {
  subscribe("care", "nurse = :user");
  ModelDevice anna(scene, "anna");
  expect_synced(anna);
  anna.insert("patient", {{"id", "7"}, {"name", "Neu"}});
  anna.insert("encounter", {{"id", "70"}, {"patient_id", "7"}});
  anna.insert("observation", {{"encounter_id", "70"}, {"line", "1"}});
  anna.insert("care", {{"id", "70"}, {"patient_id", "7"}, {"nurse", "anna"}});
  expect_synced(anna);
  EXPECT_TRUE(anna.rejects.empty());
  EXPECT_EQ(scene.office().value("SELECT (SELECT name FROM patient WHERE id = 7) || (SELECT count(*) FROM observation WHERE encounter_id = 70)"), "Neu1");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "encounter"), "10 20 70");
}

TEST_F(Memberships, NobodyComesWhenWhoCaresForHerIsRefused) {
  subscribe("care", "");
  ModelDevice anna(scene, "anna");
  expect_synced(anna);
  anna.insert("patient", {{"id", "7"}, {"name", "Neu"}});
  anna.insert("care", {{"id", "1"}, {"patient_id", "7"}, {"nurse", "anna"}});  // the key is taken
  anna.insert("patient", {{"id", "8"}, {"name", "Auch neu"}});
  anna.insert("care", {{"id", "80"}, {"patient_id", "8"}, {"nurse", "anna"}});
  expect_synced(anna);
  EXPECT_EQ(scene.office().value("SELECT string_agg(id || name, ' ') FROM patient WHERE id > 6"), "8Auch neu");
  EXPECT_EQ(anna.rejects.size(), 2U);
}

TEST_F(Memberships, AnotherRuleLeavesNothingOfTheOneBefore) {
  ModelDevice anna(scene, "anna");
  expect_synced(anna);
  const auto triggers = [&] { return mid_tier("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'sync\\_%'"); };
  const auto indexes = [&] { return mid_tier("SELECT count(*) FROM pg_class WHERE relkind = 'i' AND relname LIKE 'sync\\_%'"); };
  EXPECT_EQ(triggers() + " " + indexes(), "25 11") << "3 for its own table, 4 for each membership";
  for (const auto* name : {"patients", "encounters", "observations"}) {
    rule(name).filter = parse_filter(std::string(name) == "patients" ? "name = :user" : "").value();
    scene.directory().in_force->versions[name] = 2;
  }
  expect_synced(anna);
  EXPECT_EQ(triggers() + " " + indexes(), "9 3");
  EXPECT_EQ(keys(anna, "patient"), "");
  office("UPDATE patient SET name = 'anna' WHERE id = 5; DELETE FROM care");
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient"), "5");
  ASSERT_TRUE(end_watches(scene.office().mid_tier()));
  EXPECT_EQ(triggers() + " " + indexes(), "0 0") << "the mid-tier has no such subscriptions";
  expect_synced(anna);
  EXPECT_EQ(keys(anna, "patient"), "5");
}

/// The feed has one of the tables and wants the other; PostgreSQL would end one of the two after a second.
TEST_F(Memberships, AWatchThatBeginsGivesWayToTheFeed) {
  auto& feed = scene.office().mid_tier();
  const auto shadow = [&](const std::string& table) { return mid_tier("SELECT 'feed.' || quote_ident(shadow) FROM feed.source_table WHERE table_name = '" + table + "'"); };
  const auto patients = shadow("patient"), care = shadow("care");
  auto batch = postgres::Connection::open(scene.office().settings().mid_tier);
  ASSERT_TRUE(batch);
  ASSERT_TRUE(batch->execute("BEGIN; LOCK TABLE " + care + " IN ROW EXCLUSIVE MODE"));
  ModelDevice anna(scene, "anna");
  std::thread device([&] { expect_synced(anna); });
  // The device's sync has the patients and waits for care.
  const auto waits = [&] { return feed.query("SELECT FROM pg_locks WHERE NOT granted AND relation = '" + care + "'::regclass")->size() > 0; };
  EXPECT_TRUE(testing::eventually(waits));
  EXPECT_TRUE(batch->execute("LOCK TABLE " + patients + " IN ROW EXCLUSIVE MODE")) << "the feed waits a moment and goes on";
  EXPECT_TRUE(batch->execute("COMMIT"));
  device.join();
  EXPECT_EQ(keys(anna, "patient"), "1 2");
}

/// Each change reaches those whom it concerns, and nobody else fetches anything.
TEST_F(Memberships, OfAThousandDevicesOnlyThoseSyncRowsWhomAChangeConcerns) {
  constexpr int kDevices = 1'000, kPatients = 5;
  office(fmt::format("INSERT INTO patient SELECT n, 'P' || n, 'nord' FROM generate_series(1001, {0}) n; INSERT INTO care SELECT n, n, 'nurse' || (n - 1001) / {1} FROM generate_series(1001, {0}) n", 1000 + kDevices * kPatients,
                     kPatients));
  std::vector<std::unique_ptr<ModelDevice>> devices;
  for (int number = 0; number < kDevices; ++number) {
    scene.user(fmt::format("nurse{}", number));
    devices.push_back(std::make_unique<ModelDevice>(scene, fmt::format("nurse{}", number)));
  }
  const auto all_sync = [&] {
    std::vector<std::jthread> threads;
    for (std::size_t part = 0; part < 4; ++part) {
      threads.emplace_back([&, part] {
        for (std::size_t at = part; at < devices.size(); at += 4) {
          const auto done = devices[at]->sync();
          EXPECT_TRUE(done) << done.error().message;
        }
      });
    }
  };
  const auto fetched = [&] {
    std::map<std::size_t, std::size_t> rows;
    for (std::size_t at = 0; at < devices.size(); ++at) {
      if (devices[at]->rows_fetched > 0) rows[at] = devices[at]->rows_fetched;
    }
    return rows;
  };
  all_sync();
  EXPECT_EQ(fetched().size(), devices.size());
  for (const auto& device : devices) EXPECT_EQ(device->tables["patient"].size(), static_cast<std::size_t>(kPatients));
  office("UPDATE care SET nurse = 'nurse10' WHERE id = 1001; UPDATE patient SET name = 'neu' WHERE id = 1001 + 5 * 20; DELETE FROM care WHERE id = 1001 + 5 * 30; INSERT INTO care VALUES (9001, 1002, 'nurse999')");
  all_sync();
  EXPECT_EQ(fetched(), (std::map<std::size_t, std::size_t>{{0, 1}, {10, 1}, {20, 1}, {30, 1}, {999, 1}}));
  EXPECT_EQ(devices[999]->value("patient", "1002", "name"), "P1002");
  EXPECT_EQ(devices[0]->tables["patient"].size(), 4U);
}

TEST_F(Memberships, SayWhichVersionOfARecordADeviceHas) {
  using What = DeviceService::HeldRow::What;
  const auto what = [&](const std::string& subscription, const std::string& key) { return scene.service().held(1, subscription, key)->what; };
  ModelDevice anna(scene, "anna");
  EXPECT_EQ(what("patients", "1"), What::kNone) << "it has never synced";
  expect_synced(anna);
  EXPECT_EQ(what("patients", "1"), What::kCurrent);
  EXPECT_EQ(what("observations", "10,1"), What::kCurrent);
  EXPECT_EQ(what("patients", "3"), What::kNone);
  EXPECT_EQ(what("patients", "99"), What::kNone);
  office("UPDATE patient SET name = 'neu' WHERE id = 1; INSERT INTO care VALUES (9, 3, 'anna'); DELETE FROM care WHERE id = 2");
  EXPECT_EQ(what("patients", "1"), What::kOlder);
  EXPECT_EQ(what("patients", "3"), What::kOlder) << "it is old, and hers only now";
  EXPECT_EQ(what("patients", "2"), What::kLeaves);
  EXPECT_EQ(what("encounters", "20"), What::kLeaves);
  const auto cursor = scene.service().held(1, "patients", "1")->cursor;
  expect_synced(anna);
  EXPECT_EQ(what("patients", "1"), What::kCurrent);
  EXPECT_EQ(what("patients", "2"), What::kNone);
  EXPECT_GT(scene.service().held(1, "patients", "1")->cursor, cursor);
  scene.directory().in_force->versions["patients"] = 2;
  EXPECT_EQ(what("patients", "1"), What::kUnknown);
  EXPECT_EQ(scene.service().held(1, "nothing", "1").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(scene.service().held(7, "patients", "1").error().code, ErrorCode::kNotFound);
}

TEST_F(Memberships, OfATableOrColumnThatIsNotThereAreSaidWithTheSubscription) {
  ModelDevice anna(scene, "anna");
  expect_synced(anna);
  rule("patients").filter = parse_filter("id IN (SELECT patient_id FROM elsewhere WHERE nurse = :user)").value();
  rule("encounters").filter = parse_filter("patient_id IN (SELECT patient_id FROM care WHERE colour = :user)").value();
  ASSERT_TRUE(anna.sync());
  std::string said;
  for (const auto& session : anna.last_sessions) said += session.mode == Session::Mode::kFailed ? session.message + "\n" : "";
  EXPECT_EQ(said, "table elsewhere is not captured by the feed\nsubscription encounters: care has no column colour any more\n");
  EXPECT_EQ(keys(anna, "observation"), "10,1 20,1") << "the others go on";
}

}  // namespace
}  // namespace verbund::sync::server
