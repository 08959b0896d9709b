#include "backup/age.h"

#include <gtest/gtest.h>

#include "backup/memory_stream_fixture.h"
#include "backup/stock_program_fixture.h"
#include "platform/os/file.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

constexpr std::size_t kChunk = 64 * 1024;
const WallTime kDay = *from_iso8601("2026-11-22T01:30:00.000000Z");
const std::vector<std::size_t> kSizes{0, 1, 100, kChunk - 1, kChunk, kChunk + 1, 2 * kChunk, 2 * kChunk + 1, 3'000'000};

std::string sealed(std::string_view plain, std::span<const Recipient> recipients, std::size_t step) {
  std::string out;
  auto sink = make_age_sink(std::make_unique<StringSink>(out), recipients);
  EXPECT_TRUE(sink.has_value());
  for (; !plain.empty(); plain.remove_prefix(std::min(step, plain.size()))) EXPECT_TRUE((*sink)->write(plain.substr(0, step)).has_value());
  EXPECT_TRUE((*sink)->finish().has_value());
  return out;
}

Result<std::string> opened(const std::string& text, const RecipientKey& key, std::size_t step = 10'000) {
  auto source = make_age_source(std::make_unique<StringSource>(text, step), key, "x.age");
  if (!source) return pass(source);
  return read_all(**source);
}

TEST(Age, EveryRecipientOpensAndNobodyElse) {
  const auto person = RecipientKey::generate("person", kDay);
  const auto deputy = RecipientKey::generate("deputy", kDay);
  const std::vector<Recipient> both{person.recipient(), deputy.recipient()};
  for (const std::size_t bytes : kSizes) {
    const std::string plain = sample_bytes(bytes, bytes);
    for (const std::size_t step : {std::size_t{1'000}, kChunk, std::size_t{1'000'000}}) {
      const std::string text = sealed(plain, both, step);
      EXPECT_EQ(opened(text, person).value_or("?"), plain) << bytes;
      EXPECT_EQ(opened(text, deputy, 7).value_or("?"), plain) << bytes;
    }
    const auto stranger = opened(sealed(plain, both, 1'000), RecipientKey::generate("x", kDay));
    ASSERT_FALSE(stranger.has_value());
    EXPECT_EQ(stranger.error().code, ErrorCode::kForbidden);
  }
}

TEST(Age, EveryFlipAndEveryCutIsNoticed) {
  const auto key = RecipientKey::generate("person", kDay);
  const std::vector<Recipient> recipients{key.recipient()};
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{300}, kChunk, 2 * kChunk}) {
    const std::string text = sealed(sample_bytes(3, bytes), recipients, 1'000'000);
    const std::size_t stride = text.size() < 1'000 ? 1 : 997;
    for (std::size_t at = 0; at < text.size(); at += at < 300 ? 1 : stride) {
      std::string flipped = text;
      flipped[at] = static_cast<char>(flipped[at] ^ 1 << at % 8);
      EXPECT_FALSE(opened(flipped, key).has_value()) << at;
      EXPECT_FALSE(opened(text.substr(0, at), key).has_value()) << at;
    }
    EXPECT_FALSE(opened(text + "x", key).has_value());
    // A cut at a chunk's end is the one that a format without a marked end would miss.
    if (bytes > kChunk) {
      EXPECT_FALSE(opened(text.substr(0, text.size() - kChunk - 16), key).has_value());
    }
  }
}

class AgeProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!have_program("age")) GTEST_SKIP() << "age is not on this machine (Debian package age)";
    ASSERT_TRUE(key_.save(at("key")).has_value());
  }
  std::filesystem::path at(std::string_view name) const { return directory_.path() / name; }

  RecipientKey key_ = RecipientKey::generate("person", kDay);
  testing::ScratchDirectory directory_;
};

TEST_F(AgeProgram, OpensWhatWeSealed) {
  const auto other = RecipientKey::generate("deputy", kDay);
  const std::vector<Recipient> recipients{other.recipient(), key_.recipient()};
  for (const std::size_t bytes : kSizes) {
    const std::string plain = sample_bytes(bytes, bytes);
    ASSERT_TRUE(os::write_file_atomically(at("x.age"), sealed(plain, recipients, 5'000)).has_value());
    const auto done = run_program({"age", "-d", "-i", at("key"), "-o", at("x"), at("x.age")});
    ASSERT_EQ(done.exit_code, 0) << done.errors;
    // age makes no file for nothing.
    EXPECT_TRUE(os::read_file(at("x")).value_or("") == plain) << bytes;
  }
}

TEST_F(AgeProgram, SealsWhatWeOpen) {
  const auto other = RecipientKey::generate("deputy", kDay);
  for (const std::size_t bytes : kSizes) {
    const std::string plain = sample_bytes(bytes, bytes);
    ASSERT_TRUE(os::write_file_atomically(at("x"), plain).has_value());
    const auto done = run_program({"age", "-r", other.recipient().age(), "-r", key_.recipient().age(), "-o", at("x.age"), at("x")});
    ASSERT_EQ(done.exit_code, 0) << done.errors;
    EXPECT_TRUE(opened(os::read_file(at("x.age")).value_or(""), key_).value_or("?") == plain) << bytes;
  }
}

TEST(AgeHeader, RefusesWhatTheFormatForbids) {
  const std::string share(43, 'A'), body(43, 'A');
  const std::string good = "age-encryption.org/v1\n-> X25519 " + share + "\n" + body + "\n--- " + share + "\n";
  ASSERT_TRUE(read_age_header(good).has_value());
  EXPECT_EQ(read_age_header(good)->bytes, good.size());
  // Other kinds of recipients are left aside.
  const std::string grease = "-> x-grease ab c\n" + std::string(64, 'A') + "\n\n";
  std::string with_grease = good;
  with_grease.insert(22, grease);
  ASSERT_TRUE(read_age_header(with_grease).has_value());
  EXPECT_EQ(read_age_header(with_grease)->sealed.size(), 1U);
  const std::vector<std::pair<std::string, std::string>> changes{
      {"v1\n", "v2\n"}, {"-> X", "->  X"}, {"-> X", "=> X"}, {"X25519 ", "X25519  "}, {"A\n---", "A=\n---"}, {"--- ", "---"},
      {"A\n---", "B\n---"}, {"--- A", "--- AA"}, {" X25519 A", " X25519 A A"}, {"X25519 AA", "X25519 A"}};
  for (const auto& [what, into] : changes) {
    std::string text = good;
    text.replace(text.find(what), what.size(), into);
    EXPECT_FALSE(read_age_header(text).has_value()) << text;
  }
  for (std::size_t cut = 0; cut < good.size(); ++cut) EXPECT_FALSE(read_age_header(good.substr(0, cut)).has_value()) << cut;
  EXPECT_FALSE(read_age_header("age-encryption.org/v1\n--- " + share + "\n").has_value());
}

}  // namespace
}  // namespace verbund::backup
