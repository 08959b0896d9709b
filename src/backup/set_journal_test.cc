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

TEST(SetJournal, AMediumThatIsAwayIsAnErrorUnlessItMayBe) {
  testing::ScratchDirectory scratch;
  SetJournal journal(scratch.path(), scratch.path() / "nowhere");
  EXPECT_FALSE(journal.append(event(What::kPublished, "a", 1, 0)));
  EXPECT_TRUE(journal.append(event(What::kFailed, "", 1, 0), true));
}

}  // namespace
}  // namespace verbund::backup
