// Reading a record's history, and erasing it: the fact stays, the contents do not come back.
#include <gmock/gmock.h>

#include "history/erasure.h"
#include "history/history_scene.h"
#include "history/reading.h"
#include "platform/os/file.h"
#include "testing/scratch_directory.h"

namespace verbund::history {
namespace {

using testing_scene::HistoryScene;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Archive : public ::testing::Test {
 protected:
  void SetUp() override {
    scene.feed.sql("INSERT INTO patient VALUES (1, 'Anna', NULL), (2, 'Bert', 'dear Bert'); INSERT INTO encounter VALUES (10, 1, 'visit')");
    scene.start();
    pool = std::make_unique<postgres::Pool>(scene.settings.versions, 2, scene.clock());
    erasures = make();
  }
  std::unique_ptr<Erasures> make() {
    const auto exists = [this](const RecordKey& key) -> Result<bool> {
      return scene.feed.value(fmt::format("SELECT count(*) FROM patient WHERE id = {}", key.id)) != "0";
    };
    return std::make_unique<Erasures>(directory.path() / "history" / "erasures.jsonl", *pool, scene.feed.feed(), &scene.relay(), exists,
                                      scene.clock(), scene.log());
  }
  /// The feed tells its positions to the relay as the node's loop does.
  Result<Erasure> erase(const std::string& id, const std::string& reason = "on request") {
    scene.settle();
    scene.relay().passed(Lsn{~std::uint64_t{0}});
    return erasures->erase({"patient", id}, "admin", reason);
  }
  HistoryPage read(const std::string& id, std::size_t limit = 100, std::optional<VersionPlace> after = {}) {
    auto lease = pool->acquire(Deadline::in(scene.clock(), seconds{10}));
    auto page = read_history(**lease, {"patient", id}, after, limit);
    if (!page) throw std::runtime_error(page.error().message);
    return std::move(*page);
  }
  std::string contents(const std::string& id) {
    return scene.value(fmt::format("SELECT count(*) FROM history.version WHERE record = 'patient/{}' AND num_nonnulls(changed, before, after) > 0", id));
  }
  HistoryScene scene{true};
  testing::ScratchDirectory directory;
  std::unique_ptr<postgres::Pool> pool;
  std::unique_ptr<Erasures> erasures;
};

std::string shown(const StoredVersion& version) {
  std::string text = fmt::format("{} {} {}", static_cast<char>(version.op), version.table, version.row_key);
  for (const auto& value : version.before) text += fmt::format(" -{}={}", value.column, value.value.value_or("NULL"));
  for (const auto& value : version.after) text += fmt::format(" +{}={}", value.column, value.value.value_or("NULL"));
  for (const auto& column : version.unchanged) text += " =" + column;
  return text + (version.erased ? " erased" : "");
}

std::vector<std::string> shown(const HistoryPage& page) {
  std::vector<std::string> texts;
  for (const auto& version : page.versions) texts.push_back(shown(version));
  return texts;
}

TEST_F(Archive, ShowsVersionsWithTheNamesOfTheirColumns) {
  scene.feed.sql("UPDATE patient SET name = 'Anne' WHERE id = 1; INSERT INTO encounter VALUES (11, 1, NULL)");
  scene.feed.sql("BEGIN; SELECT pg_logical_emit_message(true, 'verbund.by', '7'); UPDATE patient SET id = 5 WHERE id = 2; DELETE FROM patient WHERE id = 1; COMMIT");
  scene.settle();
  EXPECT_THAT(shown(read("1")), ElementsAre("U patient 1 -name=Anna +id=1 +name=Anne +letter=NULL", "I encounter 11 +id=11 +patient_id=1 +kind=NULL",
                                            "D patient 1 -id=1 -name=Anne -letter=NULL", "D encounter 10 -id=10 -patient_id=1 -kind=visit",
                                            "D encounter 11 -id=11 -patient_id=1 -kind=NULL"));
  const auto renamed = read("5");
  EXPECT_THAT(shown(renamed), ElementsAre("U patient 5 -id=2 +id=5 +name=Bert +letter=dear Bert"));
  EXPECT_EQ(renamed.versions[0].was_key, "2");
  EXPECT_EQ(renamed.versions[0].author, (Author{Author::How::kMessage, SessionId{7}, "place 7", "user 7"}));
  ASSERT_EQ(renamed.notices.size(), 1U);
  EXPECT_EQ(renamed.notices[0].kind, "types");
  EXPECT_THAT(shown(read("77")), IsEmpty());
}

TEST_F(Archive, ComesInPages) {
  for (int i = 0; i < 7; ++i) scene.feed.sql(fmt::format("UPDATE patient SET name = 'n{}' WHERE id = 1", i));
  scene.settle();
  std::vector<std::string> all;
  std::optional<VersionPlace> after;
  for (int pages = 0; pages < 10; ++pages) {
    const auto page = read("1", 3, after);
    EXPECT_LE(page.versions.size(), 3U);
    for (const auto& text : shown(page)) all.push_back(text);
    if (!page.next) break;
    after = parse_version_place(to_string(*page.next)).value();
  }
  EXPECT_EQ(all, shown(read("1")));
  EXPECT_EQ(all.size(), 7U);
  EXPECT_FALSE(parse_version_place("1").has_value() || parse_version_place("x:1").has_value() || parse_version_place("").has_value());
}

TEST_F(Archive, ErasesContentsAndKeepsTheFact) {
  scene.feed.sql("UPDATE patient SET name = 'Beate' WHERE id = 2; UPDATE patient SET name = 'Anne' WHERE id = 1");
  scene.feed.sql("DELETE FROM patient WHERE id = 2");
  auto done = erase("2");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->versions, 2U);
  EXPECT_THAT(shown(read("2")), ElementsAre("U patient 2 erased", "D patient 2 erased"));
  EXPECT_EQ(contents("1"), "1") << "others keep theirs";
  EXPECT_EQ(scene.feed.mid_tier_value("SELECT count(*) FROM feed.change WHERE 'patient/2' = ANY (records) AND num_nonnulls(before, after) > 0"), "0");
  const auto listed = erasures->list();
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->at(0).record + " " + listed->at(0).by + " " + listed->at(0).reason + " " + std::to_string(listed->at(0).versions),
            "patient/2 admin on request 2");
}

TEST_F(Archive, RefusesWhileTheRecordExists) {
  scene.feed.sql("UPDATE patient SET name = 'Beate' WHERE id = 2");
  auto refused = erase("2");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(contents("2"), "1");
  EXPECT_EQ(erase("77").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(erase("77", "").error().code, ErrorCode::kUsage);
  EXPECT_EQ(erase("77", "two\nlines").error().code, ErrorCode::kUsage);
  EXPECT_EQ(erase("77", std::string(501, 'x')).error().code, ErrorCode::kUsage);
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "history" / "erasures.jsonl"));
}

TEST_F(Archive, VersionsOfALaterRecordWithTheSameKeyStay) {
  scene.feed.sql("DELETE FROM patient WHERE id = 2");
  ASSERT_TRUE(erase("2"));
  scene.feed.sql("INSERT INTO patient VALUES (2, 'Berta', NULL)");
  scene.settle();
  EXPECT_EQ(erasures->reapply().value(), 0U);
  EXPECT_THAT(shown(read("2")), ElementsAre("D patient 2 erased", "I patient 2 +id=2 +name=Berta +letter=NULL"));
}

TEST_F(Archive, RowsFromBeforeTheyBelongedToItGoToo) {
  scene.feed.sql("INSERT INTO stamp VALUES (1, 'later', NULL, 1.5, NULL, NULL), (2, 'other', NULL, 2.5, NULL, NULL)");
  scene.feed.sql("INSERT INTO card VALUES (1, 'later', 2); UPDATE stamp SET price = 3.5 WHERE id = 1; DELETE FROM patient WHERE id = 2");
  ASSERT_TRUE(erase("2"));
  EXPECT_EQ(scene.value("SELECT string_agg(row_key || ' ' || (erasure IS NOT NULL), ', ' ORDER BY row_key) FROM history.version WHERE record = ''"),
            "1 true, 2 false");
}

// What a restore of the versions database brings back, and what it forgets.
class Restored : public Archive {
 protected:
  void SetUp() override {
    Archive::SetUp();
    scene.feed.sql("UPDATE patient SET name = 'Beate' WHERE id = 2");
    scene.feed.sql("DELETE FROM patient WHERE id = 2");
    scene.settle();
    ASSERT_TRUE(erase("2"));
    ASSERT_EQ(contents("2"), "0");
  }
  /// As superuser, past all triggers: what a restored dump looks like.
  void put_back(std::string_view more) {
    ASSERT_TRUE(scene.versions().execute(fmt::format(
        "BEGIN; ALTER TABLE history.version DISABLE TRIGGER ALL; ALTER TABLE history.erasure DISABLE TRIGGER ALL;"
        "UPDATE history.version SET before = ARRAY['2', 'Bert', 'secret'], erasure = NULL WHERE record = 'patient/2'; {};"
        "ALTER TABLE history.version ENABLE ALWAYS TRIGGER append_only; ALTER TABLE history.version ENABLE ALWAYS TRIGGER only_erasure;"
        "ALTER TABLE history.erasure ENABLE ALWAYS TRIGGER append_only; COMMIT", more)));
    ASSERT_EQ(contents("2"), "2");
  }
};

TEST_F(Restored, ContentsAreErasedAgain) {
  put_back("SELECT 1");
  EXPECT_EQ(make()->reapply().value(), 1U);
  EXPECT_EQ(contents("2"), "0");
  EXPECT_EQ(make()->reapply().value(), 0U) << "once is enough";
}

TEST_F(Restored, ErasuresThatTheDatabaseHasForgottenComeFromTheFile) {
  put_back("DELETE FROM history.erasure");
  EXPECT_EQ(make()->reapply().value(), 1U);
  EXPECT_EQ(contents("2"), "0");
  EXPECT_EQ(scene.value("SELECT record || ' ' || reason FROM history.erasure"), "patient/2 on request");
}

TEST_F(Restored, VersionsReadOutOfTheJournalOnceMoreAreEmpty) {
  scene.stop();
  ASSERT_TRUE(scene.versions().execute(
      "ALTER TABLE history.version DISABLE TRIGGER ALL; ALTER TABLE history.erasure DISABLE TRIGGER ALL; DELETE FROM history.version;"
      "DELETE FROM history.erasure; UPDATE history.position SET csn = csn - 2"));
  scene.feed.start();
  auto fresh = std::make_unique<Erasures>(directory.path() / "history" / "erasures.jsonl", *pool, scene.feed.feed(), nullptr,
                                          [](const RecordKey&) -> Result<bool> { return false; }, scene.clock(), scene.log());
  EXPECT_EQ(fresh->reapply().value(), 1U);
  scene.restart_relay();
  scene.settle();
  EXPECT_EQ(scene.value("SELECT count(*) FROM history.version WHERE record = 'patient/2'"), "2");
  EXPECT_EQ(contents("2"), "0");
}

TEST_F(Restored, AFileThatWasLostIsMadeAnew) {
  std::filesystem::remove(directory.path() / "history" / "erasures.jsonl");
  EXPECT_EQ(make()->reapply().value(), 0U);
  put_back("DELETE FROM history.erasure");
  EXPECT_EQ(make()->reapply().value(), 1U);
  EXPECT_EQ(contents("2"), "0");
}

TEST_F(Restored, ADamagedFileIsNotPassedOver) {
  ASSERT_TRUE(os::write_file_atomically(directory.path() / "history" / "erasures.jsonl", "{\"id\":\n"));
  auto refused = make()->reapply();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("erasures.jsonl"));
}

}  // namespace
}  // namespace verbund::history
