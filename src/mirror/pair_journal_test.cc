#include "mirror/pair_journal.h"

#include <gtest/gtest.h>

#include <random>

#include "testing/scratch_directory.h"
#include "testing/sim_clock.h"

namespace verbund::mirror {
namespace {

PairRecord some_record() {
  PairRecord record;
  record.member = 2;
  record.stage = Stage::kPromoting;
  record.term = Term{1};
  record.seen = record.offered = Term{6};
  record.declined = Term{2};
  record.end = {Lsn{0x16B374D848}, 7, 9};
  record.peer_asks = true;
  record.boots = 12;
  record.report = LossReport{LossKind::kBounded, Term{1}, Lsn{100}, Lsn{300}, 200, 4, seconds{3}};
  return record;
}

class PairJournalTest : public ::testing::Test {
 protected:
  PairJournal open() {
    auto journal = PairJournal::open(path_, clock_);
    if (!journal) throw std::runtime_error(journal.error().message);
    return std::move(*journal);
  }
  std::string text() const { return *os::read_file(path_); }
  void put(std::string_view text) { ASSERT_TRUE(os::write_file_atomically(path_, text, 0600)); }

  verbund::testing::ScratchDirectory scratch_;
  std::filesystem::path path_ = scratch_.path() / "pair";
  verbund::testing::SimClock clock_;
};

TEST_F(PairJournalTest, AMachineWithoutOneIsInNoPair) { EXPECT_FALSE(open().last()); }

TEST_F(PairJournalTest, TheLastRecordIsReadAgainAsItWas) {
  {
    auto journal = open();
    PairRecord first;
    first.member = 2;
    first.stage = Stage::kFollowing;
    first.term = first.seen = Term{1};
    ASSERT_TRUE(journal.append(first, "joined"));
    ASSERT_TRUE(journal.append(some_record(), "promotion confirmed"));
  }
  const auto journal = open();
  ASSERT_TRUE(journal.last());
  EXPECT_EQ(journal.last()->record, some_record());
  EXPECT_EQ(journal.last()->why, "promotion confirmed");
  EXPECT_EQ(journal.last()->sequence, 2U);
}

TEST_F(PairJournalTest, WhatAWitnessKnowsIsReadAgain) {
  PairRecord bound = some_record();
  bound.candidate = 3;
  bound.given = true;
  bound.report->kind = LossKind::kWithin;
  ASSERT_TRUE(open().append(bound, "given"));
  EXPECT_EQ(open().last()->record, bound);
}

// A mirror that was killed after it had offered to take over took over with a report that counted from the clock's beginning: -29,855 s. No later start could read the record: both
// machines stood (test_mirror_kills found it).
TEST_F(PairJournalTest, AReportThatWasTakenBeforeItsTime) {
  auto record = some_record();
  record.report->span = -seconds{29'855};
  ASSERT_TRUE(open().append(record, "takes over"));
  EXPECT_EQ(open().last()->record, record);
}

TEST_F(PairJournalTest, ATornLastLineLeavesTheRecordBefore) {
  auto journal = open();
  ASSERT_TRUE(journal.append(some_record(), "whole"));
  const std::string whole = text();
  PairRecord next = some_record();
  next.stage = Stage::kServing;
  ASSERT_TRUE(journal.append(next, "torn"));
  const std::string both = text();
  for (std::size_t bytes = whole.size(); bytes < both.size(); ++bytes) {
    put(both.substr(0, bytes));
    EXPECT_EQ(open().last()->record, some_record()) << bytes;
    EXPECT_EQ(text(), whole);
  }
  put(both);
  EXPECT_EQ(open().last()->record, next);
}

TEST_F(PairJournalTest, DamageIsNeverGuessed) {
  auto journal = open();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(journal.append(some_record(), "step"));
  const std::string whole = text();
  for (const std::size_t at : {std::size_t{20}, whole.size() - 20}) {  // in the last line too
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    put(damaged);
    const auto opened = PairJournal::open(path_, clock_);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kBadJournal);
    EXPECT_EQ(text(), damaged);
  }
}

TEST_F(PairJournalTest, NoLineThatWasChangedIsTakenForAnother) {
  std::mt19937 random(7);
  const std::string line = to_line({4, "2026-11-22T03:30:18.862043Z", some_record(), "why"});
  ASSERT_TRUE(parse_pair_line(line));
  for (int i = 0; i < 20'000; ++i) {
    std::string other = line;
    for (std::uint32_t n = 0; n <= random() % 3; ++n) other[random() % other.size()] = static_cast<char>(random() % 256);
    EXPECT_EQ(parse_pair_line(other).has_value(), other == line) << other;
  }
}

TEST_F(PairJournalTest, AWhyIsOneLineHoweverItWasWritten) {
  auto journal = open();
  ASSERT_TRUE(journal.append(some_record(), "two\nlines" + std::string(1000, 'x')));
  EXPECT_EQ(open().last()->record, some_record());
}

TEST_F(PairJournalTest, TellsItsAgeByTheWallClock) {
  auto journal = open();
  ASSERT_TRUE(journal.append(some_record(), "step"));
  clock_.advance(seconds{90});
  EXPECT_EQ(open().age(), seconds{90});
}

}  // namespace
}  // namespace verbund::mirror
