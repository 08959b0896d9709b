#include "records/practice_pgtest.h"

namespace verbund::records {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using RecordTypesTest = PracticeTest;

TEST_F(RecordTypesTest, DefaultConfigurationFitsTheDemoPractice) {
  demo();
  const auto patient = type(practice_record());
  EXPECT_EQ(patient.key, std::vector<std::string>{"id"});
  EXPECT_EQ(patient.key_types, std::vector<std::string>{"uuid"});
  ASSERT_EQ(patient.children.size(), 6U);
  for (const auto& child : patient.children) {
    ASSERT_EQ(child.path.size(), 1U) << child.table;
    EXPECT_EQ(child.path[0].columns, std::vector<std::string>{"patient_id"});
    EXPECT_EQ(child.path[0].parent_table, "patient");
    EXPECT_EQ(child.key, std::vector<std::string>{"id"});
  }
}

TEST_F(RecordTypesTest, FollowsSeveralForeignKeys) {
  sql("CREATE SCHEMA lab; CREATE TABLE patient (id int PRIMARY KEY);"
      "CREATE TABLE lab.sheet (id int PRIMARY KEY, patient int REFERENCES patient);"
      "CREATE TABLE lab.value (id int PRIMARY KEY, sheet int REFERENCES lab.sheet)");
  const auto patient = type("[[record]]\ntype='p'\ntable='patient'\nchildren=['lab.value.sheet > lab.sheet.patient']");
  ASSERT_EQ(patient.children.size(), 1U);
  const auto& path = patient.children[0].path;
  ASSERT_EQ(path.size(), 2U);
  EXPECT_EQ(path[0].parent_schema + "." + path[0].parent_table, "lab.sheet");
  EXPECT_EQ(path[1].parent_schema + "." + path[1].parent_table, "public.patient");
  EXPECT_EQ(patient.label, "p");
}

TEST_F(RecordTypesTest, TakesCompositeKeysInIndexOrderAndWholeForeignKeys) {
  sql("CREATE TABLE \"Akte Ä.1\" (nr text, \"Größe\" int, PRIMARY KEY (\"Größe\", nr));"
      "CREATE TABLE blatt (id int PRIMARY KEY, n text, g int, FOREIGN KEY (g, n) REFERENCES \"Akte Ä.1\")");
  const auto file = type("[[record]]\ntype='akte'\ntable='public.\"Akte Ä.1\"'\nchildren=['blatt.n']");
  EXPECT_THAT(file.key, ElementsAre("Größe", "nr"));
  EXPECT_THAT(file.key_types, ElementsAre("integer", "text"));
  EXPECT_THAT(file.children[0].path[0].columns, ElementsAre("g", "n"));
  EXPECT_THAT(file.children[0].path[0].parent_columns, ElementsAre("Größe", "nr"));
}

TEST_F(RecordTypesTest, NoTypesAreNoError) { EXPECT_TRUE(types("")->all().empty()); }

struct Mistake {
  const char* toml;
  const char* place;
  const char* message;
  const char* hint;
};

TEST_F(RecordTypesTest, NamesFileLineAndWhatExists) {
  demo();
  sql("CREATE TABLE keyless (a int)");
  const std::string root = "[[record]]\ntype = 'patient'\ntable = 'patient'\n";
  const Mistake mistakes[] = {
      {"[[record]]\ntype = 'p'\ntable = 'public.patiend'\n", "verbund.toml:3", "no table public.patiend", "public.patient"},
      {"[[record]]\ntype = 'p'\ntable = 'keyless'\n", "verbund.toml:3", "no primary key", "ALTER TABLE"},
      {"[[record]]\ntype = 'p'\n", "verbund.toml: [[record]] number 1", "table", ""},
      {"[[record]]\ntype = 'a/b'\ntable = 'patient'\n", "verbund.toml:2", "without '/'", ""},
      {"search = ['familie']", "verbund.toml:4", "no column familie", "family_name"},
      {"children = ['encounter.patientid']", "verbund.toml:4", "no column patientid", "patient_id"},
      {"children = ['encounter.reason']", "verbund.toml:4", "no foreign key leads", "public.encounter.patient_id > public.patient"},
      {"children = ['observation.encounter_id']", "verbund.toml:4", "to public.patient", "encounter_id > public.encounter"},
      {"label_sql = 'family || nosuch'", "verbund.toml:4", "does not exist", "family_name"},
      {"group_sql = 'upper('", "verbund.toml:4", "syntax error", ""},
      {"[[record]]\ntype = 'patient'\ntable = 'encounter'\n", "verbund.toml:5", "twice", ""},
  };
  for (const auto& mistake : mistakes) {
    const std::string own(mistake.toml);
    const bool whole = own.starts_with("[[record]]") && own.find("encounter") == std::string::npos;
    const auto loaded = types(whole ? own : root + own);
    ASSERT_FALSE(loaded) << own;
    EXPECT_EQ(loaded.error().code, ErrorCode::kBadConfig) << own;
    EXPECT_THAT(loaded.error().message, AllOf(StartsWith(mistake.place), HasSubstr(mistake.message)));
    EXPECT_THAT(loaded.error().hint, HasSubstr(mistake.hint));
  }
}

TEST_F(RecordTypesTest, AnExpressionCannotSmuggleAStatement) {
  demo();
  const auto loaded = types("[[record]]\ntype='p'\ntable='patient'\nlabel_sql=\"'x')::text FROM patient; DROP TABLE patient; --\"");
  EXPECT_FALSE(loaded);
  EXPECT_TRUE(source_.query("SELECT FROM patient"));
}

}  // namespace
}  // namespace verbund::records
