#include "backup/signed_journal.h"

#include <gmock/gmock.h>

#include <fstream>

#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

using ::testing::HasSubstr;

class SignedJournal : public ::testing::Test {
 protected:
  std::string journal_of(int lines, const SigningKey& key) const {
    std::string text;
    std::vector<SignedLine> before;
    for (int i = 1; i <= lines; ++i) {
      const auto line = signed_line(fmt::format(R"({{"n":{},"text":"Müller \"x\" ,\"signature\":\""}})", i), hash_behind(before, "B"), key);
      text += line + "\n";
      before = read_signed(text, "B", {key.public_key()}, Strangers::kRefused, "j").lines;
    }
    return text;
  }
  SignedLines read(std::string_view text, Strangers strangers = Strangers::kRefused) const {
    return read_signed(text, "B", {key_.public_key()}, strangers, "journal");
  }
  SigningKey key_ = SigningKey::generate();
};

TEST_F(SignedJournal, GivesBackWhatWasWritten) {
  const auto read_back = read(journal_of(3, key_));
  ASSERT_FALSE(read_back.damage) << read_back.damage->message;
  ASSERT_EQ(read_back.lines.size(), 3U);
  EXPECT_EQ(read_back.lines[1].payload, R"({"n":2,"text":"Müller \"x\" ,\"signature\":\""})");
  EXPECT_TRUE(read_back.lines[1].by_trusted);
  EXPECT_FALSE(read_back.torn);
  EXPECT_FALSE(read("").damage);
}

TEST_F(SignedJournal, NoByteChangesUnnoticed) {
  const auto text = journal_of(2, key_);
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const int bit : {0x01, 0x80}) {
      auto changed = text;
      changed[at] = static_cast<char>(changed[at] ^ bit);
      const auto seen = read(changed);
      EXPECT_TRUE(seen.damage || seen.torn) << "byte " << at << " bit " << bit;
      EXPECT_LE(seen.lines.size(), 1U) << "byte " << at;
    }
  }
}

TEST_F(SignedJournal, NoLineIsRemovedSwappedOrRepeatedUnnoticed) {
  const auto whole = read(journal_of(4, key_)).lines;
  const auto joined = [&](const std::vector<std::size_t>& order) {
    std::string text;
    for (const auto at : order) text += whole[at].text + "\n";
    return text;
  };
  for (const auto& order : std::vector<std::vector<std::size_t>>{{1, 2, 3}, {0, 2, 3}, {0, 1, 3}, {1, 0, 2, 3}, {0, 2, 1, 3}, {0, 1, 3, 2}, {0, 0, 1, 2, 3}, {0, 1, 2, 3, 3}}) {
    const auto seen = read(joined(order));
    ASSERT_TRUE(seen.damage);
    EXPECT_EQ(seen.damage->code, ErrorCode::kDamaged);
    EXPECT_THAT(seen.damage->message, HasSubstr("it does not follow the line before"));
  }
  EXPECT_FALSE(read(joined({0, 1, 2, 3})).damage);
  EXPECT_EQ(read(joined({0, 1})).lines.size(), 2U) << "the end alone can't be told from an earlier day: Ledger's head does";
}

TEST_F(SignedJournal, ATornEndIsNoDamage) {
  const auto text = journal_of(3, key_);
  const auto whole = read(journal_of(2, key_)).good_bytes;
  for (std::size_t end = whole + 1; end < text.size(); ++end) {
    const auto seen = read(std::string_view(text).substr(0, end));
    EXPECT_TRUE(seen.torn);
    EXPECT_FALSE(seen.damage);
    EXPECT_EQ(seen.lines.size(), 2U);
    EXPECT_EQ(seen.good_bytes, whole);
  }
}

TEST_F(SignedJournal, AnotherBeginningOrKeyIsRefused) {
  const auto stranger = SigningKey::generate();
  EXPECT_TRUE(read_signed(journal_of(1, key_), "C", {key_.public_key()}, Strangers::kRefused, "j").damage) << "another installation's";
  const auto seen = read(journal_of(2, stranger));
  ASSERT_TRUE(seen.damage);
  EXPECT_EQ(seen.damage->code, ErrorCode::kForbidden);
  const auto marked = read(journal_of(2, stranger), Strangers::kMarked);
  ASSERT_EQ(marked.lines.size(), 2U);
  EXPECT_FALSE(marked.lines[0].by_trusted);
}

TEST(SetAside, KeepsEveryDamagedFile) {
  testing::ScratchDirectory scratch;
  for (int i = 1; i <= 2; ++i) {
    ASSERT_TRUE(put_on_medium(scratch.path() / "ledger.jsonl", fmt::format("{}", i)));
    EXPECT_EQ(set_aside(scratch.path() / "ledger.jsonl").value(), scratch.path() / fmt::format("ledger.jsonl.damaged-{}", i));
  }
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / "ledger.jsonl"));
}

}  // namespace
}  // namespace verbund::backup
