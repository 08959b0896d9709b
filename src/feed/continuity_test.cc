// Which log is the one that was stored.
#include <gtest/gtest.h>

#include "feed/continuity.h"

namespace verbund::feed {
namespace {

LogTransaction at(std::uint64_t lsn, std::uint32_t xid = 7, int second = 1) { return {Lsn{lsn}, xid, WallTime{seconds{second}}}; }

TEST(Continuity, BelievesWhatIsNew) {
  Continuity log(Lsn{100}, Lsn{100}, at(90));
  EXPECT_TRUE(log.settled());
  EXPECT_TRUE(log.begins(at(100)));
  EXPECT_TRUE(log.changes());
  EXPECT_TRUE(Continuity().begins(at(1)));
  EXPECT_TRUE(Continuity().settled());
}

TEST(Continuity, KnowsTheLastTransactionAgain) {
  Continuity log(Lsn{100}, Lsn{50}, at(90));
  EXPECT_FALSE(log.settled());
  EXPECT_TRUE(log.begins(at(60)));
  EXPECT_TRUE(log.changes());
  EXPECT_TRUE(log.begins(at(90)));
  EXPECT_TRUE(log.changes());
  EXPECT_FALSE(log.settled());
  EXPECT_TRUE(log.sent(Lsn{100}));
  EXPECT_TRUE(log.settled());
}

TEST(Continuity, AnotherTransactionInItsPlaceIsAnotherLog) {
  for (const LogTransaction& other : {at(90, 8), at(90, 7, 2), at(91), at(120)}) {
    Continuity log(Lsn{100}, Lsn{50}, at(90));
    EXPECT_TRUE(log.begins(at(60)));
    EXPECT_FALSE(log.begins(other));
    EXPECT_FALSE(log.settled());
  }
}

TEST(Continuity, MissingItIsAnotherLog) {
  Continuity log(Lsn{100}, Lsn{50}, at(90));
  EXPECT_TRUE(log.begins(at(60)));
  EXPECT_TRUE(log.sent(Lsn{99}));
  EXPECT_FALSE(log.sent(Lsn{100}));
}

TEST(Continuity, AChangeThatWasNeverStoredIsAnotherLog) {
  Continuity confirmed(Lsn{100}, Lsn{91}, at(90));
  EXPECT_TRUE(confirmed.begins(at(95)));
  EXPECT_FALSE(confirmed.changes());
  Continuity fresh(Lsn{100}, Lsn{50}, std::nullopt);
  EXPECT_TRUE(fresh.begins(at(95)));
  EXPECT_FALSE(fresh.changes());
  Continuity seen(Lsn{100}, Lsn{50}, at(90));
  EXPECT_TRUE(seen.begins(at(90)));
  EXPECT_TRUE(seen.begins(at(95)));
  EXPECT_FALSE(seen.changes());
}

TEST(Continuity, TransactionsThatChangeNothingCapturedSayNothing) {
  Continuity log(Lsn{100}, Lsn{91}, at(90));
  EXPECT_TRUE(log.begins(at(95)));
  EXPECT_TRUE(log.begins(at(100)));
  EXPECT_TRUE(log.changes());
  EXPECT_TRUE(log.settled());
}

}  // namespace
}  // namespace verbund::feed
