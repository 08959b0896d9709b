#include "backup/set_journal.h"

#include <gmock/gmock.h>

#include <fstream>

#include "platform/os/file.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

using What = SetEvent::What;

SetEvent event(What what, const std::string& set, std::uint64_t sequence, int second, Level level = Level::kNone) {
  SetEvent made;
  made.at = WallTime{std::chrono::days{20'000} + seconds{second}};
  made.what = what;
  made.installation = "0011";
  made.set = set;
  made.sequence = sequence;
  made.level = level;
  return made;
}

TEST(SetJournal, ALineReadsAsItWasWritten) {
  auto made = event(What::kPublished, "20261122-013000-000123", 123, 5);
  made.complete = true;
  made.sums_hash = "abc";
  made.detail = "Müller \"x\"\n";
  made.term = 7;
  const auto read = event_of(line_of(made));
  ASSERT_TRUE(read);
  EXPECT_EQ(line_of(*read), line_of(made));
  EXPECT_FALSE(event_of("{"));
  EXPECT_FALSE(event_of(R"({"what":"dreamt"})"));
}

TEST(SetJournal, ADamagedSetHasNoLevelUntilItIsProvenAnew) {
  std::vector<SetEvent> events = {event(What::kPublished, "a", 1, 0), event(What::kVerified, "a", 1, 1, Level::kRestored),
                                  event(What::kVerified, "a", 1, 2, Level::kHashes)};
  EXPECT_EQ(proofs_of(events, "0011").at("a").level, Level::kRestored) << "a lesser proof takes nothing away";
  events.push_back(event(What::kDamaged, "a", 1, 3));
  EXPECT_TRUE(proofs_of(events, "0011").at("a").damaged);
  EXPECT_EQ(proofs_of(events, "0011").at("a").level, Level::kNone);
  events.push_back(event(What::kVerified, "a", 1, 4, Level::kReadable));
  EXPECT_EQ(proofs_of(events, "0011").at("a").level, Level::kReadable);
  EXPECT_FALSE(proofs_of(events, "0011").at("a").damaged);
}

TEST(SetJournal, TwoFilesAreOneListAndEachEntryCountsOnce) {
  testing::ScratchDirectory scratch;
  const auto target = scratch.path() / "target";
  std::filesystem::create_directory(target);
  SetJournal journal(scratch.path(), target);
  ASSERT_TRUE(journal.append(event(What::kPublished, "a", 1, 0)));
  SetJournal(scratch.path(), {}).append(event(What::kBegun, "b", 2, 1)).value();
  EXPECT_EQ(journal.read().value().size(), 2U);
  EXPECT_EQ(remembered_sequence(journal.own().value()), 2U) << "a run that failed has had its number";
  // The installation is new, the medium is not.
  testing::ScratchDirectory fresh;
  EXPECT_EQ(SetJournal(fresh.path(), target).read().value().size(), 1U);
}

TEST(SetJournal, WhatWasChangedOrSignedByAStrangerProvesNothing) {
  testing::ScratchDirectory scratch;
  const auto target = scratch.path() / "target";
  std::filesystem::create_directory(target);
  SetJournal journal(scratch.path(), target);
  ASSERT_TRUE(journal.append(event(What::kVerified, "a", 1, 0, Level::kHashes)));
  const auto file = scratch.path() / "backup" / "journal.jsonl";
  auto text = os::read_file(file).value();
  text.replace(text.find("\"L1\""), 4, "\"L4\"");
  ASSERT_TRUE(os::write_file_atomically(file, text));
  EXPECT_TRUE(journal.own().value().empty());
  EXPECT_EQ(proofs_of(journal.read().value(), "0011").at("a").level, Level::kHashes) << "the medium's still counts";
  ASSERT_TRUE(journal.append(event(What::kVerified, "a", 1, 1, Level::kReadable)));
  const auto mended = journal.own().value();
  ASSERT_EQ(mended.size(), 2U);
  EXPECT_EQ(mended[0].what, What::kMended);
  EXPECT_TRUE(std::filesystem::exists(file.native() + ".damaged-1"));
  // Somebody without our key writes on behind ours.
  testing::ScratchDirectory stranger;
  ASSERT_TRUE(SetJournal(stranger.path(), target).append(event(What::kVerified, "a", 1, 2, Level::kRestored)));
  EXPECT_EQ(proofs_of(journal.read().value(), "0011").at("a").level, Level::kReadable);
}

TEST(SetJournal, AMediumThatIsAwayIsAnErrorUnlessItMayBe) {
  testing::ScratchDirectory scratch;
  SetJournal journal(scratch.path(), scratch.path() / "nowhere");
  EXPECT_FALSE(journal.append(event(What::kPublished, "a", 1, 0)));
  EXPECT_TRUE(journal.append(event(What::kFailed, "", 1, 0), true));
}

}  // namespace
}  // namespace verbund::backup
