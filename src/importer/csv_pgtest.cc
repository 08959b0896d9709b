#include "importer/csv/import.h"

#include <gmock/gmock.h>

#include <fstream>

#include "testing/scratch_directory.h"
#include "testing/scratch_postgres.h"

namespace verbund::importer::csv {
namespace {

using ::testing::HasSubstr;

class CsvImportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = postgres::Connection::open(verbund::testing::ScratchPostgres::shared().database("csv"));
    ASSERT_TRUE(opened) << opened.error().message;
    connection_.emplace(std::move(*opened));
    sql("CREATE TABLE \"Kartei\" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, born date, weight numeric(5,2), "
        "code varchar(4), seen timestamptz, tags text[], extra jsonb, fixed char(6), CHECK (weight < 400))");
  }
  void sql(std::string_view text) {
    auto done = connection_->execute(text);
    ASSERT_TRUE(done) << done.error().message;
  }
  void write(std::string_view name, std::string_view text) { std::ofstream(scratch_.path() / name, std::ios::binary) << text; }
  Mapping mapping(std::string_view target = "match = [\"name\"]") {
    auto parsed = parse_mapping(fmt::format(R"toml(
[csv]
date = "DD.MM.YYYY"
decimal = ","
[target]
table = "Kartei"
{}
[[column]]
field = "name"
from = "Name"
[[column]]
field = "born"
from = "geboren"
[[column]]
field = "weight"
from = "Gewicht"
)toml", target), "m.toml");
    EXPECT_TRUE(parsed) << parsed.error().message;
    return *parsed;
  }
  ImportReport import(const Mapping& mapping, const CsvOptions& options = {}) {
    const std::array paths{scratch_.path()};
    auto report = import_csv(*connection_, paths, mapping, options);
    EXPECT_TRUE(report) << (report ? "" : report.error().message);
    EXPECT_FALSE(connection_->in_transaction());
    return report ? std::move(*report) : ImportReport{};
  }
  std::string one(std::string_view text) {
    auto rows = connection_->query(text);
    EXPECT_TRUE(rows) << (rows ? "" : rows.error().message);
    return rows && rows->size() == 1 ? std::string(rows->text(0, 0)) : "";
  }
  std::string all() { return one("SELECT coalesce(string_agg(concat_ws('/', name, born, weight), ' ' ORDER BY name), '') FROM \"Kartei\""); }

  verbund::testing::ScratchDirectory scratch_;
  std::optional<postgres::Connection> connection_;
};

constexpr std::string_view kFile = "Name;geboren;Gewicht\r\nMüller;31.12.1974;79,5\r\n\"Meier; \"\"der\"\"\";;\r\n";

TEST_F(CsvImportTest, WritesRowsOnceAndUpdatesThoseThatDiffer) {
  write("a.csv", kFile);
  auto report = import(mapping());
  EXPECT_FALSE(report.outcome()) << report.to_text(Language::kEnglish);
  EXPECT_EQ(report.types.at("public.Kartei").imported, 2U);
  EXPECT_EQ(all(), "Meier; \"der\" Müller/1974-12-31/79.50");
  report = import(mapping());
  EXPECT_EQ(report.types.at("public.Kartei").unchanged, 2U);
  write("a.csv", "Name;geboren;Gewicht\nMüller;30.12.1974;80\nSchulz;;\n");
  report = import(mapping());
  EXPECT_EQ(report.types.at("public.Kartei").updated, 1U);
  EXPECT_EQ(report.types.at("public.Kartei").imported, 1U);
  EXPECT_EQ(all(), "Meier; \"der\" Müller/1974-12-30/80.00 Schulz");
}

TEST_F(CsvImportTest, NamesBadRowsByLineAndWritesTheOthers) {
  std::string text = "Name;geboren;Gewicht\n";
  for (int i = 2; i < 1000; ++i) {
    if (i == 100) text += ";;\n";                      // not null, refused by the database
    else if (i == 200) text += "n200;31.02.1974;\n";   // no date
    else if (i == 300) text += "n300;;4000\n";         // does not fit numeric(5,2)
    else if (i == 301) text += "n301;;500\n";          // check constraint
    else text += fmt::format("n{};;{}\n", i, i % 300);
  }
  write("a.csv", text);
  auto plain = mapping("");
  const auto report = import(plain);
  EXPECT_EQ(report.outcome(), ErrorCode::kIncomplete);
  EXPECT_EQ(report.types.at("public.Kartei").imported, 994U);
  std::string problems;
  for (const auto& problem : report.file_problems) problems += fmt::format("{}: {}\n", problem.file.substr(problem.file.rfind('/') + 1), problem.cause);
  EXPECT_THAT(problems, HasSubstr("a.csv: line 100: "));
  EXPECT_THAT(problems, HasSubstr("a.csv: line 200: geboren: is no date of the form DD.MM.YYYY"));
  EXPECT_THAT(problems, HasSubstr("a.csv: line 300: "));
  EXPECT_THAT(problems, HasSubstr("a.csv: line 301: "));
  EXPECT_EQ(report.file_problem_count, 4U);
  EXPECT_EQ(one("SELECT count(*)::text FROM \"Kartei\""), "994");
}

TEST_F(CsvImportTest, StrictRefusesAFileWithABadRowAsAWhole) {
  write("a.csv", "Name;geboren;Gewicht\ngut;;1\nschlecht;;viel\nauch gut;;2\n");
  write("b.csv", "Name;geboren;Gewicht\nandere Datei;;1\n");
  for (const bool dry : {true, false}) {
    const auto report = import(mapping(), {.strict = true, .dry_run = dry, .batch_size = 1, .limits = {}});
    EXPECT_EQ(report.types.at("public.Kartei").imported, 1U);
    EXPECT_EQ(report.types.at("public.Kartei").skipped_count(), 1U);
    ASSERT_EQ(report.file_problems.size(), 2U);
    EXPECT_THAT(report.file_problems[0].file, HasSubstr("a.csv: line 3"));
    EXPECT_THAT(report.file_problems[1].cause, HasSubstr("refused as a whole: 2 rows"));
    EXPECT_EQ(all(), dry ? "" : "andere Datei/1.00");
  }
}

TEST_F(CsvImportTest, ADryRunSaysTheSameAndWritesNothing) {
  write("a.csv", kFile);
  import(mapping());
  write("a.csv", "Name;geboren;Gewicht\nMüller;30.12.1974;80\nSchulz;;\nFalsch;;x\nSchulz;;7\n");
  const auto trial = import(mapping(), {.strict = false, .dry_run = true, .batch_size = 2, .limits = {}});
  EXPECT_EQ(all(), "Meier; \"der\" Müller/1974-12-31/79.50");
  const auto real = import(mapping());
  const auto numbers = [](const ImportReport& report) {
    const auto& type = report.types.at("public.Kartei");
    return fmt::format("{} {} {} {} {}", type.imported, type.updated, type.unchanged, type.skipped_count(), report.file_problem_count);
  };
  EXPECT_EQ(numbers(trial), numbers(real));
  EXPECT_EQ(numbers(real), "1 2 0 1 1");
}

TEST_F(CsvImportTest, LeavesOrRefusesDuplicatesAsTheMappingSays) {
  write("a.csv", "Name;geboren;Gewicht\nMüller;;1\nMüller;;2\n");
  auto report = import(mapping("match = [\"name\"]\non_duplicate = \"skip\""));
  EXPECT_EQ(all(), "Müller/1.00");
  EXPECT_FALSE(report.outcome());
  EXPECT_EQ(report.types.at("public.Kartei").skipped_count(), 1U);
  report = import(mapping("match = [\"name\"]\non_duplicate = \"refuse\""));
  EXPECT_EQ(report.outcome(), ErrorCode::kIncomplete);
  EXPECT_EQ(report.file_problem_count, 2U);
  EXPECT_EQ(all(), "Müller/1.00");
}

TEST_F(CsvImportTest, UpdatesNothingWhenSeveralRowsMatch) {
  sql("INSERT INTO \"Kartei\" (name) VALUES ('Müller'), ('Müller')");
  write("a.csv", kFile);
  const auto report = import(mapping());
  EXPECT_THAT(report.file_problems.at(0).cause, HasSubstr("several rows of the table match it"));
  EXPECT_EQ(one("SELECT count(*)::text FROM \"Kartei\" WHERE born IS NOT NULL"), "0");
}

TEST_F(CsvImportTest, TakesEveryTypeByTheDatabaseAndCutsNothing) {
  auto parsed = parse_mapping(R"toml(
[target]
table = "public.Kartei"
match = ["fixed"]
[[column]]
field = "name"
value = "aus der Datei"
[[column]]
field = "fixed"
from = "fixed"
[[column]]
field = "code"
from = "code"
[[column]]
field = "seen"
from = "seen"
date = "DD.MM.YYYY hh:mm"
[[column]]
field = "tags"
from = "tags"
[[column]]
field = "extra"
from = "extra"
)toml", "m.toml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  write("a.csv", "fixed;code;seen;tags;extra\nabc;1234;15.07.2024 12:00;\"{a,\"\"b c\"\"}\";\"{\"\"k\"\": [1, \"\"\\\\\"\"]}\"\nabcdef;12345;;;\n");
  auto report = import(*parsed);
  EXPECT_EQ(report.types.at("public.Kartei").imported, 1U) << report.to_text(Language::kEnglish);
  EXPECT_THAT(report.file_problems.at(0).cause, HasSubstr("too long"));
  EXPECT_EQ(one("SELECT concat_ws('|', name, fixed, code, seen AT TIME ZONE 'UTC', tags[2], extra->'k'->>1) FROM \"Kartei\""),
            "aus der Datei|abc   |1234|2024-07-15 10:00:00|b c|\\");
  report = import(*parsed);
  EXPECT_EQ(report.types.at("public.Kartei").unchanged, 1U);
}

TEST_F(CsvImportTest, ChecksTheMappingAgainstTheCatalogFirst) {
  const auto error = [&](std::string_view from, std::string_view to) {
    auto text = fmt::format("[target]\ntable = \"{}\"\n[[column]]\nfield = \"{}\"\nfrom = \"x\"\n", from, to);
    const std::array paths{scratch_.path()};
    auto report = import_csv(*connection_, paths, parse_mapping(text, "m.toml").value());
    return report ? std::string() : report.error().message + " | " + report.error().hint;
  };
  EXPECT_THAT(error("kartei", "name"), ::testing::AllOf(HasSubstr("there is no such table"), HasSubstr("public.Kartei")));
  EXPECT_THAT(error("Kartei", "nam"), ::testing::AllOf(HasSubstr("no such column"), HasSubstr("id, name, born")));
  EXPECT_THAT(error("Kartei", "id"), HasSubstr("the database fills it by itself"));
}

TEST_F(CsvImportTest, LooksKeysUpInOtherTables) {
  sql("CREATE TABLE nummer (kartei bigint NOT NULL, system text, wert int); INSERT INTO \"Kartei\" (name) VALUES ('a'), ('b'); "
      "INSERT INTO nummer SELECT id, 'eigene', CASE name WHEN 'a' THEN 11 ELSE 12 END FROM \"Kartei\"; "
      "INSERT INTO nummer SELECT id, 'fremde', 11 FROM \"Kartei\"; INSERT INTO nummer SELECT id, 'eigene', 13 FROM \"Kartei\"; "
      "CREATE TABLE wert (kartei bigint NOT NULL, text text)");
  auto parsed = parse_mapping(R"toml(
[target]
table = "wert"
[[column]]
field = "kartei"
from = "Nr"
lookup.table = "nummer"
lookup.by = "wert"
lookup.take = "kartei"
lookup.where = ["system = eigene"]
[[column]]
field = "text"
from = "Text"
)toml", "m.toml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  write("a.csv", "Nr;Text\n12;für b\n99;niemand\n11;für a\n13;zwei\nx;keine Nummer\n;leer\n12;noch einer\n");
  const auto report = import(*parsed);
  EXPECT_EQ(report.types.at("public.wert").imported, 3U) << report.to_text(Language::kEnglish);
  EXPECT_EQ(one("SELECT string_agg(k.name || ':' || w.text, ',' ORDER BY w.text) FROM wert w JOIN \"Kartei\" k ON k.id = w.kartei"),
            "a:für a,b:für b,b:noch einer");
  std::string causes;
  for (const auto& problem : report.file_problems) causes += fmt::format("{} {}\n", problem.file.substr(problem.file.rfind(' ') + 1), problem.cause);
  EXPECT_THAT(causes, HasSubstr("3 kartei: public.nummer has no row for it"));
  EXPECT_THAT(causes, HasSubstr("5 kartei: public.nummer has several rows for it"));
  EXPECT_EQ(report.file_problem_count, 4U) << causes;
}

TEST_F(CsvImportTest, NamesARowThatATriggerLeavesOut) {
  sql("CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN NEW.name = 'Schulz' THEN NULL ELSE NEW END; END $$; "
      "CREATE TRIGGER picky BEFORE INSERT ON \"Kartei\" FOR EACH ROW EXECUTE FUNCTION picky()");
  write("a.csv", "Name;geboren;Gewicht\nMüller;;\nSchulz;;\nMeier;;\n");
  const auto report = import(mapping());
  EXPECT_EQ(all(), "Meier Müller");
  EXPECT_THAT(report.file_problems.at(0).file, HasSubstr("line 3"));
  EXPECT_THAT(report.file_problems.at(0).cause, HasSubstr("a trigger or rule of the table left it out"));
}

TEST_F(CsvImportTest, RefusesAnUnknownTimeZoneBeforeItReads) {
  auto wrong = mapping();
  wrong.time_zone = "Europa/Berlin";
  const std::array paths{scratch_.path()};
  EXPECT_THAT(import_csv(*connection_, paths, wrong).error().message, HasSubstr("Europa/Berlin"));
}

TEST_F(CsvImportTest, RefusesAFileWithoutTheColumnsAndGoesOn) {
  write("a.csv", "Vorname;geboren\nx;y\n");
  write("b.csv", kFile);
  const auto report = import(mapping());
  EXPECT_EQ(report.types.at("public.Kartei").imported, 2U);
  EXPECT_THAT(report.file_problems.at(0).cause, HasSubstr("line 1: the header has no column \"Name\". it has: Vorname, geboren"));
}

TEST_F(CsvImportTest, WritesWhatStandsBeforeAnOpenQuote) {
  write("a.csv", "Name;geboren;Gewicht\ngut;;1\n\"offen;;\n" + std::string(10'000, 'x'));
  CsvOptions options;
  options.limits.max_row_bytes = 1000;
  const auto report = import(mapping(), options);
  EXPECT_THAT(report.file_problems.at(0).cause, HasSubstr("line 3: the row has more than 1000 bytes"));
  EXPECT_EQ(all(), "gut/1.00");
}

}  // namespace
}  // namespace verbund::importer::csv
