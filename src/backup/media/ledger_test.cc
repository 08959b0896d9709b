#include "backup/media/ledger.h"

#include <gmock/gmock.h>

#include <sys/wait.h>
#include <unistd.h>

#include "backup/office.h"
#include "platform/os/file.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using What = Exchange::What;

LocalTime at(int day) { return LocalTime{std::chrono::days{20'000 + day}}; }

/// An installation with a ledger; `copy` is the same one as of now (a machine brought back to an earlier day).
class Office {
 public:
  explicit Office(const fs::path& directory) : directory_(directory), key_(signing_key(directory).value()) { installation_id(directory).value(); }
  Office copy(const fs::path& to) const {
    fs::create_directories(to);
    fs::copy(directory_, to, fs::copy_options::recursive);
    return Office(to);
  }
  Result<Ledger> open() const { return Ledger::open(directory_, {key_.public_key()}); }
  Result<Ledger> rebuild(const std::vector<fs::path>& from) const { return Ledger::rebuild(directory_, {key_.public_key()}, from); }
  Status add(const std::string& label, int day = 0) const {
    auto ledger = open();
    if (!ledger) return pass(ledger);
    return ledger->enter(medium(label), at(day), key_);
  }
  static fact::MediumAdded medium(const std::string& label) { return {.id = std::string(32, label.front()), .label = label}; }
  Exchange exchange(const fs::path& medium) const { return open().value().exchange_with(medium, key_).value(); }
  fs::path file(const char* name = "ledger.jsonl") const { return directory_ / "backup" / name; }
  std::string text() const { return os::read_file(file()).value(); }
  void put(std::string_view text) const { ASSERT_TRUE(os::write_file_atomically(file(), text, 0600)); }
  const SigningKey& key() const { return key_; }
  const fs::path& directory() const { return directory_; }

 private:
  fs::path directory_;
  SigningKey key_;
};

class LedgerTest : public ::testing::Test {
 protected:
  LedgerTest() : office_(scratch_.path() / "office"), medium_(scratch_.path() / "medium") {
    fs::create_directory(medium_);
  }
  std::vector<std::string> lines_of(const std::string& text) const {
    std::vector<std::string> lines;
    for (std::size_t from = 0; from < text.size();) {
      const auto end = text.find('\n', from);
      lines.push_back(text.substr(from, end - from + 1));
      from = end + 1;
    }
    return lines;
  }
  fs::path on_medium() const { return medium_ / office_.open().value().name_on_media(); }
  testing::ScratchDirectory scratch_;
  Office office_;
  fs::path medium_;
};

TEST_F(LedgerTest, KeepsWhatWasEntered) {
  EXPECT_TRUE(office_.open().value().entries().empty());
  ASSERT_TRUE(office_.add("Monday"));
  ASSERT_TRUE(office_.add("Tuesday", 1));
  const auto ledger = office_.open().value();
  ASSERT_EQ(ledger.entries().size(), 2U);
  EXPECT_EQ(ledger.book().media().size(), 2U);
  EXPECT_EQ(ledger.entries()[1].at, at(1));
  EXPECT_FALSE(ledger.mended());
}

TEST_F(LedgerTest, WhatTheBookRefusesIsNotEntered) {
  ASSERT_TRUE(office_.add("Monday"));
  const auto before = office_.text();
  auto again = office_.add("Monday");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kUsage);
  EXPECT_EQ(office_.text(), before);
}

TEST_F(LedgerTest, EveryChangedByteIsNoticed) {
  ASSERT_TRUE(office_.add("Monday"));
  ASSERT_TRUE(office_.add("Tuesday"));
  const auto whole = office_.text();
  for (std::size_t i = 0; i < whole.size(); i += 3) {
    auto changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    office_.put(changed);
    auto opened = office_.open();
    ASSERT_FALSE(opened) << "byte " << i;
    EXPECT_THAT(opened.error().code, ::testing::AnyOf(ErrorCode::kDamaged, ErrorCode::kForbidden));
  }
}

TEST_F(LedgerTest, EveryRemovedOrMovedLineIsNoticedTheLastOnesToo) {
  for (const char* label : {"A", "B", "C", "D"}) ASSERT_TRUE(office_.add(label));
  const auto lines = lines_of(office_.text());
  for (std::size_t gone = 0; gone < lines.size(); ++gone) {
    std::string removed, cut, swapped;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (i != gone) removed += lines[i];
      if (i < gone) cut += lines[i];
      swapped += lines[i == gone ? (gone + 1) % lines.size() : i == (gone + 1) % lines.size() ? gone : i];
    }
    for (const auto& text : {removed, cut, swapped}) {
      office_.put(text);
      auto opened = office_.open();
      ASSERT_FALSE(opened) << "line " << gone;
      EXPECT_EQ(opened.error().code, ErrorCode::kDamaged);
      EXPECT_THAT(opened.error().hint, HasSubstr("media rebuild"));
    }
  }
  fs::remove(office_.file());
  EXPECT_FALSE(office_.open()) << "the whole file";
}

TEST_F(LedgerTest, ALineThatACrashCutOffIsCutAwayAndTold) {
  ASSERT_TRUE(office_.add("Monday"));
  const auto one = office_.text();
  const auto head = os::read_file(office_.file("ledger.head")).value();
  ASSERT_TRUE(office_.add("Tuesday"));
  const auto two = office_.text();
  for (std::size_t end = one.size() + 1; end < two.size(); end += 7) {
    office_.put(two.substr(0, end));
    ASSERT_TRUE(os::write_file_atomically(office_.file("ledger.head"), head, 0600));  // it is written behind the line
    const auto opened = office_.open();
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_TRUE(opened->mended());
    EXPECT_EQ(office_.text(), one);
  }
  ASSERT_TRUE(office_.add("Tuesday"));
  EXPECT_EQ(office_.open().value().entries().size(), 2U);
}

TEST_F(LedgerTest, KilledBetweenLineAndHeadItIsWhole) {
  ASSERT_TRUE(office_.add("Monday"));
  const auto head = os::read_file(office_.file("ledger.head")).value();
  ASSERT_TRUE(office_.add("Tuesday"));
  ASSERT_TRUE(os::write_file_atomically(office_.file("ledger.head"), head, 0600));
  EXPECT_EQ(office_.open().value().entries().size(), 2U);
  fs::remove(office_.file("ledger.head"));
  EXPECT_EQ(office_.open().value().entries().size(), 2U);
  EXPECT_TRUE(fs::exists(office_.file("ledger.head")));
}

TEST_F(LedgerTest, TwoProcessesEnterOneAfterTheOther) {
  constexpr int kEach = 20;
  std::vector<pid_t> children;
  for (const char who : {'a', 'b'}) {
    const pid_t child = ::fork();
    if (child == 0) {
      int failed = 0;
      auto ledger = office_.open();
      for (int i = 0; ledger && i < kEach; ++i) {
        const fact::MailAcknowledged fact{fmt::format("{}{}", who, i), "somebody"};
        failed += ledger->enter(fact, at(i), office_.key()) ? 0 : 1;
      }
      ::_exit(ledger && failed == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const auto child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(office_.open().value().entries().size(), 2U * kEach);
}

TEST_F(LedgerTest, AMediumGetsItAndGivesItBackToARestoredInstallation) {
  ASSERT_TRUE(office_.add("Monday"));
  EXPECT_EQ(office_.exchange(medium_).what, What::kGiven);
  EXPECT_EQ(office_.exchange(medium_).what, What::kSame);
  EXPECT_EQ(os::read_file(on_medium()).value(), office_.text());
  const Office earlier = office_.copy(scratch_.path() / "earlier");
  ASSERT_TRUE(office_.add("Tuesday"));
  EXPECT_EQ(office_.exchange(medium_).what, What::kGiven);
  const auto taken = earlier.exchange(medium_);
  EXPECT_EQ(taken.what, What::kTaken);
  EXPECT_EQ(taken.taken, 1U);
  EXPECT_EQ(earlier.text(), office_.text());
  ASSERT_TRUE(earlier.add("Wednesday"));
}

TEST_F(LedgerTest, AForkIsNoticedBothAreKeptAndOursKnowsBoth) {
  ASSERT_TRUE(office_.add("Monday"));
  const Office other = office_.copy(scratch_.path() / "other");
  ASSERT_TRUE(office_.add("Tuesday"));
  ASSERT_TRUE(other.add("Wednesday"));
  office_.exchange(medium_);
  const auto theirs = office_.text();
  const auto forked = other.exchange(medium_);
  EXPECT_EQ(forked.what, What::kForked);
  EXPECT_EQ(forked.taken, 1U);
  EXPECT_THAT(forked.said.english(), HasSubstr("from entry 2 on"));
  const auto ledger = other.open().value();
  EXPECT_NE(ledger.book().by_label("Tuesday"), nullptr);
  EXPECT_NE(ledger.book().by_label("Wednesday"), nullptr);
  int kept = 0;
  for (const auto& place : {medium_, other.directory() / "backup"}) {
    for (const auto& entry : fs::directory_iterator(place)) kept += entry.path().filename().native().find("fork-") != std::string::npos && os::read_file(entry.path()).value() == theirs;
  }
  EXPECT_EQ(kept, 2);
  EXPECT_EQ(other.exchange(medium_).what, What::kSame);
  // The other life comes back with the same facts: nothing is entered twice.
  EXPECT_EQ(office_.exchange(medium_).what, What::kForked);
  EXPECT_EQ(office_.open().value().entries().size(), 3U);
  EXPECT_EQ(other.exchange(medium_).taken, 0U);
}

TEST_F(LedgerTest, ADamagedOneOnAMediumIsKeptThereAndWrittenAnew) {
  ASSERT_TRUE(office_.add("Monday"));
  office_.exchange(medium_);
  auto text = office_.text();
  text[20] = '#';
  ASSERT_TRUE(os::write_file_atomically(on_medium(), text));
  const auto done = office_.exchange(medium_);
  EXPECT_EQ(done.what, What::kDamaged);
  EXPECT_EQ(os::read_file(on_medium()).value(), office_.text());
  EXPECT_TRUE(fs::exists(on_medium().native() + ".damaged-1"));
}

TEST_F(LedgerTest, IsRebuiltFromMediaWhenLostOrDamaged) {
  for (const char* label : {"A", "B", "C"}) ASSERT_TRUE(office_.add(label));
  office_.exchange(medium_);
  const auto whole = office_.text();
  fs::remove(office_.file());
  ASSERT_FALSE(office_.open());
  EXPECT_EQ(office_.rebuild({medium_}).value().entries().size(), 3U);
  EXPECT_EQ(office_.text(), whole);
  office_.put("rubbish\n");
  const auto rebuilt = office_.rebuild({scratch_.path() / "nowhere", medium_}).value();
  EXPECT_TRUE(rebuilt.mended());
  EXPECT_EQ(office_.text(), whole);
  EXPECT_TRUE(fs::exists(office_.file("ledger.jsonl.damaged-1")));
  // Without media: as much as is whole.
  office_.put(lines_of(whole)[0] + "rubbish\n");
  EXPECT_EQ(office_.rebuild({}).value().entries().size(), 1U);
  EXPECT_EQ(office_.exchange(medium_).what, What::kTaken);
  EXPECT_EQ(office_.text(), whole);
}

TEST_F(LedgerTest, AnotherInstallationsLedgerIsAnotherFile) {
  const Office other(scratch_.path() / "other");
  ASSERT_TRUE(office_.add("Monday"));
  ASSERT_TRUE(other.add("Tuesday"));
  EXPECT_EQ(office_.exchange(medium_).what, What::kGiven);
  EXPECT_EQ(other.exchange(medium_).what, What::kGiven);
  EXPECT_EQ(office_.exchange(medium_).what, What::kSame);
}

// ------------------------------------------------------------- the two machines of a pair

class PairLedgerTest : public LedgerTest {
 protected:
  PairLedgerTest() : other_((office_.add("Monday"), office_.copy(scratch_.path() / "other"))) {}
  static std::vector<std::string> all(const Office& office) { return office.open().value().lines_behind(0, SIZE_MAX); }
  Office other_;
};

TEST_F(PairLedgerTest, WhatOneHasEnteredTheOtherTakesOver) {
  ASSERT_TRUE(office_.add("Tuesday", 1));
  ASSERT_TRUE(office_.add("Wednesday", 2));
  const auto ours = office_.open().value();
  auto theirs = other_.open().value();
  ASSERT_TRUE(ours.has(theirs.place()));
  EXPECT_FALSE(theirs.has(ours.place()));
  ASSERT_EQ(ours.lines_behind(1, 10).size(), 1U) << "at least one";
  ASSERT_TRUE(theirs.extend(theirs.place(), ours.lines_behind(1, 10)));
  ASSERT_TRUE(theirs.extend(theirs.place(), ours.lines_behind(2, SIZE_MAX)));
  EXPECT_EQ(other_.text(), office_.text());
  EXPECT_EQ(theirs.place(), ours.place());
  EXPECT_EQ(other_.open().value().book().media().size(), 3U);
}

TEST_F(PairLedgerTest, AnEmptyOneIsTheBeginningOfEveryOther) {
  const auto copy = office_.copy(scratch_.path() / "fresh");
  fs::remove(copy.file());
  fs::remove(copy.file("ledger.head"));
  auto fresh = copy.open().value();
  EXPECT_TRUE(office_.open().value().has(fresh.place()));
  ASSERT_TRUE(fresh.extend(fresh.place(), all(office_)));
  EXPECT_EQ(copy.text(), office_.text());
}

TEST_F(PairLedgerTest, WhatHasGoneOnMeanwhileIsNotWrittenOver) {
  ASSERT_TRUE(office_.add("Tuesday", 1));
  auto theirs = other_.open().value();
  const auto place = theirs.place();
  ASSERT_TRUE(other_.add("Wednesday", 1));
  const auto before = other_.text();
  EXPECT_EQ(theirs.extend(place, office_.open().value().lines_behind(1, SIZE_MAX)).error().code, ErrorCode::kInUse);
  EXPECT_EQ(other_.text(), before);
}

TEST_F(PairLedgerTest, LinesThatNobodyOfOursHasSignedAreRefused) {
  const Office stranger(scratch_.path() / "stranger");
  ASSERT_TRUE(stranger.add("Friday"));
  auto theirs = other_.open().value();
  const auto before = other_.text();
  EXPECT_FALSE(theirs.extend(theirs.place(), all(stranger)));
  EXPECT_FALSE(theirs.go_on_from(all(stranger), other_.key()));
  EXPECT_FALSE(theirs.extend(theirs.place(), {"{}"}));
  EXPECT_EQ(other_.text(), before);
}

TEST_F(PairLedgerTest, WhenBothHaveGoneOnTheFirstOnesGoesOnWithBoth) {
  ASSERT_TRUE(office_.add("Tuesday", 1));
  ASSERT_TRUE(other_.add("Wednesday", 1));
  ASSERT_TRUE(other_.add("Friday", 2));
  const auto theirs = all(office_);
  auto here = other_.open().value();
  EXPECT_FALSE(office_.open().value().has(here.place()));
  EXPECT_FALSE(here.has(office_.open().value().place()));
  const auto old = other_.text();
  const auto done = here.go_on_from(theirs, other_.key()).value();
  EXPECT_EQ(done.what, What::kForked);
  EXPECT_EQ(done.taken, 2U);
  EXPECT_TRUE(other_.text().starts_with(office_.text()));
  EXPECT_EQ(other_.open().value().book().media().size(), 4U);
  std::size_t forks = 0;
  for (const auto& entry : fs::directory_iterator(other_.directory() / "backup")) {
    if (!entry.path().filename().string().starts_with("ledger.fork-")) continue;
    ++forks;
    EXPECT_EQ(os::read_file(entry.path()).value(), old);
  }
  EXPECT_EQ(forks, 1U);
  // Once more, by somebody who was killed after it: nothing is entered twice.
  EXPECT_EQ(here.go_on_from(all(other_), other_.key()).value().taken, 0U);
  auto first = office_.open().value();
  ASSERT_TRUE(first.extend(first.place(), here.lines_behind(first.place().lines, SIZE_MAX)));
  EXPECT_EQ(office_.text(), other_.text());
}

}  // namespace
}  // namespace verbund::backup
