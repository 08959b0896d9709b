// What only happens when much comes at once: reading ahead, sets of rows in one statement.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "feed/feed_scene.h"
#include "feed/stream_reader.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;

TEST(ReadAhead, TellsABacklogBeyondItsBoundOnceThoughStopped) {
  constexpr std::size_t kRows = 3 * StreamReader::kMaxBytes / 10'000;
  Scene scene;
  scene.start();
  scene.stop();
  // Twenty rows of 10 kB per transaction.
  scene.sql(fmt::format("DO $$ BEGIN FOR t IN 1..{} LOOP INSERT INTO patient SELECT t * 20 + i, repeat('n', 10000), NULL"
                        " FROM generate_series(1, 20) i; COMMIT; END LOOP; END $$", kRows / 20));
  scene.settings().batch_changes = 20;
  scene.start();
  scene.told(1);
  scene.stop();
  scene.start();
  EXPECT_EQ(scene.told(kRows / 20).size(), kRows / 20);
  scene.settle();
  EXPECT_EQ(scene.events().size(), kRows / 20);
  EXPECT_EQ(scene.differences(), "");
}

/// `count` rows of each of the sets: left, updated, deleted, deleted and made again, new, given another key.
void mix(Scene& scene, int count) {
  scene.sql(fmt::format("INSERT INTO patient SELECT i, 'p' || i, NULL FROM generate_series(1, 5 * {}) i", count));
  scene.sql(fmt::format("BEGIN; UPDATE patient SET name = 'a\"\\,{{}}' || id, letter = NULLIF(id % 2, 0) WHERE id BETWEEN {0} + 1 AND 2 * {0};"
                        "DELETE FROM patient WHERE id BETWEEN 2 * {0} + 1 AND 3 * {0};"
                        "DELETE FROM patient WHERE id BETWEEN 3 * {0} + 1 AND 4 * {0};"
                        "INSERT INTO patient SELECT i, 'again', '' FROM generate_series(3 * {0} + 1, 4 * {0}) i;"
                        "INSERT INTO patient SELECT i, NULL, E'new\\n\\t' FROM generate_series(5 * {0} + 1, 6 * {0}) i;"
                        "UPDATE patient SET id = id + 1000000 WHERE id BETWEEN 4 * {0} + 1 AND 5 * {0}; COMMIT", count));
}

TEST(Sets, OfEverySizeLeaveTheShadowLikeTheSource) {
  // Below and above what goes row by row, with the commit, in pieces.
  for (const int count : {1, 2, 10, 60, 500, 2'100}) {
    Scene scene;
    scene.start();
    mix(scene, count);
    scene.told(2);
    scene.settle();
    EXPECT_EQ(scene.differences(), "") << count;
    EXPECT_THAT(scene.snapshots(), ::testing::IsEmpty());
  }
}

TEST(Sets, OfWideRowsAreWritten) {
  Scene scene;
  std::string columns;
  for (int i = 0; i < 300; ++i) columns += fmt::format(", c{} text DEFAULT '{}'", i, i);
  scene.sql("CREATE TABLE wide (id integer PRIMARY KEY" + columns + ")");
  scene.settings().tables.push_back({"public", "wide", "wide", {}});
  scene.start();
  scene.sql("INSERT INTO wide (id) SELECT generate_series(1, 30)");
  scene.sql("INSERT INTO wide (id) SELECT generate_series(31, 130)");
  scene.sql("UPDATE wide SET c7 = 'seven'");
  scene.told(3);
  EXPECT_EQ(scene.differences(), "");
}

TEST(Sets, UpdateOfARowThatTheShadowLacksIsMadeGoodByComparing) {
  Scene scene;
  scene.sql("INSERT INTO card SELECT i, 'c' || i, NULL FROM generate_series(1, 100) i;"
            "INSERT INTO patient SELECT i, 'p', NULL FROM generate_series(1, 100) i");
  scene.start();
  const std::string shadow = scene.mid_tier_value("SELECT shadow FROM feed.source_table WHERE table_name = 'patient'");
  ASSERT_TRUE(scene.mid_tier().execute("DELETE FROM feed." + shadow + " WHERE id = '50'"));
  scene.sql("UPDATE patient SET name = 'q'");
  EXPECT_TRUE(scene.waited_for([&] { return scene.differences().empty(); }));
  scene.settle();
  EXPECT_THAT(scene.snapshots(), ::testing::IsEmpty());
  EXPECT_EQ(scene.events().at(0).records.size(), 100U) << "also the row that was missing";
}

TEST(Rest, LoneChangesGoOutAtOnce) {
  Scene scene;
  scene.settings().longest_rest = milliseconds{3'600'000};
  scene.start();
  for (int i = 1; i <= 5; ++i) {
    scene.sql(fmt::format("INSERT INTO patient VALUES ({}, 'p', NULL)", i));
    ASSERT_EQ(scene.told(static_cast<std::size_t>(i)).size(), static_cast<std::size_t>(i));
  }
}

TEST(Rest, BusyStreamIsGathered) {
  constexpr std::size_t kCount = 300;
  Scene scene;
  scene.settings().rest_per_transaction = milliseconds{3'600'000};
  scene.settings().longest_rest = milliseconds{2'000};
  scene.start();
  scene.sql("INSERT INTO patient VALUES (0, 'p', NULL)");
  scene.told(1);
  scene.sql(fmt::format("DO $$ BEGIN FOR i IN 1..{} LOOP INSERT INTO patient VALUES (i, 'p', NULL); COMMIT; END LOOP; END $$", kCount));
  EXPECT_EQ(scene.told(kCount + 1).size(), kCount + 1);
  // Rows of one mid-tier transaction have one xmin. A slow machine may need several rests for the loop, but not one each.
  EXPECT_LE(std::stoi(scene.mid_tier_value("SELECT count(DISTINCT xmin::text) FROM feed.transaction")), 20);
}

}  // namespace
}  // namespace verbund::feed
