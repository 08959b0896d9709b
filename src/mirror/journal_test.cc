#include <gmock/gmock.h>

#include <fstream>

#include "mirror/crc.h"
#include "mirror/epoch.h"
#include "mirror/journal.h"
#include "testing/scratch_directory.h"
#include "testing/sim_clock.h"

namespace verbund::mirror {
namespace {

using ::testing::HasSubstr;

class JournalTest : public ::testing::Test {
 protected:
  Journal open() {
    auto journal = Journal::open(path_, clock_);
    if (!journal) throw std::runtime_error(journal.error().message);
    return std::move(*journal);
  }
  std::string text() const { return os::read_file(path_).value_or(""); }
  void write(std::string_view text) { std::ofstream(path_, std::ios::binary) << text; }

  verbund::testing::SimClock clock_;
  verbund::testing::ScratchDirectory directory_;
  std::filesystem::path path_ = directory_.path() / "journal";
};

TEST_F(JournalTest, RemembersTheStepThatIsUnderWay) {
  {
    auto journal = open();
    EXPECT_FALSE(journal.last());
    ASSERT_TRUE(journal.append(Step::kInitialise, Phase::kBegin));
    ASSERT_TRUE(journal.append(Step::kInitialise, Phase::kDone, "a detail\nof two lines"));
    EXPECT_FALSE(journal.open_step());
    ASSERT_TRUE(journal.append(Step::kStart, Phase::kBegin));
  }
  auto journal = open();
  EXPECT_EQ(journal.open_step(), Step::kStart);
  EXPECT_EQ(journal.last()->sequence, 3U);
  EXPECT_EQ(journal.last()->time, to_iso8601(verbund::testing::SimClock::kWallStart));
  ASSERT_TRUE(journal.append(Step::kStart, Phase::kFailed));
  EXPECT_EQ(parse_journal(text())->entries.size(), 4U);
  EXPECT_EQ(parse_journal(text())->entries[1].detail, "a detail of two lines");
}

TEST_F(JournalTest, ToleratesALastLineTornAnywhere) {
  {
    auto journal = open();
    ASSERT_TRUE(journal.append(Step::kStart, Phase::kBegin, "one"));
    ASSERT_TRUE(journal.append(Step::kStart, Phase::kDone, "two"));
  }
  const std::string whole = text();
  const std::size_t first = whole.find('\n') + 1;
  for (std::size_t bytes = first; bytes < whole.size(); ++bytes) {
    write(whole.substr(0, bytes));
    auto journal = open();
    EXPECT_EQ(journal.open_step(), Step::kStart);
    ASSERT_TRUE(journal.append(Step::kStart, Phase::kFailed));
    EXPECT_EQ(parse_journal(text())->entries.size(), 2U);
  }
  std::string damaged = whole;
  damaged[first + 3] = '\0';  // blocks that never reached the disk are zeros
  write(damaged);
  EXPECT_EQ(open().last()->sequence, 1U);
}

TEST_F(JournalTest, RefusesDamageBeforeTheLastLine) {
  {
    auto journal = open();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(journal.append(Step::kStart, Phase::kBegin));
  }
  const std::string whole = text();
  for (std::size_t at = 0; at < whole.size() / 3; ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    write(damaged);
    const auto journal = Journal::open(path_, clock_);
    ASSERT_FALSE(journal) << at;
    EXPECT_EQ(journal.error().code, ErrorCode::kBadJournal);
    EXPECT_THAT(journal.error().message, HasSubstr("line 1"));
  }
  write(whole.substr(0, whole.find('\n') + 1) + whole.substr(whole.find('\n', whole.find('\n') + 1) + 1) + "x\n");
  EXPECT_EQ(Journal::open(path_, clock_).error().code, ErrorCode::kBadJournal);  // a line is missing
}

TEST_F(JournalTest, RefusesALineThatItCouldNotWriteAgain) {
  for (const char c : {'\t', '\x1f', '\0'}) {
    const std::string line = with_crc(std::string("1 2026-11-22T03:00") + c + "00Z start begin x");
    EXPECT_EQ(parse_line(line).error().message, "agent's journal: a control character");
  }
}

TEST_F(JournalTest, LongJournalIsCutDownWhenOpened) {
  std::string long_text;
  for (std::uint64_t i = 1; i <= 12'000; ++i) long_text += to_line({i, "2026-11-22T03:00:00Z", Step::kStart, Phase::kBegin, {}}) + '\n';
  write(long_text);
  auto journal = open();
  ASSERT_TRUE(journal.append(Step::kStart, Phase::kDone));
  const auto kept = parse_journal(text());
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->entries.size(), 2'001U);
  EXPECT_EQ(kept->entries.back().sequence, 12'001U);
}

TEST_F(JournalTest, EpochGrowsAndIsNeverGuessed) {
  const auto file = directory_.path() / "epoch";
  EXPECT_EQ(read_epoch(file).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(*next_epoch(file), (LockEpoch{Term{1}, 1}));
  EXPECT_EQ(*next_epoch(file), (LockEpoch{Term{1}, 2}));
  EXPECT_EQ(*read_epoch(file), (LockEpoch{Term{1}, 2}));
  const std::string good = *os::read_file(file);
  for (std::size_t at = 0; at + 1 < good.size(); ++at) {
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    ASSERT_TRUE(os::write_file_atomically(file, damaged));
    EXPECT_EQ(next_epoch(file).error().code, ErrorCode::kBadJournal) << at;
  }
}

TEST_F(JournalTest, EpochGoesOnInTheNextTermWhenStartsAreUsedUp) {
  const auto file = directory_.path() / "epoch";
  ASSERT_TRUE(os::write_file_atomically(file, with_crc("1 65533") + '\n'));
  LockEpoch last = *read_epoch(file);
  for (int i = 0; i < 5; ++i) {
    const auto epoch = next_epoch(file);
    ASSERT_TRUE(epoch);
    EXPECT_GT(FencingToken::of(*epoch, 0), FencingToken::of(last, 0xffffffff));
    last = *epoch;
  }
  EXPECT_EQ(last.term.value, 2U);
}

TEST_F(JournalTest, ARestoreBeginsATermAboveAllThatWere) {
  const auto file = directory_.path() / "epoch";
  ASSERT_TRUE(next_epoch(file));
  EXPECT_EQ(*begin_term(file, Term{1}), Term{2});
  EXPECT_EQ(*begin_term(file, Term{40}), Term{41}) << "the set's term was higher";
  EXPECT_EQ(*begin_term(file, Term{3}), Term{42}) << "this machine's was";
  EXPECT_EQ(*next_epoch(file), (LockEpoch{Term{42}, 1}));
  EXPECT_EQ(*begin_term(file, Term{3}, 0, 1), Term{45}) << "in a pair only terms of this member";
  EXPECT_EQ(begin_exactly(file, Term{44}).error().code, ErrorCode::kInternal);
  ASSERT_TRUE(begin_exactly(file, Term{45}));
  ASSERT_TRUE(begin_exactly(file, Term{49}));
  EXPECT_EQ(*next_epoch(file), (LockEpoch{Term{49}, 1}));
  EXPECT_EQ(begin_term(file, Term{0xffff}).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace verbund::mirror
