// Capture against a real server: what happens to records, and in which order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "feed/feed_scene.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;
using testing_scene::shown;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Capture : public ::testing::Test {
 protected:
  void SetUp() override {
    scene.sql("INSERT INTO patient VALUES (1, 'Anna', NULL), (2, 'Bert', NULL);"
              "INSERT INTO encounter VALUES (10, 1, 'visit'), (20, 2, 'visit');"
              "INSERT INTO observation VALUES (10, 1, 'pulse 70'), (20, 1, 'pulse 80');"
              "INSERT INTO card VALUES (5, 'A-1', 1)");
    scene.start();
  }
  void TearDown() override {
    scene.settle();
    EXPECT_EQ(scene.differences(), "");
    EXPECT_THAT(scene.snapshots(), IsEmpty());
  }
  Scene scene;
};

TEST_F(Capture, CopiesWhatWasThereBeforeWithoutTellingIt) { EXPECT_THAT(scene.told(0), IsEmpty()); }

TEST_F(Capture, TellsInsertUpdateAndDeleteInCommitOrder) {
  scene.sql("INSERT INTO patient VALUES (3, 'Carl', NULL)");
  scene.sql("UPDATE patient SET name = 'Karl' WHERE id = 3");
  scene.sql("DELETE FROM patient WHERE id = 3");
  EXPECT_THAT(scene.told(3), ElementsAre("I patient/3 [patient]", "U patient/3 [patient]", "D patient/3 [patient]"));
}

TEST_F(Capture, ChangedKeyIsOneUpdateWithTheFormerKey) {
  scene.sql("UPDATE patient SET id = 9 WHERE id = 1");
  EXPECT_THAT(scene.told(1), ElementsAre("U patient/9 was 1 [encounter,patient]"));
}

TEST_F(Capture, ChildRowsNameTheirRecordOverAllHops) {
  scene.sql("INSERT INTO encounter VALUES (11, 1, 'call')");
  scene.sql("UPDATE observation SET seen = 'pulse 75' WHERE encounter_id = 10");
  scene.sql("DELETE FROM observation WHERE encounter_id = 20");
  EXPECT_THAT(scene.told(3), ElementsAre("U patient/1 [encounter]", "U patient/1 [observation]", "U patient/2 [observation]"));
}

TEST_F(Capture, ParentsOfTheSameTransactionAreFound) {
  scene.sql("BEGIN; INSERT INTO patient VALUES (3, 'Carl', NULL); INSERT INTO encounter VALUES (30, 3, 'visit');"
            "INSERT INTO observation VALUES (30, 1, 'pulse 60'); COMMIT");
  scene.sql("BEGIN; INSERT INTO encounter VALUES (31, 2, 'visit'); INSERT INTO observation VALUES (31, 1, 'x');"
            "UPDATE encounter SET patient_id = 1 WHERE id = 31; UPDATE observation SET seen = 'y' WHERE encounter_id = 31; COMMIT");
  EXPECT_THAT(scene.told(2), ElementsAre("I patient/3 [encounter,observation,patient]",
                                         "U patient/2 [encounter,observation]; U patient/1 [encounter,observation]"));
}

TEST_F(Capture, MovedChildChangesBothRecords) {
  scene.sql("UPDATE encounter SET patient_id = 2 WHERE id = 10");
  scene.sql("UPDATE observation SET seen = 'z' WHERE encounter_id = 10");
  EXPECT_THAT(scene.told(2), ElementsAre("U patient/1 [encounter]; U patient/2 [encounter]", "U patient/2 [observation]"));
}

TEST_F(Capture, CascadeIsOneDeletion) {
  scene.sql("DELETE FROM patient WHERE id = 1");
  EXPECT_THAT(scene.told(1), ElementsAre("D patient/1 [encounter,observation,patient]"));
}

TEST_F(Capture, DeletedParentStillNamesTheRecordOfItsChildren) {
  scene.sql("DELETE FROM encounter WHERE id = 10");
  EXPECT_THAT(scene.told(1), ElementsAre("U patient/1 [encounter,observation]"));
}

TEST_F(Capture, ReferencesToOtherUniqueColumnsAreFollowed) {
  scene.sql("INSERT INTO stamp VALUES (1, 'A-1', '2026-11-22 03:04:05.123456+01', 12.50, 0.1, '\\x00ff')");
  scene.sql("BEGIN; INSERT INTO card VALUES (6, 'B-2', 2); INSERT INTO stamp (id, card_code) VALUES (2, 'B-2'); COMMIT");
  scene.sql("INSERT INTO stamp VALUES (3, 'nobody', 'infinity', 'NaN', '-infinity', NULL), (4, NULL, NULL, NULL, 1e300, '')");
  // Rows of no record are in the journal all the same.
  EXPECT_THAT(scene.told(3), ElementsAre("U patient/1 [stamp]", "U patient/2 [stamp]", ""));
}

TEST_F(Capture, TruncateTellsTheTypeAndWhatCameAfterIt) {
  scene.sql("BEGIN; INSERT INTO patient VALUES (7, 'Gone', NULL); TRUNCATE patient CASCADE;"
            "INSERT INTO patient VALUES (8, 'Hugo', NULL); COMMIT");
  scene.sql("INSERT INTO encounter VALUES (80, 8, 'visit'), (81, 8, 'visit')");
  scene.sql("TRUNCATE encounter CASCADE");
  const auto told = scene.told(3);
  ASSERT_EQ(told.size(), 3U);
  EXPECT_THAT(told[0], ::testing::AllOf(::testing::HasSubstr("I patient/8 [patient]"), ::testing::HasSubstr("truncated patient"),
                                        ::testing::Not(::testing::HasSubstr("patient/7"))));
  EXPECT_EQ(told[2], "bulk patient 2");
}

TEST_F(Capture, UnchangedLargeValuesComeFromTheShadow) {
  scene.sql("ALTER TABLE patient ALTER letter SET STORAGE EXTERNAL");
  scene.sql("INSERT INTO patient VALUES (3, 'Carl', repeat('brief ', 20000))");
  scene.sql("UPDATE patient SET name = 'Karl' WHERE id = 3");
  scene.sql("BEGIN; UPDATE patient SET id = 4 WHERE id = 3; UPDATE patient SET name = 'K' WHERE id = 4; COMMIT");
  EXPECT_THAT(scene.told(3), ElementsAre("I patient/3 [patient]", "U patient/3 [patient]", "U patient/4 was 3 [patient]"));
  EXPECT_EQ(scene.mid_tier_value(fmt::format("SELECT length(letter) FROM feed.{} WHERE verbund_key = '4'",
                                             scene.mid_tier_value("SELECT shadow FROM feed.source_table WHERE table_name = 'patient'"))),
            "120000");
}

TEST_F(Capture, RolledBackSavepointsAndTransactionsLeaveNothing) {
  scene.sql("BEGIN; INSERT INTO patient VALUES (3, 'Carl', NULL); SAVEPOINT a; DELETE FROM patient WHERE id = 2;"
            "ROLLBACK TO a; SAVEPOINT b; UPDATE patient SET name = 'B' WHERE id = 2; RELEASE b; COMMIT");
  scene.sql("BEGIN; DELETE FROM patient; ROLLBACK");
  scene.sql("DELETE FROM patient WHERE id = 3");
  EXPECT_THAT(scene.told(2), ElementsAre("I patient/3 [patient]; U patient/2 [patient]", "D patient/3 [patient]"));
}

TEST_F(Capture, MadeAndDeletedInOneTransactionIsNothing) {
  scene.sql("BEGIN; INSERT INTO patient VALUES (3, 'C', NULL); INSERT INTO encounter VALUES (30, 3, 'v'); DELETE FROM patient WHERE id = 3; COMMIT");
  scene.sql("BEGIN; DELETE FROM patient WHERE id = 2; INSERT INTO patient VALUES (2, 'New', NULL); COMMIT");
  EXPECT_THAT(scene.told(2), ElementsAre("", "U patient/2 [encounter,observation,patient]"));
}

TEST_F(Capture, AnnouncedChangesAndAuthorsComeThroughTheLog) {
  const std::vector<RecordEvent> records{{RecordEvent::Op::kInsert, {"letter", "a/\"9\""}, {}, {}}};
  ASSERT_TRUE(scene.feed().announce(records, SessionId{17}));
  scene.sql("BEGIN; SELECT pg_logical_emit_message(true, 'verbund.by', '23'); UPDATE patient SET name = 'x' WHERE id = 1; COMMIT");
  scene.sql("UPDATE patient SET name = 'y' WHERE id = 1");
  EXPECT_THAT(scene.told(3), ElementsAre("I letter/a/\"9\" []; by 17", "U patient/1 [patient]; by 23", "U patient/1 [patient]"));
}

TEST_F(Capture, MalformedAnnouncementsHurtNobody) {
  for (const auto* content : {"", "{", "[1]", "[{\"key\":\"x\",\"op\":\"insert\"}]", "[{\"key\":\"a/b\",\"op\":\"steal\"}]", "[[[[[["}) {
    scene.sql(fmt::format("SELECT pg_logical_emit_message(true, 'verbund.changed', '{}')", content));
  }
  scene.sql("SELECT pg_logical_emit_message(true, 'verbund.by', 'nobody'), pg_logical_emit_message(false, 'verbund.changed', 'x')");
  scene.sql("UPDATE patient SET name = 'y' WHERE id = 1");
  EXPECT_THAT(scene.told(1), ElementsAre("U patient/1 [patient]"));
}

TEST_F(Capture, CommitOrderCountsNotTheOrderOfBegin) {
  auto other = postgres::Connection::open(scene.settings().source);
  ASSERT_TRUE(other);
  ASSERT_TRUE(other->execute("BEGIN; UPDATE patient SET name = 'first begun' WHERE id = 1"));
  scene.sql("UPDATE patient SET name = 'first committed' WHERE id = 2");
  ASSERT_TRUE(other->execute("COMMIT"));
  EXPECT_THAT(scene.told(2), ElementsAre("U patient/2 [patient]", "U patient/1 [patient]"));
  const auto events = scene.events();
  EXPECT_LT(events[0].cursor.csn, events[1].cursor.csn);
  EXPECT_LT(events[0].commit_lsn, events[1].commit_lsn);
}

TEST_F(Capture, TablesWithoutPrimaryKeyAreLeftAloneAndListed) {
  scene.sql("INSERT INTO note VALUES ('x'); UPDATE note SET text = 'y'; DELETE FROM note");
  EXPECT_THAT(scene.told(0), IsEmpty());
  const auto excluded = scene.feed().status().excluded;
  ASSERT_EQ(excluded.size(), 1U);
  EXPECT_EQ(excluded[0].first, "note");
  EXPECT_THAT(excluded[0].second, ::testing::HasSubstr("primary key"));
}

TEST_F(Capture, EverythingIsPassedThoughNothingWasCaptured) {
  scene.sql("CREATE TABLE other AS SELECT generate_series(1, 1000) AS i");
  scene.settle();
  EXPECT_EQ(scene.feed().status().state, FeedState::kRunning);
  EXPECT_EQ(scene.feed().status().changes_total, 0U);
}

TEST(CaptureInChunks, GivesTheSameAsInOneBatch) {
  Scene scene;
  scene.settings().batch_changes = 7;
  scene.start();
  scene.sql("BEGIN; INSERT INTO patient SELECT i, 'p', NULL FROM generate_series(1, 20) i;"
            "INSERT INTO encounter SELECT i, 1 + i % 20, 'v' FROM generate_series(1, 60) i;"
            "INSERT INTO observation SELECT 1 + i % 60, i, 'o' FROM generate_series(1, 200) i; COMMIT");
  scene.sql("DELETE FROM encounter WHERE patient_id = 3");
  EXPECT_EQ(scene.told(2).at(1), "U patient/3 [encounter,observation]");
  EXPECT_EQ(scene.events().at(0).records.size(), 20U);
  EXPECT_EQ(scene.differences(), "");
}

TEST(CaptureInChunks, ManyRecordsBecomeACountPerType) {
  Scene scene;
  scene.settings().listed_changes_per_event = 100;
  scene.settings().batch_changes = 64;
  scene.start();
  scene.sql("INSERT INTO patient SELECT i, 'p', NULL FROM generate_series(1, 100) i");
  scene.sql("INSERT INTO patient SELECT i, 'p', NULL FROM generate_series(101, 1101) i");
  EXPECT_EQ(scene.told(2).at(1), "bulk patient 1001");
  EXPECT_EQ(scene.events().at(0).records.size(), 100U);
  EXPECT_EQ(scene.differences(), "");
}

TEST_F(Capture, StandsStillWhileItIsHeldAndMissesNothing) {
  const os::SystemClock clock;
  scene.sql("INSERT INTO patient VALUES (3, 'Carl', NULL)");
  const auto held = scene.feed().hold(Deadline::in(clock, seconds{20}), seconds{60});
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_EQ(scene.differences(), "") << "what was committed before is in the mid-tier";
  EXPECT_EQ(scene.feed().hold(Deadline::in(clock, seconds{1}), seconds{1}).error().code, ErrorCode::kInUse);
  const auto csn = scene.mid_tier_value("SELECT csn FROM feed.position");
  scene.sql("INSERT INTO patient VALUES (4, 'Dora', NULL)");
  const auto here = scene.value("SELECT pg_current_wal_insert_lsn()");
  EXPECT_TRUE(scene.waited_for([&] { return scene.value("SELECT bool_or(sent_lsn >= '" + here + "') FROM pg_stat_replication") == "t"; }));
  EXPECT_EQ(scene.mid_tier_value("SELECT csn FROM feed.position"), csn) << "sent to the feed, but not taken";
  EXPECT_TRUE(scene.feed().release());
  EXPECT_THAT(scene.told(2), ElementsAre("I patient/3 [patient]", "I patient/4 [patient]"));
  EXPECT_FALSE(scene.feed().release()) << "nothing is held";
}

TEST_F(Capture, GoesOnByItselfWhenWhoHeldItHasVanished) {
  const os::SystemClock clock;
  ASSERT_TRUE(scene.feed().hold(Deadline::in(clock, seconds{20}), milliseconds{50}));
  scene.sql("INSERT INTO patient VALUES (3, 'Carl', NULL)");
  EXPECT_THAT(scene.told(1), ElementsAre("I patient/3 [patient]"));
  EXPECT_FALSE(scene.feed().release());
}

}  // namespace
}  // namespace verbund::feed
