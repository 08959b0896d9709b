// The journal stays bounded: by rows, by age, by size, in parts that go as wholes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "feed/feed_scene.h"
#include "feed/journal_parts.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;

constexpr Retention kEverything{1'000'000, seconds{0}, 0};

void write(Scene& scene, int count) {
  scene.sql("INSERT INTO patient VALUES (1, 'p', NULL) ON CONFLICT DO NOTHING");
  for (int i = 0; i < count; ++i) {
    scene.sql(fmt::format("UPDATE patient SET name = 'x{}' WHERE id = 1", i));
    scene.settle();
  }
}

std::uint64_t rows(Scene& scene) { return *parse_u64(scene.mid_tier_value("SELECT count(*) FROM feed.change")); }
std::uint64_t parts(Scene& scene) { return *parse_u64(scene.mid_tier_value("SELECT count(*) FROM feed.journal_part")); }

/// Drops what may go; how many parts that were.
int prune(Scene& scene, const Retention& retention) {
  for (int gone = 0;; ++gone) {
    auto more = prune_journal(scene.mid_tier(), retention);
    EXPECT_TRUE(more) << more.error().message;
    if (!more || !*more) return gone;
  }
}

class JournalParts : public ::testing::Test {
 protected:
  void SetUp() override {
    // Eight changes make the least part, which ends with its batch.
    scene.settings().journal_rows_kept = 64;
    scene.settings().upkeep_every = milliseconds{3'600'000};
    scene.start();
    start = scene.feed().head();
    write(scene, 50);
    // The part of before the first change is empty.
    EXPECT_EQ(prune(scene, kEverything), 1);
  }
  Scene scene;
  Cursor start;
};

TEST_F(JournalParts, AreMadeAsChangesCome) {
  EXPECT_GE(parts(scene), 5U);
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed.journal_part p WHERE to_csn <> coalesce((SELECT min(from_csn) FROM feed.journal_part n"
                                 " WHERE n.from_csn > p.from_csn), to_csn)"), "0") << "without a gap";
  EXPECT_EQ(scene.feed().replay(start, 100)->size(), 51U);
  // A transaction of more changes than a part holds.
  scene.sql("INSERT INTO encounter SELECT i, 1, 'v' FROM generate_series(1, 500) i");
  scene.settle();
  EXPECT_EQ(rows(scene), 551U);
}

TEST_F(JournalParts, GoWhenThereAreNewerRowsEnough) {
  EXPECT_EQ(prune(scene, kEverything), 0);
  EXPECT_GT(prune(scene, {20, seconds{0}, 0}), 0);
  EXPECT_GE(rows(scene), 20U);
  EXPECT_LE(rows(scene), 40U);
  EXPECT_EQ(scene.feed().replay(start, 100).error().message, "cursor_too_old");
  const auto floor = *parse_u64(scene.mid_tier_value("SELECT floor_csn FROM feed.retained"));
  EXPECT_EQ(scene.feed().replay({start.history, {floor}}, 100)->size(), rows(scene));
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed.transaction"), std::to_string(rows(scene)));
  write(scene, 5);
  EXPECT_EQ(scene.differences(), "");
}

/// A promotion begins a term, whose csns are far above those of before: they are not further away for that.
TEST_F(JournalParts, OfAnEarlierTermStayAsLongAsThereAreNoNewerRowsEnough) {
  scene.stop();
  scene.free_slot();
  scene.settings().term = Term{17};
  scene.start();
  write(scene, 10);
  const auto head = scene.feed().head();
  EXPECT_EQ(head.csn.term(), Term{17});
  EXPECT_EQ(prune(scene, kEverything), 0);
  EXPECT_EQ(scene.feed().replay(start, 100)->size(), 61U);
  EXPECT_GT(prune(scene, {30, seconds{0}, 0}), 0);
  EXPECT_GE(rows(scene), 30U) << "of both terms";
  EXPECT_LE(rows(scene), 50U);
}

TEST_F(JournalParts, GoByAge) {
  EXPECT_EQ(prune(scene, {1'000'000, seconds{3'600}, 0}), 0);
  ASSERT_TRUE(scene.mid_tier().execute("UPDATE feed.transaction SET commit_time = now() - interval '2 hours' WHERE last_csn <= (SELECT csn - 20 FROM feed.position)"));
  EXPECT_GT(prune(scene, {1'000'000, seconds{3'600}, 0}), 0);
  EXPECT_GE(rows(scene), 20U);
  EXPECT_LE(rows(scene), 40U);
}

TEST_F(JournalParts, GoBySizeButNeverTheNewest) {
  EXPECT_EQ(prune(scene, {1'000'000, seconds{0}, 1'000'000'000}), 0);
  EXPECT_GT(prune(scene, {1'000'000, seconds{0}, 1}), 0);
  EXPECT_EQ(parts(scene), 1U);
  write(scene, 5);
  EXPECT_EQ(scene.differences(), "");
}

TEST_F(JournalParts, WaitForWhoHasNotReadThem) {
  ASSERT_TRUE(scene.mid_tier().execute(fmt::format("INSERT INTO feed.consumer VALUES ('slow', {0}, {0})", start.csn.value)));
  EXPECT_EQ(prune(scene, {20, seconds{1}, 1'000'000'000}), 0);
  EXPECT_GT(prune(scene, {5, seconds{0}, 0}), 0) << "four times as much is too much";
  ASSERT_TRUE(scene.mid_tier().execute("UPDATE feed.consumer SET csn = (SELECT csn FROM feed.position)"));
  EXPECT_GT(prune(scene, {5, seconds{0}, 0}), 0);
}

TEST_F(JournalParts, AreNotTakenFromUnderAReader) {
  auto other = postgres::Connection::open(scene.settings().mid_tier);
  ASSERT_TRUE(other);
  ASSERT_TRUE(other->execute("BEGIN; LOCK TABLE feed.change IN ACCESS SHARE MODE"));
  auto busy = prune_journal(scene.mid_tier(), {5, seconds{0}, 0});
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, ErrorCode::kTimedOut);
  ASSERT_TRUE(other->execute("COMMIT"));
  EXPECT_GT(prune(scene, {5, seconds{0}, 0}), 0);
}

TEST(LagAlarm, IsToldWhileTheSourceKeepsMuchLog) {
  Scene scene;
  scene.settings().lag_warn_bytes = 1;
  scene.start();
  scene.sql("INSERT INTO patient SELECT i, 'p', NULL FROM generate_series(1, 100) i");
  EXPECT_TRUE(scene.waited_for([&] { return scene.feed().status().alarm.starts_with("the server keeps"); }));
  EXPECT_GT(scene.feed().status().kept_bytes, 1U);
}

}  // namespace
}  // namespace verbund::feed
