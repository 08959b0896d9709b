// Suggestions from real catalogs: what is proposed can be pasted as it is.
#include <random>

#include "records/catalog_snapshot.h"
#include "records/practice_pgtest.h"
#include "records/suggest.h"

namespace verbund::records {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SuggestTest : public PracticeTest {
 protected:
  /// Also proves that the node would take the text.
  std::vector<SuggestedRecord> suggested(std::size_t limit = kMaxSuggestions) {
    auto catalog = read_catalog(source_);
    if (!catalog) throw std::runtime_error(catalog.error().message);
    auto found = suggest(*catalog, limit);
    toml_ = suggestions_toml(found, *catalog, Language::kGerman);
    const auto loaded = types(toml_);
    EXPECT_TRUE(loaded) << loaded.error().message << "\n" << toml_;
    EXPECT_EQ(loaded ? loaded->all().size() : 0, found.size());
    return found;
  }
  std::string toml_;
};

TEST_F(SuggestTest, TheDemoPracticeIsItsPatients) {
  demo();
  const auto found = suggested();
  ASSERT_EQ(found.size(), 1U) << toml_;
  EXPECT_EQ(found[0].type, "patient");
  EXPECT_EQ(found[0].children.size(), 6U);
  EXPECT_THAT(found[0].search, ElementsAre("family_name", "given_name", "birth_date"));
}

TEST_F(SuggestTest, GermanNamesAreQuotedAndUnderstood) {
  sql(R"(CREATE SCHEMA "Ärzte";
    CREATE TABLE "Ärzte"."Patient" ("PatNr" int PRIMARY KEY, "Name" text NOT NULL, "Vorname" varchar(40), "Geburtsdatum" date, "Straße" text);
    CREATE TABLE "Ärzte"."Kartei.eintrag" (nr int PRIMARY KEY, "Für Patient" int NOT NULL REFERENCES "Ärzte"."Patient", "Eintrag" text);
    CREATE TABLE "Ärzte"."Anhang" (nr int PRIMARY KEY, eintrag int NOT NULL REFERENCES "Ärzte"."Kartei.eintrag", "Größe" int);
    INSERT INTO "Ärzte"."Patient" VALUES (1, 'Müßig', 'Änne', '1950-12-31', 'Weg 1'))");
  const auto found = suggested();
  ASSERT_EQ(found.size(), 1U) << toml_;
  ASSERT_EQ(found[0].children.size(), 2U) << toml_;
  EXPECT_EQ(found[0].children[0].path, R"(Ärzte."Kartei.eintrag"."Für Patient")");
  const auto patient = type(toml_);
  const auto page = list(source_, patient, std::nullopt, 10, "Müßig");
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->records.size(), 1U);
  EXPECT_EQ(page->records[0].label, "Müßig, Änne * 31.12.1950");
  EXPECT_EQ(page->records[0].group, "M");
}

TEST_F(SuggestTest, ThreeHundredTablesGiveTheSameTextEachTime) {
  const unsigned seed = 300;
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  std::string script = "CREATE SCHEMA lager; CREATE TABLE kunde (id int PRIMARY KEY, kundennummer text UNIQUE, firma text);"
                       "CREATE TABLE lager.artikel (id int PRIMARY KEY, bezeichnung text NOT NULL, ean text);";
  for (int i = 0; i < 298; ++i) {
    const char* schema = i % 3 == 0 ? "lager." : "";
    const char* parent = random() % 3 == 0 ? "lager.artikel" : "kunde";
    if (i > 20 && random() % 4 == 0) {  // a part of a part
      const auto other = random() % 20;
      script += fmt::format("CREATE TABLE {}t{} (a int, b int, teil int NOT NULL REFERENCES {}t{}(a), PRIMARY KEY (a));", schema, i,
                            other % 3 == 0 ? "lager." : "", other);
    } else if (random() % 10 == 0) {
      script += fmt::format("CREATE TABLE {}t{} (a int {}, wert text, von int REFERENCES {});", schema, i, i < 20 ? "PRIMARY KEY" : "", parent);
    } else {
      script += fmt::format("CREATE TABLE {}t{} (a int PRIMARY KEY, von int NOT NULL REFERENCES {}, notiz text);", schema, i, parent);
    }
  }
  sql(script);
  const auto found = suggested();
  ASSERT_GE(found.size(), 2U);
  EXPECT_EQ(found[0].type, "kunde");
  EXPECT_EQ(found[1].type, "artikel");
  EXPECT_GT(found[0].children.size() + found[1].children.size(), 250U);
  EXPECT_EQ(found[0].label_sql, R"(concat_ws(' ', nullif("kundennummer"::text, ''), nullif("firma"::text, '')))");
  const std::string first = toml_;
  suggested();
  EXPECT_EQ(toml_, first);
}

}  // namespace
}  // namespace verbund::records
