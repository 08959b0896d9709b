// Going on after an interruption: without gap, without repetition, or with an explicit new history.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>

#include "feed/feed_scene.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;
using testing_scene::shown;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> replayed(Scene& scene, Cursor from, std::size_t page = 3) {
  std::vector<std::string> texts;
  for (;;) {
    auto events = scene.feed().replay(from, page);
    if (!events) return {events.error().message};
    if (events->empty()) return texts;
    for (const TransactionEvent& event : *events) texts.push_back(fmt::format("{} {}", event.cursor.csn.value, shown(event)));
    from = events->back().cursor;
  }
}

void many_transactions(Scene& scene) {
  scene.sql("INSERT INTO patient SELECT i, 'p', NULL FROM generate_series(1, 5) i");
  for (int i = 1; i <= 5; ++i) scene.sql(fmt::format("UPDATE patient SET name = 'x{0}' WHERE id = {0}", i));
  scene.sql("BEGIN; SELECT pg_logical_emit_message(true, 'verbund.by', '4'); UPDATE patient SET id = 50 WHERE id = 5;"
            "DELETE FROM patient WHERE id = 4; COMMIT");
  scene.sql("TRUNCATE patient CASCADE");
}

// A node that was killed between a TRUNCATE and its next look at the catalog found other files, took the table for rewritten
// and compared it: the journal had differences (xid 0) in place of the changes that had been made meanwhile.
TEST(Resume, BehindATruncationTheLogIsGoneOnWith) {
  Scene scene;
  scene.start();
  scene.sql("INSERT INTO patient SELECT i, 'p', NULL FROM generate_series(1, 5) i");
  scene.sql("TRUNCATE patient CASCADE");
  scene.told(2);
  scene.stop();
  scene.sql("INSERT INTO patient VALUES (1, 'a', NULL)");
  scene.sql("TRUNCATE patient CASCADE");
  scene.sql("INSERT INTO patient VALUES (2, 'b', NULL)");
  scene.free_slot();
  scene.start();
  scene.told(5);
  scene.settle();
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed.transaction WHERE xid = 0"), "0");
  EXPECT_EQ(scene.mid_tier_value("SELECT string_agg(op::text || key, ' ' ORDER BY csn) FROM feed.change WHERE op = 'I' AND csn >"
                                 " (SELECT min(csn) FROM feed.change WHERE op = 'T')"), "I1 I2");
  EXPECT_EQ(scene.differences(), "");
  // Looked at by now: later files are a rewrite's again.
  scene.stop();
  scene.free_slot();
  scene.start();
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed.source_table WHERE truncated"), "0");
}

TEST(Replay, GivesFromEveryCursorWhatWasToldLive) {
  Scene scene;
  scene.start();
  const Cursor start = scene.feed().head();
  many_transactions(scene);
  scene.told(8);
  std::vector<std::string> live;
  for (const auto& event : scene.events()) live.push_back(fmt::format("{} {}", event.cursor.csn.value, shown(event)));
  for (std::uint64_t csn = start.csn.value; csn <= scene.feed().head().csn.value; ++csn) {
    std::vector<std::string> expected;
    for (const auto& event : scene.events()) {
      if (event.cursor.csn.value > csn) expected.push_back(fmt::format("{} {}", event.cursor.csn.value, shown(event)));
    }
    EXPECT_EQ(replayed(scene, {start.history, {csn}}), expected) << "from csn " << csn;
  }
  auto events = scene.feed().replay(start, 100);
  ASSERT_TRUE(events);
  const auto told = scene.events();
  ASSERT_EQ(events->size(), told.size());
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ((*events)[i].commit_time, told[i].commit_time);
    EXPECT_EQ((*events)[i].commit_lsn, told[i].commit_lsn);
    EXPECT_EQ((*events)[i].cursor, told[i].cursor);
  }
}

TEST(Replay, RefusesCursorsThatItCannotContinue) {
  Scene scene;
  scene.settings().journal_rows_kept = 5;
  scene.start();
  const Cursor start = scene.feed().head();
  many_transactions(scene);
  scene.told(8);
  EXPECT_THAT(replayed(scene, {{"another"}, start.csn}), ElementsAre("history_changed"));
  EXPECT_THAT(replayed(scene, {start.history, {scene.feed().head().csn.value + 1}}), ElementsAre("history_changed"));
  // Parts go whole, and never the newest: what came in one batch goes when more comes.
  int more = 100;
  EXPECT_TRUE(scene.waited_for([&] {
    scene.sql(fmt::format("INSERT INTO patient VALUES ({}, 'q', NULL)", more++));
    return replayed(scene, start) == std::vector<std::string>{"cursor_too_old"};
  }));
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed.change WHERE csn <= (SELECT floor_csn FROM feed.retained)"), "0");
  scene.settle();
  EXPECT_THAT(replayed(scene, scene.feed().head()), IsEmpty());
}

TEST(Resume, TellsWhatHappenedMeanwhileExactlyOnce) {
  Scene scene;
  scene.start();
  const Cursor start = scene.feed().head();
  scene.sql("INSERT INTO patient VALUES (1, 'a', NULL)");
  scene.told(1);
  scene.stop();
  scene.sql("INSERT INTO patient VALUES (2, 'b', NULL)");
  scene.start();
  EXPECT_THAT(scene.told(2), ElementsAre("I patient/1 [patient]", "I patient/2 [patient]"));
  EXPECT_EQ(replayed(scene, start).size(), 2U);
  EXPECT_THAT(scene.snapshots(), IsEmpty());
  EXPECT_EQ(scene.differences(), "");
}

TEST(Resume, WaitsForTheDatabaseAndGoesOn) {
  Scene scene;
  scene.start();
  scene.sql("INSERT INTO patient VALUES (1, 'a', NULL)");
  scene.told(1);
  testing::ScratchPostgres::shared().kill_immediate();
  EXPECT_TRUE(scene.waited_for([&] { return scene.feed().status().state == FeedState::kWaiting; }));
  EXPECT_FALSE(scene.feed().status().reason.empty());
  testing::ScratchPostgres::shared().restart();
  scene.reconnect();
  scene.sql("INSERT INTO patient VALUES (2, 'b', NULL)");
  EXPECT_THAT(scene.told(2), ElementsAre("I patient/1 [patient]", "I patient/2 [patient]"));
  EXPECT_EQ(scene.differences(), "");
}

TEST(Resume, SlotMovedOnByOthersIsANewHistory) {
  Scene scene;
  scene.start();
  scene.stop();
  scene.sql("INSERT INTO patient VALUES (2, 'b', NULL)");
  scene.free_slot();
  scene.sql(fmt::format("SELECT pg_replication_slot_advance('{}', pg_current_wal_lsn())", scene.settings().slot));
  scene.start();
  EXPECT_TRUE(scene.waited_for([&] { return !scene.snapshots().empty(); }));
  EXPECT_EQ(scene.differences(), "");
}

TEST(Resume, AddedTableIsCopiedAndItsLaterChangesAreTold) {
  Scene scene;
  scene.sql("CREATE TABLE extra (id integer PRIMARY KEY, patient_id integer); INSERT INTO extra VALUES (1, 1)");
  scene.sql("INSERT INTO patient VALUES (1, 'a', NULL)");
  scene.start();
  const Cursor start = scene.feed().head();
  scene.stop();
  scene.sql("INSERT INTO extra VALUES (2, 1)");
  scene.settings().tables.push_back({"public", "extra", "patient", {{{"patient_id"}, "public", "patient", {"id"}}}});
  scene.start();
  scene.sql("INSERT INTO extra VALUES (3, 1)");
  EXPECT_THAT(scene.told(1), ElementsAre("U patient/1 [extra]"));
  EXPECT_EQ(scene.feed().head().history, start.history);
  const std::string shadow = scene.mid_tier_value("SELECT shadow FROM feed.source_table WHERE table_name = 'extra'");
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed." + shadow), "3");
  scene.stop();
  scene.settings().tables.pop_back();
  scene.start();
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed.source_table WHERE table_name = 'extra'"), "0");
}

/// Random writers, random stops of the feed and crashes of the server; then the journal must explain every row.
class RandomRun : public ::testing::TestWithParam<unsigned> {};

void write_randomly(Scene& scene, std::mt19937& random) {
  const auto pick = [&](unsigned below) { return static_cast<unsigned>(random() % below) + 1; };
  switch (pick(8)) {
    case 1: scene.sql(fmt::format("INSERT INTO patient VALUES ({}, 'p{}', NULL) ON CONFLICT DO NOTHING", pick(30), random())); break;
    case 2: scene.sql(fmt::format("UPDATE patient SET name = 'n{}' WHERE id = {}", random(), pick(30))); break;
    case 3: scene.sql(fmt::format("DELETE FROM patient WHERE id = {}", pick(30))); break;
    case 4: scene.sql(fmt::format("INSERT INTO encounter SELECT {}, id, 'e' FROM patient ORDER BY random() LIMIT 1 ON CONFLICT DO NOTHING", pick(60))); break;
    case 5: scene.sql(fmt::format("INSERT INTO observation SELECT id, {}, 'o' FROM encounter ON CONFLICT DO NOTHING", pick(5))); break;
    case 6: {
      const unsigned to = 100 + pick(500);
      scene.sql(fmt::format("UPDATE patient SET id = {0} WHERE id = {1} AND NOT EXISTS (SELECT FROM patient WHERE id = {0})", to, pick(30)));
      break;
    }
    case 7: scene.sql(fmt::format("BEGIN; INSERT INTO stamp VALUES ({}, 'c', now(), 1.0, 2.5, NULL) ON CONFLICT (id) DO UPDATE SET price = 3.10;"
                                  "DELETE FROM stamp WHERE id = {}; SAVEPOINT s; DELETE FROM patient; ROLLBACK TO s; COMMIT", pick(20), pick(20))); break;
    default: scene.sql(random() % 20 == 0 ? "TRUNCATE stamp" : "UPDATE encounter SET patient_id = (SELECT min(id) FROM patient) WHERE id % 7 = 0"); break;
  }
}

TEST_P(RandomRun, KeepsShadowAndJournalWhole) {
  std::mt19937 random(GetParam());
  RecordProperty("seed", static_cast<int>(GetParam()));
  Scene scene;
  scene.settings().batch_changes = 1 + random() % 40;
  scene.start();
  const Cursor start = scene.feed().head();
  for (int i = 0; i < 400; ++i) {
    if (random() % 60 == 0) {
      scene.stop();
      for (int more = 0; more < 5; ++more) write_randomly(scene, random);
      scene.start();
    }
    if (random() % 150 == 0) {
      testing::ScratchPostgres::shared().kill_immediate();
      testing::ScratchPostgres::shared().restart();
      scene.reconnect();
    }
    write_randomly(scene, random);
  }
  scene.settle();
  EXPECT_EQ(scene.differences(), "") << "seed " << GetParam();
  EXPECT_THAT(scene.snapshots(), IsEmpty()) << "seed " << GetParam();
  std::vector<std::string> live;
  for (const auto& event : scene.events()) live.push_back(fmt::format("{} {}", event.cursor.csn.value, shown(event)));
  EXPECT_EQ(replayed(scene, start, 50), live) << "seed " << GetParam();
  // Csns without a gap, each transaction once, in commit order.
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM (SELECT csn, lag(csn) OVER (ORDER BY csn) AS before FROM feed.change) c"
                                 " WHERE csn <> before + 1"), "0");
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM (SELECT first_csn, commit_lsn, lag(last_csn) OVER w AS before,"
                                 " lag(commit_lsn) OVER w AS lsn FROM feed.transaction WINDOW w AS (ORDER BY last_csn)) t"
                                 " WHERE first_csn <> before + 1 OR commit_lsn < lsn"), "0");
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomRun, ::testing::Values(1U, 2U, 3U, 4U));

}  // namespace
}  // namespace verbund::feed
