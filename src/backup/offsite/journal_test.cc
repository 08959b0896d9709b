#include "backup/offsite/journal.h"

#include <gtest/gtest.h>

#include <fstream>

#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

using What = OffSiteEvent::What;

class OffSiteJournalTest : public ::testing::Test {
 protected:
  static OffSiteEvent event(What what, const std::string& set, int minute = 0) {
    OffSiteEvent event;
    event.at = *from_iso8601("2026-11-22T01:30:00.000000Z") + std::chrono::minutes(minute);
    event.what = what;
    event.set = set;
    event.sequence = 7;
    return event;
  }
  static OffSiteEvent begun(const std::string& set, const std::string& place, const std::string& sums) {
    auto begun = event(What::kBegun, set);
    begun.place = place;
    begun.sums = sums;
    begun.original = "original";
    return begun;
  }
  static OffSiteEvent sent(const std::string& set, const std::string& file) {
    auto sent = event(What::kSent, set);
    sent.file = file;
    sent.hash = "hash of " + file;
    return sent;
  }
  verbund::testing::ScratchDirectory directory_;
};

TEST_F(OffSiteJournalTest, ReadsWhatItWroteAndPassesOverWhatItDoesNotKnow) {
  const OffSiteJournal journal(directory_.path(), "bank");
  EXPECT_TRUE(journal.read()->empty());
  auto whole = begun("a", "a.2", "sums");
  whole.file = "f";
  whole.hash = "h";
  whole.detail = "said";
  ASSERT_TRUE(journal.append(whole));
  std::ofstream(directory_.path() / "backup/offsite/bank.jsonl", std::ios::app) << "{\"what\":\"of later\"}\nno line\n";
  ASSERT_TRUE(journal.append(event(What::kCopied, "a")));
  const auto events = journal.read();
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 2U);
  EXPECT_EQ(line_of(events->front()), line_of(whole));
}

// A signature that was damaged there stayed so: of the copy only its sums counted as gone, and the rest was never sent again.
TEST_F(OffSiteJournalTest, WithoutASoundHeadNothingOfTheCopyCounts) {
  std::vector<OffSiteEvent> events{begun("a", "a", "sums"), sent("a", "one"), sent("a", "SHA256SUMS.minisig"), event(What::kCopied, "a")};
  events.push_back(event(What::kDamaged, "a"));
  const auto copy = copies_of(events).at("a");
  EXPECT_TRUE(copy.sent.empty());
  EXPECT_TRUE(copy.damaged);
}

TEST_F(OffSiteJournalTest, WhatWasSentOfOtherContentsDoesNotCount) {
  std::vector<OffSiteEvent> events{begun("a", "a", "sums"), sent("a", "one"), begun("a", "a", "sums"), sent("a", "two")};
  EXPECT_EQ(copies_of(events).at("a").sent.size(), 2U) << "taken up again";
  events.push_back(begun("a", "a", "other sums"));
  EXPECT_TRUE(copies_of(events).at("a").sent.empty());
  events.push_back(sent("a", "one"));
  events.push_back(begun("a", "a.2", "other sums"));
  EXPECT_TRUE(copies_of(events).at("a").sent.empty());
  EXPECT_EQ(copies_of(events).at("a").place, "a.2");
}

TEST_F(OffSiteJournalTest, DamageTakesTheProofAndTheFileAway) {
  std::vector<OffSiteEvent> events{begun("a", "a", "sums"), sent("a", "one"), sent("a", "two"), event(What::kCopied, "a"), event(What::kVerified, "a", 1)};
  EXPECT_EQ(summary_of(events).verified, 1);
  auto damaged = event(What::kDamaged, "a", 2);
  damaged.file = "one";
  events.push_back(damaged);
  const auto copy = copies_of(events).at("a");
  EXPECT_FALSE(copy.verified || copy.copied);
  EXPECT_EQ(copy.sent.count("one") + 2 * copy.sent.count("two"), 2U);
  EXPECT_EQ(summary_of(events).verified, 0);
  EXPECT_EQ(summary_of(events).damaged, std::vector<std::string>{"a"});
  events.push_back(event(What::kVerified, "a", 3));
  EXPECT_EQ(summary_of(events).verified, 1);
  EXPECT_TRUE(summary_of(events).damaged.empty());
}

TEST_F(OffSiteJournalTest, TheNewestSetIsThatOfTheHighestNumberWhateverTheClockSays) {
  auto newer = event(What::kVerified, "b", -60);
  newer.sequence = 8;
  const std::vector<OffSiteEvent> events{newer, event(What::kVerified, "a")};
  EXPECT_EQ(summary_of(events).newest, "b");
  EXPECT_EQ(summary_of(events).newest_verified, newer.at);
}

TEST_F(OffSiteJournalTest, TheLastProbeCounts) {
  auto first = event(What::kProbed, "");
  first.detail = "overwrite delete";
  auto second = event(What::kProbed, "");
  second.detail = "protected";
  EXPECT_TRUE(summary_of({first}).may_overwrite && summary_of({first}).may_delete);
  EXPECT_FALSE(summary_of({first, second}).may_overwrite || summary_of({first, second}).may_delete);
  EXPECT_FALSE(summary_of({}).probed);
}

}  // namespace
}  // namespace verbund::backup
