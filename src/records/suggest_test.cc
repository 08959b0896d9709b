// Suggestions from catalogs made by hand.
#include "records/suggest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "records/suggest_words.h"

namespace verbund::records {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

SnapshotTable table(std::string name, std::vector<SnapshotColumn> columns, std::vector<ForeignKey> keys = {}) {
  columns.insert(columns.begin(), {"id", "bigint", true});
  return {"public", std::move(name), std::move(columns), {"id"}, {}, std::move(keys), -1};
}
ForeignKey to(std::string parent, std::string column) { return {{std::move(column)}, "public", std::move(parent), {"id"}}; }

std::vector<std::string> paths(const SuggestedRecord& record) {
  std::vector<std::string> found;
  for (const auto& child : record.children) found.push_back(child.path);
  return found;
}

TEST(Names, AreFoldedToWordsWithoutUmlauts) {
  EXPECT_EQ(folded_name("PatGeburtsdatum"), "pat_geburtsdatum");
  EXPECT_EQ(folded_name("Straße"), "strasse");
  EXPECT_EQ(folded_name("Akte Ä.1"), "akte_ae_1");
  EXPECT_EQ(folded_name("GÜLTIG_BIS"), "gueltig_bis");
}

TEST(Names, SayWhatAColumnIs) {
  EXPECT_EQ(meaning_of({"patNachname", "text", true}), Meaning::kFamilyName);
  EXPECT_EQ(meaning_of({"patvorname", "character varying", true}), Meaning::kGivenName);
  EXPECT_EQ(meaning_of({"Geburtsdatum", "date", false}), Meaning::kBirthDate);
  EXPECT_EQ(meaning_of({"geburtsdatum_genauigkeit", "text", false}), Meaning::kNone);
  EXPECT_EQ(meaning_of({"name", "bytea", false}), Meaning::kNone);
  EXPECT_TRUE(names_a_writer("geaendert_von"));
  EXPECT_FALSE(names_a_writer("patient_id"));
}

CatalogSnapshot german_practice() {
  return {{table("Befund", {{"Patient", "bigint", true}, {"Text", "text", false}, {"geaendert_von", "bigint", false}},
                 {to("Patient", "Patient"), to("Mitarbeiter", "geaendert_von")}),
           table("Befundwert", {{"Befund", "bigint", true}, {"Wert", "numeric", false}}, {to("Befund", "Befund")}),
           table("Land", {{"Bezeichnung", "text", true}}),
           table("Mitarbeiter", {{"Nachname", "text", true}, {"Vorname", "text", true}}),
           table("Patient",
                 {{"Nachname", "text", true}, {"Vorname", "text", false}, {"Geburtsdatum", "date", false}, {"Straße", "text", false},
                  {"Land", "bigint", true}},
                 {to("Land", "Land")})}};
}

TEST(Suggest, FindsThePersonAndWhatHangsOnIt) {
  const auto found = suggest(german_practice());
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].type, "patient");
  EXPECT_EQ(found[0].label_sql, "concat_ws(', ', nullif(\"Nachname\"::text, ''), nullif(\"Vorname\"::text, '')) || coalesce(' * ' || "
                                "to_char(\"Geburtsdatum\", 'DD.MM.YYYY'), '')");
  EXPECT_EQ(found[0].group_sql, "upper(left(coalesce(nullif(\"Nachname\"::text, ''), '?'), 1))");
  EXPECT_THAT(found[0].search, ElementsAre("Nachname", "Vorname", "Geburtsdatum"));
  EXPECT_THAT(paths(found[0]), ElementsAre("public.Befund.Patient", "public.Befundwert.Befund > public.Befund.Patient"));
  EXPECT_EQ(found[1].type, "mitarbeiter");
  EXPECT_THAT(found[1].children, IsEmpty()) << "who wrote a row does not own it";
}

TEST(Suggest, ListsOfValuesLogsAndTablesWithoutKeyAreNoRecords) {
  auto catalog = german_practice();
  catalog.tables.push_back(table("protokoll", {{"name", "text", true}, {"patient", "bigint", true}}, {to("Patient", "patient")}));
  catalog.tables.push_back(table("scan", {{"patient", "bigint", true}}, {to("Patient", "patient")}));
  catalog.tables.back().key.clear();
  const auto found = suggest(catalog);
  ASSERT_EQ(found.size(), 2U);
  const auto text = suggestions_toml(found, catalog, Language::kEnglish);
  EXPECT_THAT(text, HasSubstr("# \"public.scan.patient\",  # no primary key"));
  EXPECT_THAT(text, HasSubstr("#   public.scan"));
  EXPECT_THAT(text, Not(HasSubstr("Land")));
}

TEST(Suggest, AnEmptyCatalogIsNoError) {
  EXPECT_THAT(suggest({}), IsEmpty());
  EXPECT_THAT(suggestions_toml({}, {}, Language::kGerman), HasSubstr("0"));
}

TEST(Suggest, TwoKeysToTheSameParentAreToldApart) {
  CatalogSnapshot catalog = german_practice();
  catalog.tables.push_back(table("Verwandt", {{"von", "bigint", true}, {"zu", "bigint", true}}, {to("Patient", "von"), to("Patient", "zu")}));
  EXPECT_THAT(paths(suggest(catalog)[0]), ::testing::Contains("public.Verwandt.von"));
}

TEST(Suggest, NamesOfTwoSchemasDoNotCollide) {
  CatalogSnapshot catalog{{table("kunde", {{"nachname", "text", true}, {"vorname", "text", true}}),
                           table("kunde", {{"nachname", "text", true}, {"vorname", "text", true}})}};
  catalog.tables[0].schema = "archiv";
  const auto found = suggest(catalog);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].type, "kunde");
  EXPECT_EQ(found[1].type, "public_kunde");
}

TEST(Suggest, HostileNamesStayInsideTheirQuotes) {
  CatalogSnapshot catalog{{table("kunde\n[evil]", {{"nach\"name", "text", true}, {"vorname", "text", true}, {"name", "text", true}})}};
  const auto text = suggestions_toml(suggest(catalog), catalog, Language::kEnglish);
  EXPECT_THAT(text, Not(HasSubstr("\n[evil]")));
}

}  // namespace
}  // namespace verbund::records
