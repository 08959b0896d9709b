#include "backup/drill/record.h"

#include <gtest/gtest.h>

#include <fstream>

#include "backup/office.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

DrillRecord sample() {
  DrillRecord record;
  record.installation = "c0ffee";
  record.set = "20261122-013000-000123";
  record.sequence = 123;
  record.day = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22};
  record.system = "pc-empfang";
  record.by = "Frau Müller";
  record.passed = true;
  record.checks = {{phrase("database {}", "praxis"), true, phrase("{} tables, {} rows, each as in the set", 3, 4)}};
  record.took = milliseconds{4711};
  return record;
}

Result<DrillRecord> typed(const std::string& code, const std::string& by = "Frau Müller", const std::string& system = "pc-empfang") {
  return read_drill_code(code, "c0ffee", by, system, kSecret);
}

TEST(DrillCode, IsWhatItSaysHoweverItIsTyped) {
  auto record = sample();
  const auto code = drill_code(record, kSecret);
  EXPECT_EQ(code.size(), 29U);
  std::string sloppy;
  for (const char c : code) sloppy += c == '-' ? ' ' : c == '0' ? 'o' : c == '1' ? 'l' : static_cast<char>(std::tolower(c));
  for (const auto& text : {code, sloppy}) {
    const auto read = typed(text, "frau  Müller ", "PC-Empfang");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->sequence, 123U);
    EXPECT_EQ(drill_day(read->day), "2026-11-22");
    EXPECT_TRUE(read->passed);
    EXPECT_FALSE(read->same_system);
  }
  record.passed = false;
  record.same_system = true;
  const auto failed = typed(drill_code(record, kSecret));
  ASSERT_TRUE(failed);
  EXPECT_TRUE(!failed->passed && failed->same_system);
}

TEST(DrillCode, OneWrongLetterPersonSystemOrOfficeIsFound) {
  const auto code = drill_code(sample(), kSecret);
  constexpr std::string_view kLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (code[i] == '-') continue;
    for (const char letter : kLetters) {
      if (letter == code[i]) continue;
      auto wrong = code;
      wrong[i] = letter;
      const auto read = typed(wrong);
      ASSERT_FALSE(read) << wrong;
      ASSERT_EQ(read.error().code, ErrorCode::kForbidden);
    }
  }
  EXPECT_FALSE(typed(code, "Frau Maier"));
  EXPECT_FALSE(typed(code, "Frau Müller", "pc-labor"));
  EXPECT_FALSE(read_drill_code(code, "other", "Frau Müller", "pc-empfang", kSecret));
  EXPECT_FALSE(read_drill_code(code, "c0ffee", "Frau Müller", "pc-empfang", std::string(64, 'a')));
  for (const char* none : {"", "ABCD", "U!?", "0000-0000-0000-0000-0000-0000-0"}) {
    const auto read = typed(none);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::kUsage) << none;
  }
}

TEST(DrillFile, IsBelievedOnlyAsItWasWritten) {
  const verbund::testing::ScratchDirectory directory;
  const auto first = write_drill(directory.path(), sample(), kSecret), second = write_drill(directory.path(), sample(), kSecret);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->filename(), "drill-2026-11-22.json");
  EXPECT_EQ(second->filename(), "drill-2026-11-22-2.json");
  const auto read = load_drill(*first, kSecret);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(drill_json(*read), drill_json(sample()));
  EXPECT_FALSE(load_drill(*first, std::string(64, 'a')));
  std::ofstream(*first, std::ios::app) << " ";
  const auto changed = load_drill(*first, kSecret);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, ErrorCode::kForbidden);
  std::filesystem::remove(second->string() + ".proof");
  EXPECT_FALSE(load_drill(*second, kSecret));
}

TEST(DrillSecret, IsMadeOnceAndOnlyInTheOffice) {
  const verbund::testing::ScratchDirectory directory;
  EXPECT_EQ(restored_drill_secret(directory.path()).error().code, ErrorCode::kNotFound);
  const auto made = drill_secret(directory.path());
  ASSERT_TRUE(made);
  EXPECT_EQ(made->size(), 64U);
  EXPECT_EQ(*drill_secret(directory.path()), *made);
  EXPECT_EQ(*restored_drill_secret(directory.path()), *made);
}

}  // namespace
}  // namespace verbund::backup
