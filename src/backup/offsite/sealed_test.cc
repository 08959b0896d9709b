#include "backup/offsite/sealed.h"

#include <fstream>

#include "backup/set_scene.h"

namespace verbund::backup {
namespace {

class SealedSet : public SetScene {
 protected:
  void SetUp() override {
    SetScene::SetUp();
    office_.directory = directory_.path() / "office";
    std::filesystem::create_directories(office_.directory / "backup" / "trusted");
    std::ofstream(office_.directory / "backup" / "trusted" / "made.pub") << key_.public_key().file_text();
    office_.config.recipients = {person_.recipient(), deputy_.recipient()};
  }
  Result<SetReader> sealed(const std::filesystem::path& set) { return sealed_set(office_, set, scratch(), progress_, {}); }
  [[nodiscard]] std::filesystem::path scratch() const { return directory_.path() / "scratch"; }
  static std::string plain(const SetReader& set, const std::string& member, const RecipientKey& key) {
    auto source = set.read(member, SetReader::Form::kPlain, &key);
    EXPECT_TRUE(source);
    std::string text, buffer(10'000, '\0');
    while (source) {
      const auto got = (*source)->read(buffer);
      EXPECT_TRUE(got);
      if (!got || *got == 0) break;
      text += buffer.substr(0, *got);
    }
    return text;
  }

  Office office_;
  NoProgress progress_;
};

TEST_F(SealedSet, HoldsTheSameForWhoeverHasAKeyAndNothingForOthers) {
  const auto original = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(original);
  auto copy = sealed(*original);
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ(copy->manifest().copy_of, SetReader::open(*original, trusted())->hash());
  EXPECT_TRUE(std::ranges::all_of(copy->manifest().members, &Member::sealed));
  EXPECT_TRUE(copy->manifest().folders.empty() || copy->manifest().folders[0].root.empty());
  for (const auto* key : {&person_, &deputy_}) EXPECT_EQ(plain(*copy, "db/praxis.dump", *key), contents_["db/praxis.dump"]);
  ASSERT_TRUE(copy->unlock(person_));
  EXPECT_EQ(copy->manifest().folders[0].root, sample_manifest().folders[0].root);
  EXPECT_EQ(findings_of(*copy), std::vector<std::string>{});
}

TEST_F(SealedSet, IsMadeOnceAndAnewWhenItIsOfOtherBytes) {
  const auto original = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(original);
  const auto first = sealed(*original)->hash();
  EXPECT_EQ(sealed(*original)->hash(), first) << "what a cut copy has left is used";
  office_.config.recipients.pop_back();
  const auto other = sealed(*original)->hash();
  EXPECT_NE(other, first) << "for other persons";
  const auto copy = scratch() / original->filename() / "db/praxis.dump.zst.age.000";
  ASSERT_TRUE(std::filesystem::exists(copy) || std::filesystem::exists(scratch() / original->filename() / "db/praxis.dump.zst.age"));
  std::ofstream(std::filesystem::exists(copy) ? copy : scratch() / original->filename() / "db/praxis.dump.zst.age", std::ios::app) << "x";
  EXPECT_NE(sealed(*original)->hash(), other) << "damaged";
}

TEST_F(SealedSet, OneThatIsSealedTravelsAsItIs) {
  const auto original = write_set(1, Sealing::kSealed);
  ASSERT_TRUE(original);
  office_.config.recipients.clear();
  auto same = sealed(*original);
  ASSERT_TRUE(same);
  EXPECT_EQ(same->directory(), *original);
  EXPECT_FALSE(std::filesystem::exists(scratch()));
}

TEST_F(SealedSet, NothingLeavesUnsealedOrDamaged) {
  const auto original = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(original);
  std::ofstream(*original / "globals.sql.zst", std::ios::app) << "x";
  auto damaged = sealed(*original);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::kDamaged);
  EXPECT_EQ(find_sets(scratch(), trusted())->sets.size(), 0U);
  office_.config.recipients.clear();
  auto refused = sealed(*original);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBadConfig);
}

TEST_F(SealedSet, InAChainACopyStandsForItsOriginal) {
  const auto first = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(first);
  const auto hash = SetReader::open(*first, trusted())->hash();
  const auto second = write_set(2, Sealing::kOpen, hash);
  ASSERT_TRUE(second);
  ASSERT_TRUE(sealed(*first));
  ASSERT_TRUE(sealed(*second));
  auto own = trusted_keys(office_.directory);
  ASSERT_TRUE(own);
  const auto found = find_sets(scratch(), *own);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->sets.size(), 2U);
  EXPECT_TRUE(check_chain(found->sets).empty());
}

}  // namespace
}  // namespace verbund::backup
