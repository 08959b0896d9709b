#include "backup/keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "backup/digest.h"
#include "backup/stock_program_fixture.h"
#include "platform/os/file.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

const WallTime kDay = *from_iso8601("2026-11-22T01:30:00.000000Z");

class Keys : public ::testing::Test {
 protected:
  std::filesystem::path at(std::string_view name) const { return directory_.path() / name; }
  void write(std::string_view name, std::string_view text, unsigned mode = 0644) const {
    ASSERT_TRUE(os::write_file_atomically(at(name), text, mode).has_value());
  }

 private:
  testing::ScratchDirectory directory_;
};

TEST_F(Keys, ASigningKeyComesBackFromItsFileWhichNobodyElseReads) {
  const auto key = SigningKey::generate();
  ASSERT_TRUE(key.save(at("signing.key")).has_value());
  struct stat status {};
  ASSERT_EQ(::stat(at("signing.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  const auto loaded = SigningKey::load(at("signing.key"));
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  EXPECT_EQ(loaded->public_key(), key.public_key());
}

TEST_F(Keys, AKeyThatOthersMayReadIsRefused) {
  ASSERT_TRUE(SigningKey::generate().save(at("s")).has_value());
  ASSERT_TRUE(RecipientKey::generate("x", kDay).save(at("r")).has_value());
  for (const mode_t mode : {0640U, 0604U, 0666U}) {
    ASSERT_EQ(::chmod(at("s").c_str(), mode), 0);
    ASSERT_EQ(::chmod(at("r").c_str(), mode), 0);
    EXPECT_EQ(SigningKey::load(at("s")).error().code, ErrorCode::kForbidden);
    EXPECT_EQ(RecipientKey::load(at("r")).error().code, ErrorCode::kForbidden);
  }
  EXPECT_EQ(SigningKey::load(at("none")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(RecipientKey::load(at("none")).error().code, ErrorCode::kNotFound);
}

TEST_F(Keys, EveryFlippedLetterOfASigningKeyIsNoticed) {
  ASSERT_TRUE(SigningKey::generate().save(at("s")).has_value());
  const std::string good = *os::read_file(at("s"));
  const std::size_t begin = good.find('\n') + 1;
  for (std::size_t i = begin; i < good.size() - 1; ++i) {
    std::string text = good;
    text[i] = text[i] == 'A' ? 'B' : 'A';
    // Salt and limits of the password that isn't there mean nothing.
    if (text[i] == good[i] || (i - begin >= 8 && i - begin < 72)) continue;
    EXPECT_FALSE(SigningKey::parse(text).has_value()) << i - begin;
  }
}

TEST_F(Keys, ASignatureFitsItsTextItsCommentAndItsKeyOnly) {
  const auto key = SigningKey::generate();
  const auto hash = blake2b_512("sums");
  const auto signature = Signature::parse(key.sign(hash, "set 1"));
  ASSERT_TRUE(signature.has_value()) << signature.error().message;
  EXPECT_EQ(signature->comment, "set 1");
  EXPECT_TRUE(signature->check({SigningKey::generate().public_key(), key.public_key()}, hash).has_value());
  EXPECT_EQ(signature->check({key.public_key()}, blake2b_512("sumz")).error().code, ErrorCode::kDamaged);
  EXPECT_EQ(signature->check({SigningKey::generate().public_key()}, hash).error().code, ErrorCode::kForbidden);
  EXPECT_EQ(signature->check({}, hash).error().code, ErrorCode::kForbidden);
  PublicKey pretender = SigningKey::generate().public_key();
  pretender.id = key.public_key().id;
  EXPECT_EQ(signature->check({pretender}, hash).error().code, ErrorCode::kDamaged);
  EXPECT_TRUE(signature->check({pretender, key.public_key()}, hash).has_value());
  auto other = *signature;
  other.comment = "set 2";
  EXPECT_EQ(other.check({key.public_key()}, hash).error().code, ErrorCode::kDamaged);
}

TEST_F(Keys, APublicKeyIsReadFromALineOrAFile) {
  const auto key = SigningKey::generate().public_key();
  for (const std::string& text : {key.text(), key.text() + "\n", key.file_text()}) {
    const auto read = PublicKey::parse(text);
    ASSERT_TRUE(read.has_value()) << text;
    EXPECT_EQ(*read, key);
  }
  for (const std::string& text : {std::string(), key.text() + "x", key.text().substr(1), key.file_text() + "more\n"}) {
    EXPECT_FALSE(PublicKey::parse(text).has_value()) << text;
  }
}

TEST_F(Keys, MinisignChecksOurSignaturesAndSignsWithOurKey) {
  if (!have_program("minisign")) GTEST_SKIP() << "minisign is not on this machine (Debian package minisign)";
  const auto key = SigningKey::generate();
  write("text", "what is signed\n");
  write("key.pub", key.public_key().file_text());
  write("text.minisig", key.sign(blake2b_512("what is signed\n"), "set=1 sequence=7"));
  const auto checked = run_program({"minisign", "-Vm", at("text"), "-p", at("key.pub")});
  EXPECT_EQ(checked.exit_code, 0) << checked.errors;
  EXPECT_NE(checked.output.find("set=1 sequence=7"), std::string::npos);
  EXPECT_EQ(run_program({"minisign", "-Vm", at("text"), "-P", key.public_key().text()}).exit_code, 0);
  write("text", "what is signed!\n");
  EXPECT_NE(run_program({"minisign", "-Vm", at("text"), "-p", at("key.pub")}).exit_code, 0);

  ASSERT_TRUE(key.save(at("key")).has_value());
  const auto made = run_program({"minisign", "-Sm", at("text"), "-s", at("key"), "-t", "theirs", "-x", at("theirs.minisig")});
  ASSERT_EQ(made.exit_code, 0) << made.errors;
  const auto theirs = Signature::parse(*os::read_file(at("theirs.minisig")));
  ASSERT_TRUE(theirs.has_value()) << theirs.error().message;
  EXPECT_TRUE(theirs->check({key.public_key()}, blake2b_512("what is signed!\n")).has_value());
}

TEST_F(Keys, AKeyOfMinisignIsTaken) {
  if (!have_program("minisign")) GTEST_SKIP() << "minisign is not on this machine (Debian package minisign)";
  ASSERT_EQ(run_program({"minisign", "-G", "-W", "-p", at("p"), "-s", at("s")}).exit_code, 0);
  ASSERT_EQ(::chmod(at("s").c_str(), 0600), 0);
  const auto key = SigningKey::load(at("s"));
  ASSERT_TRUE(key.has_value()) << key.error().message;
  EXPECT_EQ(key->public_key(), *PublicKey::parse(*os::read_file(at("p"))));
}

TEST_F(Keys, ARecipientIsItsTextAndName) {
  const auto recipient = RecipientKey::generate("Dr. Adler", kDay).recipient();
  const auto read = Recipient::parse(" " + recipient.text() + "\n");
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->key, recipient.key);
  EXPECT_EQ(read->name, "Dr. Adler");
  EXPECT_TRUE(Recipient::parse(recipient.age()).has_value());
  std::string mistyped = recipient.age();
  mistyped[10] = mistyped[10] == 'q' ? 'p' : 'q';
  EXPECT_EQ(Recipient::parse(mistyped).error().code, ErrorCode::kDamaged);
  // The zero point: age1 of 32 zero bytes, with its right check sum.
  Recipient zero;
  EXPECT_EQ(Recipient::parse(zero.age()).error().code, ErrorCode::kDamaged);
}

TEST_F(Keys, AKeyOfAgeIsTakenAndAgeTakesOurs) {
  if (!have_program("age")) GTEST_SKIP() << "age is not on this machine (Debian package age)";
  ASSERT_EQ(run_program({"age-keygen", "-o", at("theirs")}).exit_code, 0);
  const auto theirs = RecipientKey::load(at("theirs"));
  ASSERT_TRUE(theirs.has_value()) << theirs.error().message;
  EXPECT_EQ(run_program({"age-keygen", "-y", at("theirs")}).output, theirs->recipient().age() + "\n");
  const auto ours = RecipientKey::generate("Müller", kDay);
  ASSERT_TRUE(ours.save(at("ours")).has_value());
  EXPECT_EQ(run_program({"age-keygen", "-y", at("ours")}).output, ours.recipient().age() + "\n");
  const auto again = RecipientKey::load(at("ours"));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->recipient().text(), ours.recipient().text());
  EXPECT_EQ(again->since(), "2026-11-22");
}

TEST_F(Keys, TheRecoveryTextIsTypedBackWithBlanksCaseAndLookAlikes) {
  for (int round = 0; round < 50; ++round) {
    const auto key = RecipientKey::generate("x", kDay);
    const std::string text = key.recovery_text();
    std::string typed = "\n  " + text + " ";
    for (char& c : typed) {
      if (c == '0') c = 'o';
      else if (c == 'L') c = round % 2 == 0 ? '1' : 'i';
      else if (c == '8') c = 'B';
      else if (c == ' ' && round % 3 == 0) c = '-';
      else if (c >= 'A' && c <= 'Z' && round % 5 == 0) c = static_cast<char>(c - 'A' + 'a');
    }
    for (const std::string& given : {text, typed, key.age_text()}) {
      const auto read = RecipientKey::from_recovery_text(given);
      ASSERT_TRUE(read.has_value()) << read.error().message;
      EXPECT_EQ(read->recipient().key, key.recipient().key);
    }
  }
}

TEST_F(Keys, ATypingErrorIsReportedWithItsGroup) {
  const auto key = RecipientKey::generate("x", kDay);
  const std::string text = key.recovery_text();
  const std::string digits = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') continue;
    const std::string place = fmt::format("recovery key: group {} is mistyped", i / 6 + 1);
    for (const char c : digits + "!") {
      if (c == text[i]) continue;
      std::string typed = text;
      typed[i] = c;
      const auto read = RecipientKey::from_recovery_text(typed);
      ASSERT_FALSE(read.has_value());
      EXPECT_EQ(read.error().message, place);
    }
    std::string shorter = text;
    shorter.erase(i, 1);
    EXPECT_FALSE(RecipientKey::from_recovery_text(shorter).has_value());
    if (i + 1 < text.size() && text[i + 1] != ' ' && text[i + 1] != text[i]) {
      std::string swapped = text;
      std::swap(swapped[i], swapped[i + 1]);
      ASSERT_FALSE(RecipientKey::from_recovery_text(swapped).has_value());
      EXPECT_EQ(RecipientKey::from_recovery_text(swapped).error().message, place);
    }
  }
  std::string groups = text;
  for (std::size_t i = 0; i < 5; ++i) std::swap(groups[i], groups[i + 6]);
  if (groups != text) {
    EXPECT_EQ(RecipientKey::from_recovery_text(groups).error().message, "recovery key: group 1 is mistyped");
  }
  EXPECT_FALSE(RecipientKey::from_recovery_text(text + "Q").has_value());
  EXPECT_FALSE(RecipientKey::from_recovery_text("").has_value());
}

// Found by fuzzing: control characters at a name's end became blanks, which its own text lost.
TEST_F(Keys, ARecipientsNameIsTheSameAfterItsOwnText) {
  const auto key = RecipientKey::generate("x", kDay).recipient().age();
  for (const std::string& name : {std::string("Dr. Adler\x1a\x1a"), std::string("\x01 Dr. Adler"), std::string("\x1a"), "Dr. Adler" + std::string(250, '\x02') + "x"}) {
    const auto recipient = Recipient::parse(key + " " + name);
    ASSERT_TRUE(recipient.has_value());
    EXPECT_EQ(Recipient::parse(recipient->text())->text(), recipient->text());
  }
}

TEST_F(Keys, TheSheetHasEverythingOnOnePage) {
  const auto key = RecipientKey::generate("Dr. <Adler>", kDay);
  const SheetWords words{"Praxis Adler", SigningKey::generate().public_key()};
  const std::string text = recovery_sheet_text(key, words);
  for (const std::string& needed : {key.age_text(), key.recipient().age(), std::string("Dr. <Adler>"), std::string("2026-11-22"),
                                    std::string("Praxis Adler"), words.signer->text(), std::string("age -d -i")}) {
    EXPECT_NE(text.find(needed), std::string::npos) << needed;
  }
  EXPECT_LE(std::ranges::count(text, '\n'), 58);
  const std::string html = recovery_sheet_html(key, words);
  EXPECT_NE(html.find("Dr. &lt;Adler&gt;"), std::string::npos);
  EXPECT_EQ(html.find("<Adler>"), std::string::npos);
}

}  // namespace
}  // namespace verbund::backup
