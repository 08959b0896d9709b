// An import into tables that the guard enforces: which locks it takes, what it leaves to their holders.
#include <fstream>
#include <map>

#include "guard/guard_scene.h"
#include "importer/csv/import.h"
#include "importer/importer.h"
#include "testing/scratch_directory.h"

namespace verbund::node {
namespace {

using guard::Mode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Grants what nobody holds, as a node would: the token is in the lock table before anybody hears of it.
class Locks final : public importer::RecordLocks {
 public:
  explicit Locks(postgres::Connection& node) : node_(node) {}

  Result<std::vector<FencingToken>> take(std::span<const RecordKey> keys) override {
    std::vector<guard::LockWrite> writes;
    for (const auto& key : keys) {
      if (others_.contains(to_string(key))) return fail(ErrorCode::kHeld, phrase("lock {}: {} holds it", to_string(key), others_[to_string(key)]));
      writes.push_back({key, {next_}, {9}, guard::LockWrite::Kind::kGrant});
    }
    if (auto written = guard::write_locks(node_, writes); !written) return pass(written);
    for (const auto& key : keys) taken_.push_back(to_string(key));
    std::ranges::move(writes, std::back_inserter(held_));
    return std::vector<FencingToken>{{next_++}};
  }
  void release() override {
    ++releases_;
    if (slow_) return held_.clear();
    for (auto& write : held_) write.kind = guard::LockWrite::Kind::kOver;
    if (auto gone = guard::write_locks(node_, held_); !gone) ADD_FAILURE() << gone.error().message;
    held_.clear();
  }
  std::string holder(const RecordKey& key) override { return others_[to_string(key)]; }

  std::map<std::string, std::string> others_;
  std::vector<std::string> taken_;
  int releases_ = 0;
  bool slow_ = false;  ///< what is given back stays in the lock table

 private:
  postgres::Connection& node_;
  std::vector<guard::LockWrite> held_;
  std::uint64_t next_ = 100;
};

constexpr const char* kAnna = "00000000-0000-4000-8000-00000000000a";
constexpr const char* kBert = "00000000-0000-4000-8000-00000000000b";

std::string patient(std::string_view id, std::string_view given) {
  return fmt::format(R"({{"resourceType":"Patient","id":"{0}","identifier":[{{"system":"urn:n","value":"{1}"}}],"name":[{{"family":"Groß","given":["{2}"]}}]}})", id,
                     id.back(), given) + "\n";
}
std::string condition(std::string_view id, std::string_view of, std::string_view text) {
  return fmt::format(R"({{"resourceType":"Condition","id":"{}","subject":{{"reference":"Patient/{}"}},"code":{{"text":"{}"}}}})", id, of, text) + "\n";
}

class GuardedImport : public guard::GuardTest {
 protected:
  void practice_of(Mode mode = Mode::kEnforce) {
    sql(importer::demo_schema_sql());
    guard("[[record]]\ntype='patient'\ntable='patient'\nchildren=['patient_identifier.patient_id', 'encounter.patient_id',"
          " 'condition.patient_id', 'observation.patient_id', 'medication.patient_id']", mode);
  }
  importer::ImportReport import(std::string_view resources, importer::ImportOptions options = {}) {
    std::ofstream(scratch_.path() / "x.ndjson", std::ios::binary) << resources;
    options.locks = &locks_;
    const std::array paths{scratch_.path()};
    auto report = importer::import_files(application_, paths, options);
    if (!report) throw std::runtime_error(report.error().message);
    return *report;
  }
  void hold_for(const std::string& id, const std::string& who) {
    hold(id, 50);
    locks_.others_["patient/" + id] = who;
  }
  std::string patient_id(const std::string& given) { return value("SELECT id FROM patient WHERE given_name = '" + given + "'"); }
  static std::string skipped(const importer::ImportReport& report) {
    std::string out;
    for (const auto& [type, one] : report.types) {
      for (const auto& [skip, found] : one.skipped) out += fmt::format("{} {} {} by {};", type, found.count, static_cast<int>(skip.reason), skip.detail);
    }
    return out;
  }

  testing::ScratchDirectory scratch_;
  Locks locks_{node_};
};

TEST_F(GuardedImport, TakesTheLocksOfWhatItWritesAndGivesThemBack) {
  practice_of();
  const auto report = import(patient(kAnna, "Anna") + condition("c1", kAnna, "Husten"));
  EXPECT_EQ(report.total().imported, 2u) << report.to_text(Language::kEnglish);
  EXPECT_THAT(locks_.taken_, ElementsAre("patient/" + patient_id("Anna")));
  EXPECT_EQ(locks_.releases_, 1);
  EXPECT_EQ(value("SELECT count(*) FROM verbund_guard.lock"), "0");
  EXPECT_EQ(value("SELECT count(*) FROM verbund_guard.wanted"), "0");
  locks_.taken_.clear();
  EXPECT_EQ(import(patient(kAnna, "Anna") + condition("c1", kAnna, "Husten")).total().unchanged, 2u);
  EXPECT_THAT(locks_.taken_, IsEmpty()) << "what is not written needs no lock";
}

TEST_F(GuardedImport, LeavesWhatSomebodyHoldsToHimAndNamesHim) {
  practice_of();
  import(patient(kAnna, "Anna") + patient(kBert, "Bert"));
  const auto anna = patient_id("Anna");
  hold_for(anna, "Empfang 1 (anna)");
  locks_.taken_.clear();
  const auto report = import(patient(kAnna, "Anne") + patient(kBert, "Bertram") + condition("c1", kAnna, "Husten") + condition("c2", kBert, "Fieber"));
  EXPECT_EQ(report.total().imported + report.total().updated, 2u) << report.to_text(Language::kEnglish);
  EXPECT_EQ(skipped(report), fmt::format("Condition 1 {0} by Empfang 1 (anna);Patient 1 {0} by Empfang 1 (anna);",
                                         static_cast<int>(importer::SkipReason::kHeld)));
  EXPECT_EQ(report.outcome(), ErrorCode::kIncomplete);
  EXPECT_THAT(locks_.taken_, ElementsAre("patient/" + patient_id("Bertram")));
  EXPECT_EQ(value("SELECT given_name FROM patient WHERE id = '" + anna + "'"), "Anna");
  EXPECT_EQ(value("SELECT string_agg(display, ',') FROM condition"), "Fieber");
  // When he is done the same files bring the rest.
  locks_.others_.clear();
  let_go(anna, 50);
  EXPECT_EQ(import(patient(kAnna, "Anne") + condition("c1", kAnna, "Husten")).total().skipped_count(), 0u);
  EXPECT_EQ(value("SELECT string_agg(display, ',' ORDER BY display) FROM condition"), "Fieber,Husten");
}

TEST_F(GuardedImport, ARecordOfSeveralBatchesIsLockedAgainAlthoughItsLastTokenStillStandsInTheTable) {
  practice_of();
  locks_.slow_ = true;
  importer::ImportOptions options;
  options.batch_size = 1;
  const auto report = import(patient(kAnna, "Anna") + condition("c1", kAnna, "Husten") + condition("c2", kAnna, "Fieber"), options);
  EXPECT_EQ(report.total().imported, 3u) << report.to_text(Language::kEnglish);
  EXPECT_EQ(locks_.taken_.size(), 3u);
}

TEST_F(GuardedImport, AnotherNumberOfAHeldPatientIsLeftOutToo) {
  practice_of();
  import(patient(kAnna, "Anna"));
  hold_for(patient_id("Anna"), "Labor");
  const auto more = fmt::format(R"({{"resourceType":"Patient","id":"{}","identifier":[{{"system":"urn:n","value":"a"}},{{"system":"urn:m","value":"7"}}],)"
                                R"("name":[{{"family":"Groß","given":["Anna"]}}]}})", kAnna) + "\n";
  const auto report = import(more + patient(kBert, "Bert"));
  EXPECT_THAT(skipped(report), HasSubstr("Patient 1 "));
  EXPECT_EQ(report.total().imported, 1u);
  EXPECT_EQ(value("SELECT count(*) FROM patient_identifier WHERE system = 'urn:m'"), "0");
}

TEST_F(GuardedImport, WhoTakesARecordMeanwhileEndsTheImportBeforeTheBatchIsCommitted) {
  practice_of();
  import(patient(kAnna, "Anna"));
  locks_.others_["patient/" + patient_id("Anna")] = "Labor";  // granted after the batch had looked
  const std::array paths{scratch_.path()};
  std::ofstream(scratch_.path() / "x.ndjson", std::ios::binary) << patient(kAnna, "Anne") << patient(kBert, "Bert");
  importer::ImportOptions options;
  options.locks = &locks_;
  const auto report = importer::import_files(application_, paths, options);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kHeld);
  EXPECT_THAT(report.error().message, HasSubstr("Labor holds it"));
  EXPECT_EQ(value("SELECT string_agg(given_name, ',') FROM patient"), "Anna");
  EXPECT_FALSE(application_.in_transaction());
}

TEST_F(GuardedImport, ADryRunNeedsNoLocksButSaysWhatIsHeld) {
  practice_of();
  import(patient(kAnna, "Anna"));
  hold_for(patient_id("Anna"), "Labor");
  locks_.taken_.clear();
  importer::ImportOptions options;
  options.dry_run = true;
  const auto report = import(patient(kAnna, "Anne") + patient(kBert, "Bert"), options);
  EXPECT_EQ(report.total().imported, 1u);
  EXPECT_THAT(skipped(report), HasSubstr("by Labor"));
  EXPECT_THAT(locks_.taken_, IsEmpty());
  EXPECT_EQ(value("SELECT count(*) FROM patient"), "1");
}

TEST_F(GuardedImport, WarnModeAndAnUnguardedDatabaseNeedNoLocks) {
  practice_of(Mode::kWarn);
  EXPECT_EQ(import(patient(kAnna, "Anna")).total().imported, 1u);
  ASSERT_TRUE(guard::drop_everything(node_));
  EXPECT_EQ(import(patient(kBert, "Bert")).total().imported, 1u);
  EXPECT_THAT(locks_.taken_, IsEmpty());
}

TEST_F(GuardedImport, WithoutASourceOfLocksTheGuardsRefusalIsReported) {
  practice_of();
  std::ofstream(scratch_.path() / "x.ndjson", std::ios::binary) << patient(kAnna, "Anna");
  const std::array paths{scratch_.path()};
  const auto report = importer::import_files(application_, paths, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->to_text(Language::kEnglish), HasSubstr("the transaction shows no token"));
}

class GuardedCsv : public GuardedImport {
 protected:
  void SetUp() override {
    sql("CREATE TABLE karte (nr int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, ort text); INSERT INTO karte (name, ort) VALUES"
        " ('Anna', 'Ulm'), ('Bert', 'Ulm')");
    guard("[[record]]\ntype='karte'\ntable='karte'");
  }
  importer::ImportReport import_rows(std::string_view rows, bool strict = false) {
    std::ofstream(scratch_.path() / "x.csv", std::ios::binary) << "name;ort\n" << rows;
    auto mapping = importer::csv::parse_mapping("[target]\ntable='karte'\nmatch=['name']\n[[column]]\nfield='name'\nfrom='name'\n"
                                                "[[column]]\nfield='ort'\nfrom='ort'\n", "m.toml");
    if (!mapping) throw std::runtime_error(mapping.error().message);
    importer::csv::CsvOptions options;
    options.strict = strict;
    options.locks = &locks_;
    const std::array paths{scratch_.path()};
    auto report = importer::csv::import_csv(application_, paths, *mapping, options);
    if (!report) throw std::runtime_error(report.error().message);
    return *report;
  }
  std::string all() { return value("SELECT string_agg(name || ' ' || ort, ', ' ORDER BY name) FROM karte"); }
};

TEST_F(GuardedCsv, LocksNewRecordsByTheKeyThatTheDatabaseHasMade) {
  const auto report = import_rows("Anna;Köln\nCarl;Bonn\n");
  EXPECT_EQ(report.total().imported + report.total().updated, 2u) << report.to_text(Language::kEnglish);
  EXPECT_THAT(locks_.taken_, ElementsAre("karte/1", "karte/" + value("SELECT nr FROM karte WHERE name = 'Carl'")));
  EXPECT_EQ(all(), "Anna Köln, Bert Ulm, Carl Bonn");
}

TEST_F(GuardedCsv, LeavesOutRowsOfAHeldRecord) {
  hold("2", 50);
  locks_.others_["karte/2"] = "Labor";
  const auto report = import_rows("Anna;Köln\nBert;Bonn\nCarl;Bonn\n");
  EXPECT_THAT(skipped(report), HasSubstr("by Labor"));
  EXPECT_EQ(all(), "Anna Köln, Bert Ulm, Carl Bonn");
}

TEST_F(GuardedCsv, AStrictFileWithAHeldRecordIsRefusedAsAWhole) {
  hold("2", 50);
  locks_.others_["karte/2"] = "Labor";
  const auto report = import_rows("Anna;Köln\nBert;Bonn\n", true);
  EXPECT_THAT(report.to_text(Language::kEnglish), HasSubstr("its record is locked by Labor"));
  EXPECT_EQ(all(), "Anna Ulm, Bert Ulm");
  EXPECT_THAT(locks_.taken_, IsEmpty());
}

}  // namespace
}  // namespace verbund::node
