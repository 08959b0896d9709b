// The log can't be gone on from: exactly the differences are found and told, whatever happens meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "feed/feed_scene.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;
using testing_scene::shown;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kRows =
    "INSERT INTO patient SELECT i, 'p' || i, repeat('l', i % 50) FROM generate_series(1, 3000) i;"
    "INSERT INTO encounter SELECT i, 1 + i % 3000, 'visit' FROM generate_series(1, 3000) i;"
    "INSERT INTO observation SELECT 1 + i % 3000, i, E'o,\\\\' FROM generate_series(1, 3000) i";
/// One row of each kind: made, changed, gone, given another key.
constexpr std::string_view kMissed =
    "INSERT INTO patient VALUES (9001, 'new', NULL); UPDATE patient SET name = NULL WHERE id = 77; UPDATE patient SET letter = 'other' WHERE id = 50;"
    "DELETE FROM observation WHERE line = 5; UPDATE encounter SET id = 9002 WHERE id = 12; DELETE FROM patient WHERE id = 2999";

void drop_slot(Scene& scene) {
  scene.free_slot();
  scene.sql(fmt::format("SELECT pg_drop_replication_slot('{}')", scene.settings().slot));
}

std::string shadow_of(Scene& scene, std::string_view table) {
  return "feed." + scene.mid_tier_value(fmt::format("SELECT shadow FROM feed.source_table WHERE table_name = '{}'", table));
}

/// Differences that were written, by operation: "D 3, I 2".
std::string journal(Scene& scene, Csn after) {
  return scene.mid_tier_value(fmt::format("SELECT coalesce(string_agg(op || ' ' || n, ', ' ORDER BY op), '') FROM (SELECT op::text, count(*) AS n FROM feed.change"
                                          " WHERE csn > {} GROUP BY op) c", after.value));
}

TEST(Reconcile, LostSlotIsMadeGoodByTheDifferencesAlone) {
  Scene scene;
  scene.sql(kRows);
  scene.start();
  const Cursor start = scene.feed().head();
  scene.stop();
  drop_slot(scene);
  scene.sql(kMissed);
  scene.start();
  EXPECT_EQ(scene.differences(), "");
  EXPECT_EQ(scene.feed().head().history, start.history);
  EXPECT_THAT(scene.snapshots(), IsEmpty());
  // patient, encounter 12 and 2998 with their observations (by cascade): gone and made, each counted by hand.
  EXPECT_EQ(journal(scene, start.csn), "D 6, I 3, U 2");
  auto replayed = scene.feed().replay(start, 10);
  ASSERT_TRUE(replayed) << replayed.error().message;
  ASSERT_EQ(replayed->size(), 1U);
  EXPECT_THAT(shown(replayed->at(0)), HasSubstr("I patient/9001 [patient]"));
  EXPECT_THAT(shown(replayed->at(0)), HasSubstr("D patient/2999"));
  // Equal rows keep their version.
  EXPECT_EQ(scene.mid_tier_value(fmt::format("SELECT count(*) FROM {} WHERE verbund_csn > {}", shadow_of(scene, "patient"), start.csn.value)), "3");
  scene.sql("UPDATE patient SET name = 'goes on' WHERE id = 1");
  EXPECT_EQ(scene.told(1).back(), "U patient/1 [patient]");
}

TEST(Reconcile, AskedForFindsWhatTheShadowLacks) {
  Scene scene;
  scene.sql(kRows);
  scene.start();
  auto nothing = scene.feed().reconcile();
  ASSERT_TRUE(nothing) << nothing.error().message;
  EXPECT_EQ(nothing->inserted + nothing->updated + nothing->deleted, 0U);
  EXPECT_EQ(nothing->rows_compared, 9000U);
  EXPECT_EQ(nothing->tables, 5U);
  const Cursor before = scene.feed().head();
  ASSERT_TRUE(scene.mid_tier().execute("DELETE FROM " + shadow_of(scene, "patient") + " WHERE id::int % 100 = 1; UPDATE " + shadow_of(scene, "encounter") +
                                       " SET kind = NULL WHERE id = '5'; INSERT INTO " + shadow_of(scene, "card") + " VALUES ('7', 0, '7', 'x', NULL)"));
  auto found = scene.feed().reconcile();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->inserted, 30U);
  EXPECT_EQ(found->updated, 1U);
  EXPECT_EQ(found->deleted, 1U);
  EXPECT_EQ(scene.differences(), "");
  EXPECT_EQ(scene.feed().head().history, before.history);
  EXPECT_EQ(scene.told(1).size(), 1U) << "told at once to those who listen";
  auto one = scene.feed().continue_table("public", "patient");
  ASSERT_TRUE(one);
  EXPECT_EQ(*one, 0U);
  EXPECT_EQ(scene.feed().continue_table("public", "nobody").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(scene.feed().continue_table("public", "note").error().code, ErrorCode::kNotFound);
}

TEST(Reconcile, LostWalDroppedPublicationAndRenamedSlotKeepTheHistory) {
  for (const std::string_view loss : {"publication", "publication while running", "slot name", "left out of the publication"}) {
    Scene scene;
    scene.sql(kRows);
    scene.start();
    const Cursor start = scene.feed().head();
    if (loss != "publication while running") scene.stop();
    if (loss.starts_with("publication")) {
      scene.sql("DROP PUBLICATION verbund");
    } else if (loss == "slot name") {
      scene.free_slot();
      scene.settings().slot += "_b";
    } else {
      scene.sql("ALTER PUBLICATION verbund DROP TABLE patient, encounter");
    }
    scene.sql(kMissed);
    if (loss != "publication while running") scene.start();
    EXPECT_TRUE(scene.waited_for([&] { return scene.differences().empty(); })) << loss << scene.differences() << scene.feed().status().reason;
    scene.sql("UPDATE patient SET name = 'goes on' WHERE id = 1");
    scene.settle();
    EXPECT_EQ(scene.differences(), "") << loss;
    EXPECT_EQ(scene.feed().head().history, start.history) << loss;
    EXPECT_THAT(scene.snapshots(), IsEmpty()) << loss;
    EXPECT_EQ(scene.value(fmt::format("SELECT count(*) FROM pg_replication_slots WHERE database = '{}'", scene.settings().source.database)), "1") << loss;
  }
}

TEST(Reconcile, SourceOfBeforeIsANewHistoryWithTheSameVersions) {
  for (const std::string_view change : {"timeline = timeline + 1", "lsn = pg_current_wal_lsn() + 1000000000"}) {
    Scene scene;
    scene.sql(kRows);
    scene.start();
    const Cursor start = scene.feed().head();
    scene.stop();
    scene.free_slot();
    scene.sql(kMissed);
    ASSERT_TRUE(scene.mid_tier().execute(fmt::format("UPDATE feed.position SET {}", change)));
    scene.start();
    EXPECT_TRUE(scene.waited_for([&] { return scene.snapshots().size() == 1; }));
    EXPECT_NE(scene.feed().head().history, start.history);
    EXPECT_EQ(scene.differences(), "");
    EXPECT_EQ(scene.mid_tier_value(fmt::format("SELECT count(*) FROM {} WHERE verbund_csn > {}", shadow_of(scene, "patient"), start.csn.value)), "3");
    EXPECT_EQ(scene.feed().replay(start, 10).error().code, ErrorCode::kSnapshotNeeded);
  }
}

TEST(Reconcile, ThatTakesLongGoesOnBehindAFeedThatHasStarted) {
  for (const bool forks : {false, true}) {
    Scene scene;
    scene.sql(kRows);
    scene.start();
    const Cursor start = scene.feed().head();
    scene.stop();
    drop_slot(scene);
    scene.sql(kMissed);
    if (forks) {
      ASSERT_TRUE(scene.mid_tier().execute("UPDATE feed.position SET timeline = timeline + 1"));
    }
    auto busy = postgres::Connection::open(scene.settings().source);
    ASSERT_TRUE(busy);
    ASSERT_TRUE(busy->execute("BEGIN; LOCK TABLE patient IN ACCESS EXCLUSIVE MODE"));
    scene.settings().start_patience = milliseconds{50};
    scene.start();
    EXPECT_EQ(scene.feed().status().state, FeedState::kWaiting);
    EXPECT_THAT(scene.feed().status().reason, HasSubstr("comparing with the source"));
    EXPECT_EQ(scene.feed().head(), start);
    EXPECT_TRUE(scene.feed().replay(start, 10)) << "clients come and go";
    ASSERT_TRUE(busy->execute("ROLLBACK"));
    EXPECT_TRUE(scene.waited_for([&] { return scene.feed().status().state == FeedState::kRunning; })) << scene.feed().status().reason;
    EXPECT_EQ(scene.differences(), "");
    EXPECT_EQ(journal(scene, start.csn), "D 6, I 3, U 2");
    if (forks) {
      EXPECT_EQ(scene.snapshots().size(), 1U);
      EXPECT_EQ(scene.feed().replay(start, 10).error().code, ErrorCode::kSnapshotNeeded);
    } else {
      EXPECT_THAT(scene.told(1).front(), HasSubstr("I patient/9001 [patient]"));
    }
  }
}

TEST(Reconcile, AnotherServerWaitsForAPerson) {
  Scene scene;
  scene.sql(kRows);
  scene.start();
  const Cursor start = scene.feed().head();
  scene.stop();
  scene.free_slot();
  scene.sql(kMissed);
  ASSERT_TRUE(scene.mid_tier().execute("UPDATE feed.position SET system_id = '1'"));
  scene.start();
  EXPECT_EQ(scene.feed().status().state, FeedState::kWaiting);
  EXPECT_THAT(scene.feed().status().reason, HasSubstr("another PostgreSQL system"));
  EXPECT_THAT(scene.feed().status().reason, HasSubstr("verbund feed reconcile"));
  EXPECT_EQ(scene.feed().head(), start);
  EXPECT_NE(scene.differences(), "");
  auto report = scene.feed().reconcile();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->inserted, 3U);
  EXPECT_EQ(scene.differences(), "");
  EXPECT_TRUE(scene.waited_for([&] { return scene.snapshots().size() == 1; }));
}

TEST(Reconcile, EveryRowDifferentIsMergedInOrder) {
  Scene scene;
  scene.settings().batch_changes = 500;
  scene.sql("CREATE TABLE odd (a text, b numeric, v text, PRIMARY KEY (b, a));"
            "INSERT INTO odd SELECT chr(33 + i % 90) || chr(200 + i % 300) || ',\\', i / 10.0, i FROM generate_series(1, 5000) i");
  scene.settings().tables.push_back({"public", "odd", "", {}, false});
  scene.start();
  ASSERT_TRUE(scene.mid_tier().execute("UPDATE " + shadow_of(scene, "odd") + " SET v = 'x' || v WHERE a < 'x'; DELETE FROM " + shadow_of(scene, "odd") +
                                       " WHERE b::numeric::int % 3 = 1"));
  auto report = scene.feed().reconcile();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->inserted, 1000U);
  EXPECT_EQ(report->deleted, 0U);
  EXPECT_EQ(scene.difference("public", "odd"), "");
}

/// A process of its own reconciles and is killed; the next one has to finish the work.
class KilledInReconcile : public ::testing::TestWithParam<unsigned> {};

TEST_P(KilledInReconcile, BeginsAgainAndTellsOnce) {
  std::mt19937 random(GetParam());
  RecordProperty("seed", static_cast<int>(GetParam()));
  Scene scene;
  scene.settings().batch_changes = 100;
  scene.sql(kRows);
  scene.start();
  const Cursor start = scene.feed().head();
  scene.stop();
  drop_slot(scene);
  scene.sql(kMissed);
  scene.sql("UPDATE encounter SET kind = 'k' WHERE id % 2 = 0");
  for (int i = 0; i < 4; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      // Nothing of the parent's connections may be used or closed here.
      testing_scene::NoLog log;
      testing_scene::NoCounters counters;
      os::SystemClock clock;
      Feed feed(scene.settings(), {}, clock, log, counters);
      static_cast<void>(feed.start());
      ::_exit(0);
    }
    const auto until = std::chrono::steady_clock::now() + microseconds{random() % 400'000};
    while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    scene.sql(fmt::format("UPDATE patient SET name = 'between {0}' WHERE id = 100 + {0}", i));
  }
  scene.waited_for([&] { return scene.value("SELECT count(*) FROM pg_replication_slots WHERE active AND database = current_database()") == "0"; });
  scene.start();
  scene.settle();
  EXPECT_EQ(scene.differences(), "") << "seed " << GetParam();
  EXPECT_EQ(scene.feed().head().history, start.history) << "seed " << GetParam();
  EXPECT_EQ(scene.mid_tier_value(fmt::format("SELECT count(*) FROM feed.change WHERE csn > {} AND key = '9001'", start.csn.value)), "1");
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM (SELECT csn, lag(csn) OVER (ORDER BY csn) AS before FROM feed.change) c WHERE csn <> before + 1"), "0");
}

INSTANTIATE_TEST_SUITE_P(Seeds, KilledInReconcile, ::testing::Values(1U, 2U, 3U));

}  // namespace
}  // namespace verbund::feed
