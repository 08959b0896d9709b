// Row versions in the journal: what rows held before and after, read by a consumer, whole and once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "feed/feed_scene.h"
#include "feed/journal_parts.h"
#include "feed/journal.h"
#include "feed/row_versions.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string kReader = "reader";

class Reader {
 public:
  explicit Reader(Scene& scene) : scene_(scene) {
    scene.settings().consumers = {kReader};
    for (TrackedTable& table : scene.settings().tables) table.images = true;
  }

  /// "U patient 1 {1}: {"Anna"} → {"1","Beate",NULL} of patient/1", one per version; breaks as "break NUMBER".
  std::vector<std::string> read(std::size_t rows = 3) {
    std::vector<std::string> texts;
    while (next(rows)) {
      if (page.interrupted) texts.push_back(fmt::format("break {}", static_cast<int>(page.interrupted->why)));
      for (const RowVersion& version : page.rows) texts.push_back(shown(version));
    }
    return texts;
  }
  bool next(std::size_t rows) {
    VersionLimits limits;
    limits.upto = scene_.feed().head().csn;
    limits.rows = rows;
    auto read = scene_.feed().versions_after(kReader, cursor, limits);
    if (!read) throw std::runtime_error(read.error().message);
    const bool moved = read->upto != cursor;
    page = std::move(*read);
    cursor = page.upto;
    return moved;
  }
  std::string shown(const RowVersion& version) {
    std::string text = fmt::format("{} {} {}", static_cast<char>(version.op), layout(version.layout).table, version.key);
    if (version.was_key) text += " was " + *version.was_key;
    if (version.changed) text += " " + *version.changed;
    if (version.unchanged) text += " without " + *version.unchanged;
    text += fmt::format(": {} → {}", version.before.value_or("-"), version.after.value_or("-"));
    for (const RecordKey& record : version.records) text += " of " + to_string(record);
    return text;
  }
  const RowLayout& layout(int id) {
    const auto known = layouts.find(id);
    if (known != layouts.end()) return known->second;
    auto read = scene_.feed().layout(id);
    if (!read) throw std::runtime_error(read.error().message);
    return layouts.emplace(id, std::move(*read)).first->second;
  }

  Cursor cursor;
  VersionPage page;
  std::map<int, RowLayout> layouts;

 private:
  Scene& scene_;
};

class Images : public ::testing::Test {
 protected:
  Images() : reader(scene) {}
  void begin() {
    scene.sql("INSERT INTO patient VALUES (1, 'Anna', NULL), (2, 'Bert', NULL); INSERT INTO encounter VALUES (10, 1, 'visit');"
              "INSERT INTO observation VALUES (10, 1, 'pulse 70')");
    scene.start();
    EXPECT_THAT(reader.read(), IsEmpty());
  }
  Scene scene;
  Reader reader;
};

TEST_F(Images, HoldWhatWasThereBeforeAndAfter) {
  begin();
  scene.sql("INSERT INTO patient VALUES (3, 'C\\\"ä,{}', 'NULL')");
  scene.sql("UPDATE patient SET name = 'Anne' WHERE id = 1");
  scene.sql("UPDATE patient SET name = name WHERE id = 2");
  scene.sql("DELETE FROM patient WHERE id = 3");
  scene.settle();
  EXPECT_THAT(reader.read(), ElementsAre(R"(I patient 3: - → {"3","C\\\"ä,{}","NULL"} of patient/3)",
                                         R"(U patient 1 {1}: {"Anna"} → {"1","Anne",NULL} of patient/1)",
                                         R"(U patient 2 {}: {} → {"2","Bert",NULL} of patient/2)",
                                         R"(D patient 3: {"3","C\\\"ä,{}","NULL"} → - of patient/3)"));
  EXPECT_EQ(read_array(R"({"3","C\\\"ä,{}","NULL",NULL,x})").value(),
            (std::vector<std::optional<std::string>>{"3", "C\\\"ä,{}", "NULL", std::nullopt, "x"}));
}

TEST_F(Images, ChangedKeysAndCascadesNameBothRecords) {
  begin();
  scene.sql("UPDATE patient SET id = 9 WHERE id = 1");
  scene.sql("UPDATE encounter SET patient_id = 2");
  scene.sql("DELETE FROM patient WHERE id = 2");
  scene.settle();
  EXPECT_THAT(reader.read(), ElementsAre(R"(U patient 9 was 1 {0}: {"1"} → {"9","Anna",NULL} of patient/1 of patient/9)",
                                         R"(U encounter 10 {1}: {"1"} → {"10","9","visit"} of patient/1 of patient/9)",
                                         R"(U encounter 10 {1}: {"9"} → {"10","2","visit"} of patient/9 of patient/2)",
                                         R"(D patient 2: {"2","Bert",NULL} → - of patient/2)",
                                         R"(D encounter 10: {"10","2","visit"} → - of patient/2)",
                                         R"(D observation 10,1: {"10","1","pulse 70"} → - of patient/2)"));
}

TEST_F(Images, LargeValuesThatStayedAreLeftOut) {
  scene.sql("ALTER TABLE patient ALTER letter SET STORAGE EXTERNAL");
  begin();
  scene.sql("INSERT INTO patient VALUES (3, 'Carl', repeat('brief ', 20000))");
  scene.sql("UPDATE patient SET name = 'Karl' WHERE id = 3");
  scene.sql("UPDATE patient SET letter = 'short' WHERE id = 3");
  scene.settle();
  const auto read = reader.read(1);
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read[1], R"(U patient 3 {1} without {2}: {"Carl"} → {"3","Karl",NULL} of patient/3)");
  EXPECT_GT(read[2].size(), 120'000U) << "the old letter stands in the image of the change that replaced it";
}

TEST_F(Images, TruncatedRowsAreDeletedOneByOneUnderTheirRecords) {
  begin();
  scene.sql("BEGIN; INSERT INTO encounter VALUES (20, 2, 'new'); TRUNCATE patient CASCADE; INSERT INTO patient VALUES (5, 'E', NULL); COMMIT");
  scene.settle();
  auto read = reader.read();
  ASSERT_EQ(read.size(), 7U);
  std::sort(read.begin() + 1, read.begin() + 6);
  EXPECT_THAT(read, ElementsAre(R"(I encounter 20: - → {"20","2","new"} of patient/2)",
                                R"(D encounter 10: {"10","1","visit"} → - of patient/1)",
                                R"(D encounter 20: {"20","2","new"} → - of patient/2)",
                                R"(D observation 10,1: {"10","1","pulse 70"} → - of patient/1)",
                                R"(D patient 1: {"1","Anna",NULL} → - of patient/1)",
                                R"(D patient 2: {"2","Bert",NULL} → - of patient/2)",
                                R"(I patient 5: - → {"5","E",NULL} of patient/5)"));
  EXPECT_EQ(scene.differences(), "");
}

TEST_F(Images, AreNotKeptForTablesThatNobodyAskedFor) {
  for (TrackedTable& table : scene.settings().tables) table.images = table.table == "patient";
  begin();
  scene.sql("UPDATE encounter SET kind = 'x'; UPDATE patient SET name = 'x' WHERE id = 1");
  scene.settle();
  EXPECT_EQ(reader.read().size(), 1U);
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed.change WHERE layout IS NULL AND before IS NULL AND after IS NULL"), "1");
}

TEST_F(Images, UnreadOnesAreNotPruned) {
  scene.settings().journal_rows_kept = 5;
  begin();
  for (int i = 0; i < 12; ++i) {
    scene.sql(fmt::format("UPDATE patient SET name = 'x{}' WHERE id = 1", i));
    scene.settle();  // what comes as one batch is one part
  }
  scene.stop();
  auto kept = prune_journal(scene.mid_tier(), {5, seconds{0}, 0});
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed.change"), "12");
  scene.start();
  EXPECT_EQ(reader.read().size(), 12U);
  ASSERT_TRUE(scene.feed().consumed(kReader, reader.cursor.csn));
  scene.stop();
  for (bool more = true; more;) more = prune_journal(scene.mid_tier(), {5, seconds{0}, 0}).value();
  // Whole parts go.
  const auto left = parse_u64(scene.mid_tier_value("SELECT count(*) FROM feed.change")).value();
  EXPECT_GE(left, 5U);
  EXPECT_LT(left, 12U);
}

TEST_F(Images, ReaderThatIsFarTooLateIsToldSo) {
  scene.settings().journal_rows_kept = 5;
  begin();
  for (int i = 0; i < 30; ++i) {
    scene.sql(fmt::format("UPDATE patient SET name = 'x{}' WHERE id = 1", i));
    scene.settle();
  }
  scene.stop();
  for (bool more = true; more;) more = prune_journal(scene.mid_tier(), {5, seconds{0}, 0}).value();
  scene.start();
  const auto read = reader.read();
  ASSERT_EQ(read.size(), 1 + 5 * kConsumerPatience);
  EXPECT_EQ(read[0], "break 1");
}

TEST_F(Images, AnEarlierHistoryIsReadToItsEnd) {
  scene.settings().journal_rows_kept = 5;
  begin();
  scene.sql("UPDATE patient SET name = 'seen' WHERE id = 1");
  scene.settle();
  scene.stop();
  scene.free_slot();
  scene.sql("UPDATE patient SET name = 'missed' WHERE id = 1");
  scene.sql(fmt::format("SELECT pg_replication_slot_advance('{}', pg_current_wal_lsn())", scene.settings().slot));
  scene.start();
  EXPECT_TRUE(scene.waited_for([&] { return !scene.snapshots().empty(); }));
  scene.sql("UPDATE patient SET name = 'new' WHERE id = 1");
  scene.settle();
  EXPECT_THAT(reader.read(), ElementsAre(R"(U patient 1 {1}: {"Anna"} → {"1","seen",NULL} of patient/1)", "break 0",
                                         R"(U patient 1 {1}: {"seen"} → {"1","missed",NULL} of patient/1)",
                                         R"(U patient 1 {1}: {"missed"} → {"1","new",NULL} of patient/1)"));
  ASSERT_TRUE(scene.feed().consumed(kReader, reader.cursor.csn));
  scene.stop();
  for (bool more = true; more;) more = prune_journal(scene.mid_tier(), {1000, seconds{0}, 0}).value();
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed.change"), "2") << "the earlier history has been read and goes";
}

TEST_F(Images, ACursorOfNowhereOrOfTheFutureIsABreak) {
  begin();
  reader.cursor = {{"foreign"}, {7}};
  EXPECT_THAT(reader.read(), ElementsAre("break 2"));
  reader.cursor.csn.value += 5;
  EXPECT_THAT(reader.read(), ElementsAre("break 2"));
}

TEST_F(Images, OfAForgottenRecordAreEmpty) {
  begin();
  scene.sql("UPDATE patient SET name = 'x'; DELETE FROM patient WHERE id = 1");
  scene.settle();
  ASSERT_TRUE(scene.feed().forget_images({"patient", "1"}, scene.events().front().commit_time - seconds{1}));
  EXPECT_NE(scene.mid_tier_value("SELECT count(*) FROM feed.change WHERE before IS NOT NULL"), "0") << "what came later stays";
  ASSERT_TRUE(scene.feed().forget_images({"patient", "1"}, scene.events().back().commit_time));
  EXPECT_EQ(scene.mid_tier_value("SELECT count(*) FROM feed.change WHERE 'patient/1' = ANY (records) AND (before IS NOT NULL OR after IS NOT NULL)"), "0");
  EXPECT_EQ(reader.read().size(), 5U);
}

// What the versions come to is what the tables hold, whatever was done, in pages and chunks of any size.
class RandomImages : public ::testing::TestWithParam<unsigned> {};

using Tables = std::map<std::string, std::map<std::string, Row>>;

void replay(Reader& reader, const RowVersion& version, Tables& tables) {
  auto& rows = tables[reader.layout(version.layout).table];
  const auto old_key = version.was_key.value_or(version.key);
  const auto before = version.before ? read_array(*version.before).value() : Row{};
  if (version.op == RowOp::kInsert) {
    ASSERT_FALSE(rows.contains(version.key));
    rows[version.key] = read_array(*version.after).value();
    return;
  }
  ASSERT_TRUE(rows.contains(old_key)) << reader.shown(version);
  Row old = rows[old_key];
  rows.erase(old_key);
  if (version.op == RowOp::kDelete) {
    ASSERT_EQ(before, old) << reader.shown(version);
    return;
  }
  Row now = read_array(*version.after).value();
  const auto changed = read_array(*version.changed).value();
  for (std::size_t i = 0; i < changed.size(); ++i) ASSERT_EQ(old[std::stoul(*changed[i])], before[i]) << reader.shown(version);
  if (version.unchanged) {
    const auto stayed = read_array(*version.unchanged).value();
    for (const auto& column : stayed) now[std::stoul(*column)] = old[std::stoul(*column)];
  }
  rows[version.key] = std::move(now);
}

std::string random_statement(std::mt19937& random) {
  const auto pick = [&](unsigned most) { return 1 + random() % most; };
  switch (random() % 9) {
    case 0: return fmt::format("INSERT INTO patient VALUES ({}, 'p', repeat('x', {})) ON CONFLICT DO NOTHING", pick(20), pick(6000));
    case 1: return fmt::format("INSERT INTO encounter SELECT {}, min(id), 'e' FROM patient HAVING min(id) IS NOT NULL ON CONFLICT DO NOTHING", pick(30));
    case 2: return fmt::format("INSERT INTO observation SELECT id, {}, 'o' FROM encounter ON CONFLICT DO NOTHING", pick(5));
    case 3: return fmt::format("UPDATE patient SET name = 'n{}' WHERE id % 3 = {}", pick(99), pick(3) - 1);
    case 4: return fmt::format("UPDATE patient SET letter = NULL WHERE id = {}", pick(20));
    case 5: return fmt::format("UPDATE patient SET id = {0} WHERE id = {1} AND NOT EXISTS (SELECT FROM patient WHERE id = {0})", 20 + pick(40), pick(20));
    case 6: return fmt::format("DELETE FROM patient WHERE id = {}", pick(60));
    case 7: return fmt::format("BEGIN; INSERT INTO stamp VALUES ({0}, 'c', now(), 1.0, 2.5, NULL) ON CONFLICT (id) DO UPDATE SET price = 3.10;"
                               "SAVEPOINT s; DELETE FROM patient; ROLLBACK TO s; DELETE FROM stamp WHERE id = {1}; COMMIT", pick(9), pick(9));
    default: return random() % 10 == 0 ? "TRUNCATE encounter CASCADE" : "UPDATE encounter SET patient_id = (SELECT max(id) FROM patient) WHERE id % 5 = 0";
  }
}

TEST_P(RandomImages, ReplayedGiveTheTables) {
  std::mt19937 random(GetParam());
  RecordProperty("seed", static_cast<int>(GetParam()));
  Scene scene;
  Reader reader(scene);
  scene.settings().batch_changes = 1 + random() % 40;
  scene.sql("ALTER TABLE patient ALTER letter SET STORAGE EXTERNAL");
  scene.start();
  Tables tables;
  const auto take = [&] {
    while (reader.next(1 + random() % 9)) {
      for (const RowVersion& version : reader.page.rows) replay(reader, version, tables);
    }
  };
  take();
  for (int i = 0; i < 300; ++i) {
    scene.sql(random_statement(random));
    if (random() % 20 == 0) take();
    if (random() % 90 == 0) {
      scene.stop();
      for (int more = 0; more < 5; ++more) scene.sql(random_statement(random));
      scene.start();
    }
  }
  scene.settle();
  take();
  for (const auto& table : {"patient", "encounter", "observation", "stamp"}) {
    std::map<std::string, Row> rows;
    auto copied = scene.mid_tier().query(fmt::format("SELECT * FROM feed.{}", scene.mid_tier_value(fmt::format(
        "SELECT shadow FROM feed.source_table WHERE table_name = '{}'", table))));
    ASSERT_TRUE(copied);
    for (int row = 0; row < copied->size(); ++row) {
      Row& values = rows[std::string(copied->text(row, 0))];
      for (int column = 2; column < copied->columns(); ++column) {
        values.push_back(copied->null(row, column) ? std::nullopt : std::optional(std::string(copied->text(row, column))));
      }
    }
    EXPECT_EQ(tables[table], rows) << table << ", seed " << GetParam();
  }
  EXPECT_EQ(scene.differences(), "") << "seed " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomImages, ::testing::Values(1U, 2U, 3U));

}  // namespace
}  // namespace verbund::feed
