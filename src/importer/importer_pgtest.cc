#include <gmock/gmock.h>

#include <fstream>

#include "importer/importer.h"
#include "importer/synthetic.h"
#include "testing/scratch_directory.h"
#include "testing/scratch_postgres.h"

namespace verbund::importer {
namespace {

namespace fs = std::filesystem;

class ImporterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = postgres::Connection::open(verbund::testing::ScratchPostgres::shared().database("praxis"));
    ASSERT_TRUE(opened) << opened.error().message;
    connection_.emplace(std::move(*opened));
    auto created = connection_->execute(demo_schema_sql());
    ASSERT_TRUE(created) << created.error().message;
  }

  void write(const fs::path& name, std::string_view text) {
    std::ofstream(scratch_.path() / name, std::ios::binary) << text;
  }
  ImportReport import(const ImportOptions& options = {}) {
    const std::array paths{scratch_.path()};
    auto report = import_files(*connection_, paths, options);
    EXPECT_TRUE(report) << (report ? "" : report.error().message);
    return report ? std::move(*report) : ImportReport{};
  }
  std::string one(std::string_view sql) {
    auto rows = connection_->query(sql);
    EXPECT_TRUE(rows) << (rows ? "" : rows.error().message);
    return rows && rows->size() == 1 ? std::string(rows->text(0, 0)) : "";
  }


  verbund::testing::ScratchDirectory scratch_;
  std::optional<postgres::Connection> connection_;
};

constexpr std::string_view kBundle = R"({"resourceType":"Bundle","type":"transaction","entry":[
  {"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000003","resource":{"resourceType":"Observation","status":"final",
    "code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},
    "subject":{"reference":"urn:uuid:00000000-0000-4000-8000-000000000001"},
    "encounter":{"reference":"urn:uuid:00000000-0000-4000-8000-000000000002"},"effectiveDateTime":"2012-09",
    "component":[{"code":{"coding":[{"code":"8480-6"}]},"valueQuantity":{"value":120,"unit":"mmHg"}},
                 {"code":{"coding":[{"code":"8462-4"}]},"valueQuantity":{"value":80,"unit":"mmHg"}}]}},
  {"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000002","resource":{"resourceType":"Encounter","status":"finished",
    "subject":{"reference":"urn:uuid:00000000-0000-4000-8000-000000000001"}}},
  {"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000001","resource":{"resourceType":"Patient","birthDate":"1974-12",
    "identifier":[{"system":"kv","value":"A1"}],"name":[{"family":"Müller","given":["Jörg"]}]}}]})";

TEST_F(ImporterTest, ResolvesReferencesBetweenEntriesInWhateverOrder) {
  write("b.json", kBundle);
  const auto report = import();
  EXPECT_FALSE(report.outcome()) << report.to_text(Language::kEnglish);
  EXPECT_EQ(report.total().imported, 3U);
  EXPECT_EQ(one("SELECT id::text || family_name || birth_date || birth_date_precision FROM patient"),
            "00000000-0000-4000-8000-000000000001Müller1974-12-01month");
  EXPECT_EQ(one("SELECT string_agg(value_number::text, '/' ORDER BY identifier_value) FROM observation "
                "WHERE component_of IS NOT NULL AND encounter_id IS NOT NULL"), "120/80");
}

TEST_F(ImporterTest, ASecondRunWritesNothing) {
  write("b.json", kBundle);
  import();
  // xmax too: a row that was only locked is a write to the log as well.
  constexpr std::string_view kRows =
      "SELECT string_agg(row, ',') FROM (SELECT id || ':' || xmin || ':' || xmax AS row FROM patient UNION ALL "
      "SELECT id || ':' || xmin || ':' || xmax FROM encounter UNION ALL SELECT id || ':' || xmin || ':' || xmax FROM observation "
      "UNION ALL SELECT id || ':' || xmin || ':' || xmax FROM patient_identifier ORDER BY 1) x";
  const auto before = one(kRows);
  const auto report = import();
  EXPECT_EQ(report.total().unchanged, 3U);
  EXPECT_EQ(report.total().imported + report.total().updated + report.total().skipped_count(), 0U);
  EXPECT_EQ(one(kRows), before);
}

TEST_F(ImporterTest, UpdatesWhatDiffersAndDropsPartsThatAreGone) {
  write("b.json", kBundle);
  import();
  std::string changed(kBundle);
  changed.replace(changed.find(",\n                 {"), changed.find("]}},\n  {\"fullUrl\":\"urn:uuid:00000000-0000-4000-8000-000000000002") -
                                                             changed.find(",\n                 {"), "");
  changed.replace(changed.find("Müller"), 7, "Meyer");
  write("b.json", changed);
  const auto report = import();
  EXPECT_EQ(report.types.at("Patient").updated, 1U);
  EXPECT_EQ(report.types.at("Observation").updated, 1U);
  EXPECT_EQ(report.types.at("Encounter").unchanged, 1U);
  EXPECT_EQ(one("SELECT count(*)::text FROM observation"), "2");
}

TEST_F(ImporterTest, FindsThePatientAgainByAnyIdentifierUnderAnotherId) {
  write("a.json", R"({"resourceType":"Patient","id":"one","identifier":[{"system":"kv","value":"A1"},{"system":"mrn","value":"7"}],
                     "name":[{"family":"Müller"}]})");
  import();
  fs::remove(scratch_.path() / "a.json");
  write("b.json", R"({"resourceType":"Patient","id":"two","identifier":[{"system":"mrn","value":"7"}],"name":[{"family":"Müller"}],
                     "gender":"male"})");
  write("c.json", R"({"resourceType":"Condition","id":"c","code":{"text":"x"},"subject":{"reference":"Patient/two"}})");
  const auto report = import();
  EXPECT_EQ(report.types.at("Patient").updated, 1U);
  EXPECT_EQ(report.types.at("Condition").imported, 1U);
  EXPECT_EQ(one("SELECT count(*)::text FROM patient"), "1");
}

TEST_F(ImporterTest, NeverTurnsOnePersonIntoAnother) {
  write("a.json", R"({"resourceType":"Patient","id":"1","name":[{"family":"Müller"}],"birthDate":"1950-01-01"})");
  import();
  fs::remove(scratch_.path() / "a.json");
  write("b.json", R"({"resourceType":"Patient","id":"1","name":[{"family":"Yılmaz"}],"birthDate":"1990-01-01"})");
  write("c.json", R"({"resourceType":"Condition","id":"c","code":{"text":"x"},"subject":{"reference":"Patient/1"}})");
  const auto report = import();
  EXPECT_EQ(report.outcome(), ErrorCode::kIncomplete);
  EXPECT_TRUE(report.types.at("Patient").skipped.contains({SkipReason::kOtherPerson, {}}));
  EXPECT_TRUE(report.types.at("Condition").skipped.contains({SkipReason::kPatientNotFound, {}}));
  EXPECT_EQ(one("SELECT family_name FROM patient"), "Müller");
  ImportOptions elsewhere;
  elsewhere.source = "https://other/fhir";
  EXPECT_FALSE(import(elsewhere).outcome());
  EXPECT_EQ(one("SELECT family_name FROM condition JOIN patient p ON p.id = patient_id"), "Yılmaz");
}

TEST_F(ImporterTest, FilesMayComeInAnyOrder) {
  write("a-condition.json", R"({"resourceType":"Condition","id":"c","code":{"text":"x"},"subject":{"reference":"Patient/1"},
                               "encounter":{"reference":"Encounter/e"}})");
  write("b-encounter.json", R"({"resourceType":"Encounter","id":"e","subject":{"reference":"Patient/1"}})");
  write("c-patient.json", R"({"resourceType":"Patient","id":"1"})");
  ImportOptions options;
  options.batch_size = 1;
  const auto report = import(options);
  EXPECT_FALSE(report.outcome()) << report.to_text(Language::kEnglish);
  EXPECT_EQ(one("SELECT count(*)::text FROM condition WHERE encounter_id IS NOT NULL"), "1");
}

TEST_F(ImporterTest, BrokenAndForeignOnesAreNamedAndCostNobodyElse) {
  write("a.ndjson", "{\"resourceType\":\"Patient\",\"id\":\"1\"}\n{broken\n{\"resourceType\":\"Patient\",\"id\":\"2\",\"birthDate\":\"x\"}\n"
                    "{\"resourceType\":\"Condition\",\"id\":\"c\",\"code\":{\"text\":\"x\"},\"subject\":{\"reference\":\"Patient/9\"}}\n"
                    "{\"resourceType\":\"Patient\",\"id\":\"3\"}\n");
  write("b.json", "not json");
  write("c.txt", "foreign");
  write("d.json", R"({"name":"package"})");
  const auto report = import();
  EXPECT_EQ(report.types.at("Patient").imported, 2U);
  EXPECT_EQ(report.types.at("Patient").skipped.at({SkipReason::kBadElement, "birthDate"}).count, 1U);
  EXPECT_THAT(report.types.at("Condition").skipped.at({SkipReason::kPatientNotFound, {}}).examples.at(0),
              ::testing::HasSubstr("a.ndjson: line 4"));
  std::vector<std::string> problems;
  for (const auto& problem : report.file_problems) problems.push_back(fs::path(problem.file).filename().string() + " " + problem.cause);
  EXPECT_THAT(problems, ::testing::ElementsAre("c.txt is no FHIR file (.json, .ndjson), no GDT or BDT file, nor .gz of one", ::testing::HasSubstr("a.ndjson: line 2 is not JSON"),
                                               ::testing::ContainsRegex("b.json byte [0-9]+ is not JSON"), ::testing::HasSubstr("d.json is not a FHIR resource")));
}

TEST_F(ImporterTest, ARowThatPostgresRefusesDoesNotTakeItsBatchWithIt) {
  ASSERT_TRUE(connection_->execute("ALTER TABLE condition ADD CHECK (display <> 'forbidden')"));
  write("a.ndjson", R"({"resourceType":"Patient","id":"1"}
{"resourceType":"Condition","id":"a","code":{"text":"fine"},"subject":{"reference":"Patient/1"}}
{"resourceType":"Condition","id":"b","code":{"text":"forbidden"},"subject":{"reference":"Patient/1"}}
{"resourceType":"Condition","id":"c","code":{"text":"fine too"},"subject":{"reference":"Patient/1"}}
)");
  const auto report = import();
  EXPECT_EQ(report.types.at("Condition").imported, 2U);
  ASSERT_EQ(report.types.at("Condition").skipped.size(), 1U);
  EXPECT_EQ(report.types.at("Condition").skipped.begin()->first.reason, SkipReason::kDatabaseRefused);
}

TEST_F(ImporterTest, CancellingKeepsWhatWasCommitted) {
  std::string lines;
  for (int at = 0; at < 50; ++at) lines += fmt::format("{{\"resourceType\":\"Patient\",\"id\":\"{}\"}}\n", at);
  write("p.ndjson", lines);
  ImportOptions options;
  options.batch_size = 10;
  const std::array paths{scratch_.path()};
  int calls = 0;
  const auto report = import_files(*connection_, paths, options, [&](const ImportProgress&) { return ++calls < 2; });
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(one("SELECT count(*)::text FROM patient"), "20");
}

TEST_F(ImporterTest, DeletingAPatientTakesEverythingAlong) {
  write("b.json", kBundle);
  import();
  ASSERT_TRUE(assign_demo_nurses(*connection_));
  EXPECT_EQ(one("SELECT count(*)::text FROM care_assignment"), "1");
  ASSERT_TRUE(connection_->execute("DELETE FROM patient"));
  EXPECT_EQ(one("SELECT ((SELECT count(*) FROM observation) + (SELECT count(*) FROM encounter) + (SELECT count(*) FROM patient_identifier) "
                "+ (SELECT count(*) FROM care_assignment))::text"), "0");
}

TEST_F(ImporterTest, SchemaMayBeRunAgainAndIndexesEveryForeignKey) {
  ASSERT_TRUE(connection_->execute(demo_schema_sql()));
  EXPECT_EQ(one("SELECT count(*)::text FROM pg_constraint c WHERE contype = 'f' AND NOT EXISTS "
                "(SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])"), "0");
  EXPECT_EQ(one("SELECT count(*)::text FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
                "AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND indisprimary)"), "0");
}

TEST_F(ImporterTest, SyntheticPatientsAreWrittenOnceAndGoOnWhereTheyStood) {
  auto first = import_synthetic(*connection_, 300, 42);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->types.at("Patient").imported, 300U);
  auto second = import_synthetic(*connection_, 450, 42);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->types.at("Patient").unchanged, 300U);
  EXPECT_EQ(second->types.at("Patient").imported, 150U);
  EXPECT_EQ(one("SELECT count(*)::text FROM patient"), "450");
  EXPECT_EQ(one("SELECT count(*)::text FROM observation WHERE component_of IS NULL"),
            std::to_string(first->types.at("Observation").imported + second->types.at("Observation").imported));
  EXPECT_EQ(one("SELECT count(DISTINCT nurse)::text FROM care_assignment"), "3");
}

/// Every file of the folder that VERBUND_FHIR_EXAMPLES names goes in or is named with a reason.
TEST_F(ImporterTest, TakesAFolderOfRealFilesTwice) {
  const char* folder = std::getenv("VERBUND_FHIR_EXAMPLES");
  if (folder == nullptr) GTEST_SKIP() << "VERBUND_FHIR_EXAMPLES is not set";
  const std::array paths{fs::path(folder)};
  auto first = import_files(*connection_, paths);
  ASSERT_TRUE(first) << first.error().message;
  fmt::print("{}", first->to_text(Language::kGerman));
  auto second = import_files(*connection_, paths);
  ASSERT_TRUE(second) << second.error().message;
  fmt::print("{}", second->to_text(Language::kEnglish));
  EXPECT_EQ(second->total().imported, 0U);
  EXPECT_EQ(second->total().skipped_count(), first->total().skipped_count());
}

}  // namespace
}  // namespace verbund::importer
