#include <gmock/gmock.h>

#include <fstream>

#include "importer/importer.h"
#include "importer/xdt_samples.h"
#include "testing/scratch_directory.h"
#include "testing/scratch_postgres.h"

namespace verbund::importer::xdt {
namespace {

using ::testing::HasSubstr;

class XdtImportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = postgres::Connection::open(verbund::testing::ScratchPostgres::shared().database("praxis_xdt"));
    ASSERT_TRUE(opened) << opened.error().message;
    connection_.emplace(std::move(*opened));
    ASSERT_TRUE(connection_->execute(demo_schema_sql()));
    ASSERT_TRUE(connection_->execute("TRUNCATE patient CASCADE"));
  }
  void write(std::string_view name, std::string_view text) { std::ofstream(scratch_.path() / name, std::ios::binary) << text; }
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

ImportOptions leniently() {
  ImportOptions options;
  options.xdt.strictness = Strictness::kLenient;
  return options;
}

std::string patient(std::string_view number, std::string_view family, std::string_view birth = "01101945") {
  return record({"80006100", fmt::format("3000{}", number), fmt::format("3101{}", family), "3102Franz", fmt::format("3103{}", birth)});
}
std::string treatment(std::string_view number, std::string_view finding) {
  return record({"80006200", fmt::format("3000{}", number), "620003062024", "6001I10.90", "6003G", fmt::format("6220{}", finding), "6230120/80"});
}
std::string spirometry(std::string_view number, std::string_view family) {
  return record({"80006310", "921802.10", fmt::format("3000{}", number), fmt::format("3101{}", family), "3102Franz", "310301101945",
                 "8402SPIRO01", "620003062024", "6201101500", "8410FEV1", "84203.1", "8421l"});
}

TEST_F(XdtImportTest, ImportsABdtFileOnceAndInWhateverOrder) {
  write("a.bdt", record({"80000020", "91062"}) + treatment("1", "rein") + treatment("2", "leise") + patient("1", "M\x81ller") +
                     patient("2", "Meier") + record({"80000021"}));
  const auto report = import();
  EXPECT_FALSE(report.outcome()) << report.to_text(Language::kEnglish);
  EXPECT_EQ(report.types.at("BDT 6100 patient").imported, 2U);
  EXPECT_EQ(report.types.at("BDT 6200 condition").imported, 2U);
  EXPECT_EQ(report.types.at("BDT 6200 observation").imported, 4U);
  EXPECT_EQ(one("SELECT count(*)::text FROM condition c JOIN encounter e ON e.id = c.encounter_id JOIN patient p ON p.id = c.patient_id "
                "WHERE p.family_name = 'Müller' AND e.patient_id = p.id"), "1");
  const auto again = import();
  EXPECT_EQ(again.total().unchanged, 10U) << again.to_text(Language::kEnglish);
  EXPECT_EQ(again.total().imported + again.total().updated + again.total().skipped_count(), 0U);
}

TEST_F(XdtImportTest, ADayThatSeveralEntriesNameIsWrittenOnceAndEndsNoBatch) {
  const auto entry = [](std::string_view number, std::string_view text) {
    return record({"80006200", fmt::format("3000{}", number), "620003062024", fmt::format("6220{}", text)});
  };
  write("a.bdt", record({"80000020", "91062"}) + patient("1", "M\x81ller") + entry("1", "rein") + entry("1", "leise") + entry("1", "ruhig") +
                     entry("2", "rein") + entry("2", "leise") + entry("3", "ohne") + entry("3", "Patient") + patient("2", "Meier") +
                     record({"80000021"}));
  const auto report = import();
  const auto& days = report.types.at("BDT 6200 encounter");
  EXPECT_EQ(days.imported, 2U) << report.to_text(Language::kEnglish);
  EXPECT_EQ(days.unchanged, 3U);
  EXPECT_EQ(days.skipped_count(), 2U) << "both, as their patient is nowhere";
  EXPECT_EQ(report.types.at("BDT 6200 observation").imported, 5U);
  EXPECT_EQ(one("SELECT count(DISTINCT o.xmin::text) FROM observation o JOIN patient p ON p.id = o.patient_id WHERE family_name = 'Müller'"), "1");
}

TEST_F(XdtImportTest, AFileThatIsAgainstTheRulesIsRefusedAsAWhole) {
  auto broken = treatment("1", "rein");
  broken.replace(broken.find("0106003"), 7, "0996003");
  write("a.bdt", patient("1", "Meier") + broken);
  write("b.bdt", patient("2", "Schulz"));
  const auto report = import();
  EXPECT_EQ(one("SELECT string_agg(family_name, ',') FROM patient"), "Schulz");
  ASSERT_EQ(report.file_problems.size(), 1U);
  EXPECT_THAT(report.file_problems[0].cause, HasSubstr("line 12: its length is given as 099, but it has 10 bytes"));
  EXPECT_THAT(report.to_text(Language::kGerman), HasSubstr("--lenient"));
  EXPECT_EQ(report.outcome(), ErrorCode::kIncomplete);

  const auto lenient = import(leniently());
  EXPECT_FALSE(lenient.outcome()) << lenient.to_text(Language::kEnglish);
  EXPECT_EQ(lenient.tolerated.at(Tolerated::kLineLength).count, 1U);
  EXPECT_THAT(lenient.tolerated.at(Tolerated::kLineLength).examples[0], HasSubstr("a.bdt: line 12"));
  EXPECT_EQ(one("SELECT count(*)::text FROM condition"), "1");
}

TEST_F(XdtImportTest, ADeviceNeitherMakesNorChangesPatients) {
  write("a.gdt", spirometry("1", "Meier"));
  EXPECT_EQ(import().total().skipped.begin()->first.reason, SkipReason::kPatientNotFound);
  EXPECT_EQ(one("SELECT count(*)::text FROM patient"), "0");
  write("b.bdt", patient("1", "Maier"));
  EXPECT_FALSE(import().outcome());
  EXPECT_EQ(one("SELECT family_name FROM patient"), "Maier");
  EXPECT_EQ(one("SELECT value_number::text || unit FROM observation WHERE code = 'FEV1'"), "3.1l");
}

TEST_F(XdtImportTest, AResultOfAnotherPersonUnderTheSameNumberIsRefused) {
  write("a.bdt", patient("1", "Schulz", "24121974"));
  import();
  write("b.gdt", spirometry("1", "Meier"));
  const auto report = import();
  EXPECT_EQ(report.types.at("GDT 6310 observation").skipped.begin()->first.reason, SkipReason::kOtherPerson);
  EXPECT_EQ(one("SELECT count(*)::text FROM observation"), "0");
}

TEST_F(XdtImportTest, FindsThePracticesOwnNumbers) {
  ASSERT_TRUE(connection_->execute(
      "INSERT INTO patient (family_name) VALUES ('Meier'); INSERT INTO patient_identifier (patient_id, system, value) SELECT id, 'urn:praxis', '1' FROM patient"));
  write("b.gdt", spirometry("1", "Meier"));
  ImportOptions options;
  options.number_system = "urn:praxis";
  EXPECT_FALSE(import(options).outcome());
  EXPECT_EQ(one("SELECT p.family_name FROM patient p JOIN observation o ON o.patient_id = p.id WHERE o.code = 'FEV1'"), "Meier");
}

TEST_F(XdtImportTest, MatchesByNameAndBirthDate) {
  ASSERT_TRUE(connection_->execute(
      "INSERT INTO patient (family_name, given_name, birth_date, birth_date_precision, email) VALUES ('MEIER', 'Franz', '1945-10-01', 'day', 'f@example.org')"));
  write("a.bdt", patient("77", "Meier") + treatment("77", "rein"));
  write("b.gdt", spirometry("99", "Meier"));
  ImportOptions options;
  options.match = PatientMatch::kPerson;
  const auto report = import(options);
  EXPECT_FALSE(report.outcome()) << report.to_text(Language::kEnglish);
  EXPECT_EQ(report.types.at("BDT 6100 patient").updated, 1U);
  EXPECT_EQ(one("SELECT string_agg(family_name || email, ',') FROM patient"), "Meierf@example.org");  // what the file does not say stays
  EXPECT_EQ(one("SELECT count(DISTINCT patient_id)::text || count(*) FROM observation WHERE component_of IS NULL"), "13");
}

TEST_F(XdtImportTest, DoesNotGuessBetweenTwoOfTheSameNameAndBirthDate) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(connection_->execute(
        "INSERT INTO patient (family_name, given_name, birth_date, birth_date_precision) VALUES ('Meier', 'Franz', '1945-10-01', 'day')"));
  }
  write("b.gdt", spirometry("99", "Meier"));
  ImportOptions options;
  options.match = PatientMatch::kEither;
  EXPECT_EQ(import(options).types.at("GDT 6310 observation").skipped.begin()->first.reason, SkipReason::kAmbiguousPatient);
}

TEST_F(XdtImportTest, ANumberOfSomebodyElseIsAConflictWhenNamesDecide) {
  write("a.bdt", patient("1", "Schulz", "24121974"));
  import();
  write("a.bdt", patient("1", "Meier") + treatment("1", "rein"));
  ImportOptions options;
  options.match = PatientMatch::kPerson;
  const auto report = import(options);
  EXPECT_EQ(report.types.at("BDT 6100 patient").skipped.begin()->first.reason, SkipReason::kOtherPerson);
  EXPECT_EQ(one("SELECT count(*)::text FROM observation"), "0");
  options.match = PatientMatch::kEither;  // the number says Schulz, whose name and birth date are others
  EXPECT_EQ(import(options).types.at("BDT 6100 patient").skipped.begin()->first.reason, SkipReason::kOtherPerson);
}

TEST_F(XdtImportTest, ADryRunSaysTheSameAndWritesNothing) {
  write("a.bdt", treatment("1", "rein") + patient("1", "Meier") + patient("2", "Schulz"));
  write("b.gdt", spirometry("1", "Meier") + spirometry("9", "Meier"));
  write("c.json", R"({"resourceType":"Patient","id":"7","name":[{"family":"Braun"}]})");
  write("d.gdt", "no gdt\r\n");
  ImportOptions dry;
  dry.dry_run = true;
  dry.batch_size = 2;
  const auto trial = import(dry);
  EXPECT_EQ(one("SELECT count(*)::text FROM patient"), "0");
  EXPECT_FALSE(connection_->in_transaction());
  const auto real = import();
  EXPECT_EQ(one("SELECT count(*)::text FROM patient"), "3");
  EXPECT_EQ(trial.total().imported, real.total().imported);
  EXPECT_EQ(trial.total().skipped_count(), real.total().skipped_count());
  EXPECT_EQ(trial.file_problem_count, real.file_problem_count);
  EXPECT_THAT(trial.to_text(Language::kEnglish), HasSubstr("dry run"));
  EXPECT_THAT(trial.to_json(), HasSubstr("\"dry_run\":true"));
}

TEST_F(XdtImportTest, TellsAFileByItsFirstLineWhateverItsName) {
  write("PRAXSPI1.001", patient("1", "Meier"));
  EXPECT_EQ(import().total().imported, 1U);
}

}  // namespace
}  // namespace verbund::importer::xdt
