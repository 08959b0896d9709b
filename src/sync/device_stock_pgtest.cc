// Rows that many devices get are written once (LESSONS: 300 simultaneous first syncs, cht-core #6246).
#include <thread>

#include "sync/device_scene.h"
#include "sync/server/tidy.h"

namespace verbund::sync {
namespace {

using testing_scene::SyncScene;
using testing_scene::Tablet;

class StockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    office("INSERT INTO patient SELECT n, 'P' || n, CASE WHEN n % 2 = 0 THEN 'anna' ELSE 'bert' END FROM generate_series(1, 3000) n");
    scene.user("anna");
    scene.user("bert");
    scene.subscribe("patient");
  }
  void office(std::string_view statements) {
    scene.sql(statements);
    scene.office().settle();
  }
  std::string stocks() { return scene.office().mid_tier_value("SELECT count(*) FROM sync.stock"); }
  void expect_equal(Tablet& tablet, const std::string& condition = "true") {
    const auto rows = fmt::format("SELECT count(*) || ' ' || sum(id) || ' ' || sum(length(coalesce(name, ''))) || ' ' || max(name) FROM patient WHERE {}", condition);
    EXPECT_EQ(tablet.value(rows), scene.office().value(rows));
  }

  SyncScene scene;
};

TEST_F(StockTest, TheSecondDeviceGetsWhatTheFirstHasHadAndWhatHasChangedSince) {
  Tablet anna(scene, "anna"), bert(scene, "bert"), third(scene, "anna");
  anna.expect_synced();
  EXPECT_EQ(stocks(), "1");
  EXPECT_EQ(scene.office().mid_tier_value("SELECT count(*) FROM sync.output"), "0");
  office("UPDATE patient SET name = 'geändert' WHERE id = 7; DELETE FROM patient WHERE id = 8; INSERT INTO patient VALUES (9001, 'neu', 'anna'); UPDATE patient SET id = 9002 WHERE id = 10");
  bert.expect_synced();
  expect_equal(bert);
  EXPECT_EQ(stocks(), "1");
  anna.expect_synced();
  expect_equal(anna);
  office("TRUNCATE patient CASCADE");
  office("INSERT INTO patient VALUES (7, 'nach dem Leeren', 'anna')");
  third.expect_synced();
  expect_equal(third);
  EXPECT_EQ(stocks(), "1");
}

TEST_F(StockTest, OthersBucketsHaveTheirOwn) {
  scene.directory().in_force->rules.subscriptions.front().filter = parse_filter("letter = :user").value();
  Tablet anna(scene, "anna"), bert(scene, "bert"), again(scene, "anna");
  for (auto* tablet : {&anna, &bert}) tablet->expect_synced();
  EXPECT_EQ(stocks(), "2");
  office("UPDATE patient SET letter = 'bert' WHERE id = 2; UPDATE patient SET letter = 'anna' WHERE id = 3");
  again.expect_synced();
  expect_equal(again, "letter = 'anna'");
  EXPECT_EQ(stocks(), "2");
}

TEST_F(StockTest, WhoHasChangedSomethingGetsItsOwn) {
  Tablet anna(scene, "anna"), bert(scene, "bert");
  anna.expect_synced();
  bert.expect_synced();
  bert.sql("INSERT INTO patient VALUES (9001, 'von Bert', 'bert'); UPDATE patient SET name = 'auch' WHERE id = 1");
  bert.expect_synced();
  bert.sql("UPDATE verbund_subscription SET shape = 'other'");
  bert.expect_synced();
  expect_equal(bert);
  EXPECT_EQ(bert.fetched(), 3001U);
}

TEST_F(StockTest, ALimitHoldsForIt) {
  Tablet anna(scene, "anna"), bert(scene, "bert");
  anna.expect_synced();
  scene.directory().in_force->rules.subscriptions.front().max_rows = 100;
  EXPECT_EQ(device::name_of(bert.sync().result), "failed");
  EXPECT_EQ(bert.value("SELECT count(*) FROM sqlite_schema WHERE name = 'patient'"), "0");
}

TEST_F(StockTest, InterruptedItGoesOnAndGoneItBeginsAnew) {
  office("UPDATE patient SET name = repeat(md5(id::text), 40)");
  Tablet anna(scene, "anna"), bert(scene, "bert");
  anna.expect_synced();
  int blocks = 0;
  bert.line.before = [&](const DeviceCall& call) { return call.method != "GET" || ++blocks <= 2; };
  EXPECT_EQ(device::name_of(bert.sync().result), "failed");
  office("DELETE FROM patient WHERE id <= 10");
  bert.line.before = nullptr;
  const auto calls = bert.line.calls;
  bert.expect_synced();
  expect_equal(bert);
  EXPECT_GT(bert.line.calls, calls);
  Tablet third(scene, "anna");
  blocks = 0;
  third.line.before = [&](const DeviceCall& call) { return call.method != "GET" || ++blocks <= 2; };
  EXPECT_EQ(device::name_of(third.sync().result), "failed");
  scene.office().mid_tier_value("UPDATE sync.stock SET made = now() - interval '2 days' RETURNING 1");
  auto mid_tier = postgres::Connection::open(scene.office().settings().mid_tier);
  EXPECT_TRUE(server::tidy(*mid_tier));
  EXPECT_EQ(stocks(), "0");
  third.line.before = nullptr;
  third.expect_synced();
  expect_equal(third);
}

TEST_F(StockTest, OldOnesAndThoseOfAnotherHistoryAreNotUsed) {
  Tablet anna(scene, "anna"), bert(scene, "bert"), third(scene, "anna");
  anna.expect_synced();
  scene.office().mid_tier_value("UPDATE sync.stock SET made = now() - interval '11 minutes' RETURNING 1");
  bert.expect_synced();
  EXPECT_EQ(stocks(), "1") << "the old one is taken away, a new one made";
  scene.office().mid_tier_value("UPDATE sync.stock SET history = 'another' RETURNING 1");
  third.expect_synced();
  EXPECT_EQ(stocks(), "2");
}

TEST_F(StockTest, AllAtOnce) {
  std::vector<std::unique_ptr<Tablet>> tablets;
  for (int number = 0; number < 12; ++number) tablets.push_back(std::make_unique<Tablet>(scene, number % 2 == 0 ? "anna" : "bert"));
  {
    std::vector<std::jthread> running;
    for (auto& tablet : tablets) running.emplace_back([&] { tablet->expect_synced(); });
  }
  for (auto& tablet : tablets) expect_equal(*tablet);
}

}  // namespace
}  // namespace verbund::sync
