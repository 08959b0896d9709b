#include "backup/manifest.h"

#include <gtest/gtest.h>

#include "backup/sample_manifest_model.h"
#include "backup/sums.h"

namespace verbund::backup {
namespace {

std::string changed(std::string text, std::string_view what, std::string_view into) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), into);
}

TEST(Manifest, ComesBackAsItWasWritten) {
  const Manifest written = sample_manifest();
  const auto read = read_manifest(manifest_json(written));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(manifest_json(*read), manifest_json(written));
  EXPECT_EQ(read->sequence, 123U);
  EXPECT_EQ(read->begun, written.begun);
  ASSERT_EQ(read->databases.size(), 1U);
  ASSERT_EQ(read->databases[0].tables.size(), 2U);
  EXPECT_EQ(read->databases[0].tables[0].columns, (std::vector<std::string>{"id", "Straße"}));
  EXPECT_EQ(read->databases[0].tables[1].rows, 18'446'744'073'709'551'615U);
  EXPECT_EQ(read->folders[0].missing, std::vector<std::string>{"Müller\\xff.pdf"});
  EXPECT_EQ(read->member("db/praxis.dump")->parts.size(), 2U);
  EXPECT_EQ(read->member("db/other.dump"), nullptr);
}

TEST(Manifest, NamesThePlaceOfWhatIsWrong) {
  const std::string good = manifest_json(sample_manifest());
  const std::vector<std::array<std::string, 3>> cases{
      {"\"sequence\": \"123\"", "\"sequence\": 123", "manifest: sequence: no number in quotes"},
      {"\"complete\": false", "\"complete\": 0", "manifest: complete: neither true nor false"},
      {"\"plain_bytes\":\"5000000000\"", "\"plain_bytes\":\"-1\"", "manifest: members[0].plain_bytes: no number in quotes"},
      {"db/praxis.dump.zst.001", "db/../praxis.dump", "manifest: members[0].parts: the name db/../praxis.dump is not allowed in a backup set"},
      {"db/praxis.dump.zst.001", "db/Praxis.dump.zst.000", "manifest: db/Praxis.dump.zst.000 stands in it twice"},
      {"\"member\":\"db/praxis.dump\"", "\"member\":\"db/none.dump\"", "manifest: there is no member db/none.dump"},
      {"\"content\":\"database\"", "\"content\":\"pie\"", "manifest: members[0].content: a word that is not known"},
      {"T01:30:00.000000Z", "T01:30:61.000000Z", "manifest: begun: no time"},
      {"\"format\": 1", "\"format\": 0", "manifest: format: no number of its range"},
      {"\"patient\"", "7", "manifest: databases[0].tables: an entry that is not [schema, table, rows, hash, columns]"},
  };
  for (const auto& [what, into, message] : cases) {
    const auto read = read_manifest(changed(good, what, into));
    ASSERT_FALSE(read.has_value()) << into;
    EXPECT_EQ(read.error().code, ErrorCode::kDamaged);
    EXPECT_EQ(read.error().message, message);
  }
}

TEST(Manifest, RefusesWhatIsNoManifest) {
  for (const std::string& text : {std::string(), std::string("[]"), std::string("{"), std::string("{}"), std::string("\xff"),
                                  std::string(100'000, '['), manifest_json(sample_manifest()) + "x"}) {
    const auto read = read_manifest(text);
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().code, ErrorCode::kDamaged);
  }
}

TEST(Manifest, ANewerFormatIsNotGuessed) {
  const auto read = read_manifest(changed(manifest_json(sample_manifest()), "\"format\": 1", "\"format\": 2"));
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, ErrorCode::kUnsupported);
}

TEST(Manifest, FieldsOfLaterVersionsAreLeftAside) {
  EXPECT_TRUE(read_manifest(changed(manifest_json(sample_manifest()), "\"format\": 1", "\"format\": 1, \"new\": [{\"a\": 1}]")).has_value());
}

TEST(Manifest, WithoutDetailsNamesNobodysFiles) {
  const std::string text = manifest_json(without_details(sample_manifest()));
  for (const auto* secret : {"ller", "/srv/m1", "changed while", "cafe01", "Project"}) {
    EXPECT_EQ(text.find(secret), std::string::npos) << secret;
  }
  EXPECT_TRUE(read_manifest(text).has_value());
}

TEST(SetId, IsTimeAndSequence) {
  EXPECT_EQ(set_id(*from_iso8601("2026-11-22T01:30:00.000000Z"), 123), "20261122-013000-000123");
}

TEST(Sums, ComeBackSortedAndRefuseEverythingElse) {
  const std::string hash(64, 'a');
  const std::string text = sums_text({{"manifest.json", hash}, {"RESTORE.txt", hash}});
  EXPECT_EQ(text, hash + "  RESTORE.txt\n" + hash + "  manifest.json\n");
  const auto read = read_sums(text);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ((*read)[1].name, "manifest.json");
  const std::string capitals(64, 'A');
  for (const auto* form : {"", "{0}  x", "{0} x\n", "{0} *x\n", "{0}  ../x\n", "{1}  x\n", "{0}  x\r\n", "{0}  x\n{0}  x\n",
                           "{0}  b\n{0}  a\n", "{0}  A\n{0}  a\n", "{0}  \n"}) {
    const auto refused = read_sums(fmt::format(fmt::runtime(form), hash, capitals));
    ASSERT_FALSE(refused.has_value()) << form;
    EXPECT_EQ(refused.error().code, ErrorCode::kDamaged);
  }
}

}  // namespace
}  // namespace verbund::backup
