#include <chrono>
#include <set>

#include "records/practice_pgtest.h"

namespace verbund::records {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class ReadingTest : public PracticeTest {
 protected:
  void SetUp() override { demo(); }
  void patient(const std::string& family, const std::string& given, const std::string& birth = "1974-12-31") {
    auto added = source_.query(
        "INSERT INTO patient (family_name, given_name, birth_date, birth_date_precision) VALUES ($1, $2, $3::date, 'day')",
        {family, given, birth});
    ASSERT_TRUE(added) << added.error().message;
  }
  std::vector<std::string> search(const RecordType& type, const std::string& words) {
    auto page = list(source_, type, std::nullopt, 100, words);
    if (!page) return {"error: " + page.error().message};
    EXPECT_EQ(page->total, page->records.size());
    return labels(page->records);
  }
};

TEST_F(ReadingTest, OrdersUmlautsAsGermansDo) {
  for (const char* name : {"Zorn", "Ärmel", "Arm", "Öhler", "Azur"}) patient(name, "A");
  const auto type = this->type(practice_record());
  if (type.collation.empty()) GTEST_SKIP() << "this PostgreSQL has no ICU collations";
  auto page = list(source_, type, std::nullopt, 100, "");
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_THAT(labels(page->records), ElementsAre("Arm, A", "Azur, A", "Ärmel, A", "Öhler, A", "Zorn, A"));
  EXPECT_EQ(page->records[2].group, "Ä");
  EXPECT_EQ(page->total, 5U);
  EXPECT_FALSE(page->next);
}

TEST_F(ReadingTest, PagesShowEachRecordOnceAlsoWithEqualLabels) {
  for (int i = 0; i < 23; ++i) patient(i % 3 == 0 ? "Meier" : "Müller, \\ '", "Eva");
  const auto type = this->type(practice_record());
  std::set<RecordKey> seen;
  std::optional<std::string> after;
  int pages = 0;
  do {
    auto page = list(source_, type, after, 5, "");
    ASSERT_TRUE(page) << page.error().message;
    EXPECT_EQ(page->total, pages == 0 ? 23U : 0U);
    for (const auto& record : page->records) EXPECT_TRUE(seen.insert(record.key).second);
    after = page->next;
    ++pages;
  } while (after);
  EXPECT_EQ(pages, 5);
  EXPECT_EQ(seen.size(), 23U);
}

TEST_F(ReadingTest, FindsEverySpellingOfAnUmlaut) {
  for (const char* name : {"Müller", "Mueller", "Muller", "Weiß", "Weiss", "Miller"}) patient(name, "Michael");
  const auto type = this->type(practice_record());
  for (const char* words : {"müller", "MUELLER", "Muller", "müll", "muell"}) {
    EXPECT_THAT(search(type, words), UnorderedElementsAre("Müller, Michael", "Mueller, Michael", "Muller, Michael")) << words;
  }
  EXPECT_THAT(search(type, "WEISS"), UnorderedElementsAre("Weiß, Michael", "Weiss, Michael"));
  EXPECT_THAT(search(type, "mi chael miller"), ElementsAre("Miller, Michael"));
  EXPECT_THAT(search(type, "el miller"), ElementsAre("Miller, Michael"));
}

TEST_F(ReadingTest, SearchesDatesInBothWritings) {
  patient("Alt", "A", "1931-02-01");
  patient("Jung", "B", "2020-02-01");
  const auto type = this->type(practice_record());
  EXPECT_THAT(search(type, "1.2.1931"), ElementsAre("Alt, A"));
  EXPECT_THAT(search(type, "2020-02"), ElementsAre("Jung, B"));
}

TEST_F(ReadingTest, WildcardsAndQuotesAreOrdinaryLetters) {
  patient("100%_\\O'Neil", "A");
  patient("Meier", "B");
  const auto type = this->type(practice_record());
  for (const char* words : {"%", "_", "\\", "'", "100%_\\o'neil"}) EXPECT_THAT(search(type, words), ElementsAre("100%_\\O'Neil, A")) << words;
  EXPECT_THAT(search(type, "'); DROP TABLE patient; --"), IsEmpty());
  EXPECT_THAT(search(type, " "), UnorderedElementsAre("100%_\\O'Neil, A", "Meier, B"));
}

TEST_F(ReadingTest, RefusesForeignPagePositions) {
  const auto type = this->type(practice_record());
  for (const char* after : {"x", "zz", "4d", "4d2c4d2c6e6f2d75756964", "ff2cff2cff", "00", "5c"}) {
    const auto page = list(source_, type, after, 5, "");
    ASSERT_FALSE(page) << after;
    EXPECT_EQ(page.error().code, ErrorCode::kBadMessage) << page.error().message;
  }
  EXPECT_EQ(list(source_, type, std::nullopt, 5, "\xff").error().code, ErrorCode::kBadMessage);
  EXPECT_FALSE(source_.in_transaction());
}

TEST_F(ReadingTest, ListsChosenRecordsAndSkipsIdsThatCannotExist) {
  patient("Meier", "A");
  const auto type = this->type(practice_record());
  const auto id = list(source_, type, std::nullopt, 5, "")->records.at(0).key.id;
  auto some = list_some(source_, type, {id, "00000000-0000-0000-0000-000000000000"});
  ASSERT_TRUE(some) << some.error().message;
  EXPECT_THAT(labels(*some), ElementsAre("Meier, A"));
  some = list_some(source_, type, {"no uuid", "a,b", id, "\\", "\"{}"});
  ASSERT_TRUE(some) << some.error().message;
  EXPECT_THAT(labels(*some), ElementsAre("Meier, A"));
  EXPECT_THAT(*list_some(source_, type, {}), IsEmpty());
}

TEST_F(ReadingTest, ReadsARecordWithItsChildren) {
  patient("Meier", "Eva");
  patient("Other", "X");
  sql("INSERT INTO encounter (patient_id, status) SELECT id, 'planned' FROM patient WHERE family_name = 'Meier';"
      "INSERT INTO encounter (patient_id) SELECT id FROM patient WHERE family_name = 'Other'");
  const auto type = this->type(practice_record());
  const auto key = list(source_, type, std::nullopt, 5, "Meier")->records.at(0).key;
  auto record = read(source_, type, key);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->key, key);
  EXPECT_EQ(record->label, "Meier, Eva * 31.12.1974");
  ASSERT_EQ(record->tables.size(), 7U);
  EXPECT_EQ(record->tables[0].name, "patient");
  EXPECT_EQ(record->tables[0].columns[1], "family_name");
  EXPECT_EQ(record->tables[0].rows.at(0)[1], "Meier");
  EXPECT_EQ(record->tables[0].rows.at(0)[3], std::nullopt);
  EXPECT_EQ(record->tables[2].name, "encounter");
  ASSERT_EQ(record->tables[2].rows.size(), 1U);
  EXPECT_FALSE(source_.in_transaction());
}

TEST_F(ReadingTest, SaysThatThereAreMoreChildRows) {
  patient("Meier", "Eva");
  sql("INSERT INTO observation (patient_id, display) SELECT id, 'x' FROM patient, generate_series(1, 2001)");
  const auto type = this->type(practice_record());
  const auto record = read(source_, type, list(source_, type, std::nullopt, 5, "")->records.at(0).key);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->tables[4].rows.size(), kMaxChildRows);
  EXPECT_TRUE(record->tables[4].more);
}

TEST_F(ReadingTest, MissingRecordsAreNotFound) {
  const auto type = this->type(practice_record());
  for (const char* id : {"00000000-0000-0000-0000-000000000000", "17", "a,b", "\\", "\xff"}) {
    const auto record = read(source_, type, {"patient", id});
    ASSERT_FALSE(record);
    EXPECT_EQ(record.error().code, ErrorCode::kNotFound) << record.error().message;
  }
}

TEST_F(ReadingTest, CompositeKeysGoThereAndBack) {
  sql("CREATE TABLE \"Akte\" (\"Nr,\" text, jahr smallint, PRIMARY KEY (jahr, \"Nr,\"));"
      "CREATE TABLE mappe (id int PRIMARY KEY, j smallint, n text, FOREIGN KEY (j, n) REFERENCES \"Akte\");"
      "CREATE TABLE blatt (id int PRIMARY KEY, mappe int REFERENCES mappe);"
      "INSERT INTO \"Akte\" VALUES ('a,b\\c', 26), ('ö \"x\"', 25);"
      "INSERT INTO mappe VALUES (1, 26, 'a,b\\c'), (2, 25, 'ö \"x\"'); INSERT INTO blatt VALUES (7, 1), (8, 2), (5, 1)");
  const auto type = this->type("[[record]]\ntype='akte'\ntable='Akte'\nchildren=['blatt.mappe > mappe.j']");
  auto page = list(source_, type, std::nullopt, 1, "");
  ASSERT_TRUE(page) << page.error().message;
  auto second = list(source_, type, page->next, 1, "");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(page->records.at(0).key.id, "25,ö \"x\"");
  EXPECT_EQ(second->records.at(0).key.id, R"(26,a\,b\\c)");
  EXPECT_EQ(second->records.at(0).label, R"(26,a\,b\\c)");
  auto some = list_some(source_, type, {page->records[0].key.id, second->records[0].key.id});
  ASSERT_TRUE(some) << some.error().message;
  EXPECT_EQ(some->size(), 2U);
  auto record = read(source_, type, second->records[0].key);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->key, second->records[0].key);
  ASSERT_EQ(record->tables.at(1).rows.size(), 2U);
  EXPECT_EQ(record->tables[1].rows[0][0], "5");
}

/// Figures for README.md; the bound itself is generous, as the machine may be busy.
TEST_F(ReadingTest, ReadsAPageOf100000PatientsQuickly) {
  sql("INSERT INTO patient (family_name, given_name, birth_date, birth_date_precision)"
      " SELECT initcap(substr(md5(i::text), 1, 8)) || CASE WHEN i % 7 = 0 THEN 'mäü' ELSE 'er' END, initcap(substr(md5('g' || i), 1, 6)),"
      " date '1930-01-01' + i % 30000, 'day' FROM generate_series(1, 100000) i; ANALYZE patient");
  const auto type = this->type(practice_record());
  const auto timed = [&](const char* what, std::optional<std::string> after, const std::string& words) {
    const auto start = std::chrono::steady_clock::now();
    auto page = list(source_, type, std::move(after), 5000, words);
    const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
    if (!page) throw std::runtime_error(page.error().message);
    fmt::print("{}: {} records of {}, {} ms\n", what, page->records.size(), page->total, took.count());
    RecordProperty(what, static_cast<int>(took.count()));
    EXPECT_LT(took, seconds{5});
    return *page;
  };
  const auto first = timed("first page", std::nullopt, "");
  EXPECT_EQ(first.total, 100000U);
  timed("first page again", std::nullopt, "");
  timed("second page", first.next, "");
  timed("search", std::nullopt, "maeu");
  timed("search of two words", std::nullopt, "abc er");
}

}  // namespace
}  // namespace verbund::records
