#include "node/mirror/pair_message.h"
#include "node/mirror/term_proof.h"

#include <gtest/gtest.h>

#include "node/mirror/lost.h"

namespace verbund::node {
namespace {

PairMessage message() {
  PairMessage message;
  message.name = "praxis-müller";
  message.version = "1.0";
  message.port = 2222;
  message.database_port = 5432;
  message.timeline = 3;
  auto& status = message.status;
  status.member = 2;
  status.boots = 7;
  status.sequence = 1ULL << 60U;
  status.heard_boots = 4;
  status.heard_sequence = 12;
  status.stage = mirror::Stage::kHandedOver;
  status.term = status.seen = Term{5};
  status.offered = Term{6};
  status.declined = Term{2};
  status.asks = true;
  status.beat = {Lsn{0x3000060}, 745, 745};
  status.ready_for = {Lsn{0x2000000}, 1, 2};
  status.wish = mirror::Wish::kWithdraw;
  status.wish_term = Term{6};
  return message;
}

TEST(PairMessage, ComesBackAsItWasSent) {
  const auto sent = message();
  const auto text = to_text(sent);
  const auto read = parse_pair_message(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_text(*read), text);
  EXPECT_EQ(read->name, sent.name);
  EXPECT_EQ(read->status.sequence, sent.status.sequence);
  EXPECT_EQ(read->status.stage, sent.status.stage);
  EXPECT_EQ(read->status.beat, sent.status.beat);
  EXPECT_EQ(read->status.wish, sent.status.wish);
}

TEST(PairMessage, NamesTheFieldThatIsWrong) {
  const std::string text = to_text(message());
  for (const auto& [from, to, field] : {std::tuple{"\"member\":\"2\"", "\"member\":\"4\"", "member"}, {"\"term\":\"5\"", "\"term\":\"70000\"", "term"},
                                        {"\"stage\":\"handed_over\"", "\"stage\":\"king\"", "stage"}, {"\"port\":\"2222\"", "\"port\":\"65536\"", "port"},
                                        {"\"asks\":true", "\"asks\":1", "asks"}, {"\"wish\":\"withdraw\"", "\"wish\":7", "wish"}, {"\"beat\"", "\"beet\"", "beat"}}) {
    auto broken = text;
    const auto at = broken.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    broken.replace(at, std::string(from).size(), to);
    const auto read = parse_pair_message(broken);
    ASSERT_FALSE(read) << broken;
    EXPECT_EQ(read.error().code, ErrorCode::kBadMessage);
    EXPECT_NE(read.error().message.find(field), std::string::npos) << read.error().message;
  }
  for (const char* text_of_no_object : {"", "[]", "{", "null"}) EXPECT_FALSE(parse_pair_message(text_of_no_object));
}

// As PostgreSQL 15's pg_waldump says it.
constexpr std::string_view kLog =
    "rmgr: Heap        len (rec/tot):     54/    54, tx:        761, lsn: 0/03000148, prev 0/03000110, desc: INSERT off 3 flags 0x08, blkref #0: rel 1663/16390/16402 blk 0\n"
    "rmgr: Transaction len (rec/tot):     34/    34, tx:        761, lsn: 0/03000180, prev 0/03000148, desc: COMMIT 2026-11-22 19:02:11.123456 UTC\n"
    "rmgr: Standby     len (rec/tot):     50/    50, tx:          0, lsn: 0/030001A8, prev 0/03000180, desc: RUNNING_XACTS nextXid 762 latestCompletedXid 761 oldestRunningXid 762\n"
    "rmgr: Transaction len (rec/tot):     82/    82, tx:        762, lsn: 0/030001E0, prev 0/030001A8, desc: COMMIT 2026-11-22 19:02:12.5 UTC; inval msgs: relcache 16402\n"
    "rmgr: Transaction len (rec/tot):     34/    34, tx:        763, lsn: 0/03000238, prev 0/030001E0, desc: ABORT 2026-11-22 19:02:13 UTC\n";

TEST(Lost, CountsWhatWasCommittedAndWhatItTouched) {
  const auto lost = lost_in(kLog);
  ASSERT_EQ(lost.transactions.size(), 2U) << "an aborted one is none";
  EXPECT_EQ(lost.transactions[0].number, 761U);
  EXPECT_EQ(lost.transactions[0].committed, Lsn{0x3000180});
  EXPECT_EQ(lost.transactions[0].time, "2026-11-22 19:02:11.123456 UTC");
  EXPECT_EQ(lost.transactions[1].time, "2026-11-22 19:02:12.5 UTC");
  EXPECT_EQ(lost.relations, std::vector<std::string>{"16390/16402"});
  EXPECT_EQ(lost.end, Lsn{0x3000238});
  EXPECT_TRUE(lost_in("").transactions.empty());
  EXPECT_TRUE(lost_in("no such line\nrel \n").transactions.empty());
}

// Lines of PostgreSQL 15's pg_waldump: a savepoint's rows count with its transaction; what was rolled back, or not committed when the log ends, does not.
TEST(Lost, CountsCommittedRowsByTable) {
  const auto record = [](std::string_view manager, int transaction, std::string_view what) {
    return fmt::format("rmgr: {:<11} len (rec/tot):     61/    61, tx: {:>10}, lsn: 0/01525CD8, prev 0/015257A0, desc: {}\n", manager, transaction, what);
  };
  const std::string log =
      record("Heap", 725, "INSERT+INIT off 1 flags 0x08, blkref #0: rel 1663/5/16384 blk 0") +
      record("Heap", 725, "HOT_UPDATE off 1 xmax 727 flags 0x10 ; new off 10 xmax 0, blkref #0: rel 1663/5/16384 blk 0") +
      record("Btree", 725, "INSERT_LEAF off 2, blkref #0: rel 1663/5/16389 blk 1") + record("Heap", 726, "UPDATE off 5 xmax 729 flags 0x60 ; new off 7 xmax 0, blkref #0: rel 1663/5/16390 blk 0") +
      record("Heap2", 728, "MULTI_INSERT 3 tuples flags 0x0A, blkref #0: rel 1663/5/16384 blk 0") + record("Heap2", 728, "NEW_CID rel 1663/5/1259; tid 0/5; cmin: 4294967295, cmax: 0") +
      record("Heap", 730, "DELETE off 10 flags 0x04 KEYS_UPDATED , blkref #0: rel 1663/5/16384 blk 0") + record("Heap", 731, "INSERT off 2 flags 0x08, blkref #0: rel 1663/5/16384 blk 0") +
      record("Transaction", 730, "ABORT 2026-11-23 13:38:47.423205 UTC") +
      record("Transaction", 725, "COMMIT 2026-11-23 13:38:47.369901 UTC; subxacts: 726 728; inval msgs: relcache 16384");
  const auto lost = lost_in(log);
  EXPECT_EQ(lost.rows, (std::vector<LostRows>{{"1663/5/16384", 4, 1, 0}, {"1663/5/16390", 0, 1, 0}}));
  EXPECT_EQ(lost.transactions.size(), 1U);
}

TEST(Lost, FindsWhereTheHistoriesPart) {
  const std::string_view history = "1\t0/3000148\tno recovery target specified\n\n2\t0/5000060\tno recovery target specified\n";
  EXPECT_EQ(*fork_of(history, 1), Lsn{0x3000148});
  EXPECT_EQ(*fork_of(history, 2), Lsn{0x5000060});
  EXPECT_EQ(fork_of(history, 3).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(fork_of("1\tnonsense\n", 1));
}

TEST(TermProof, IsGoodForItsTermAndItsPairAlone) {
  const auto proof = prove_term(Term{6}, "a secret of the pair");
  EXPECT_EQ(proven_term(proof, "a secret of the pair"), Term{6});
  EXPECT_FALSE(proven_term(proof, "another pair's"));
  EXPECT_FALSE(proven_term(proof, ""));
  EXPECT_FALSE(proven_term("7" + proof.substr(1), "a secret of the pair")) << "the number is part of it";
  EXPECT_FALSE(proven_term(proof + "0", "a secret of the pair"));
  for (const char* none : {"", ".", "6", "6.", "0.ab", "-1.ab", "x.ab", "99999999999999999999.ab"}) EXPECT_FALSE(proven_term(none, "a secret of the pair")) << none;
}

}  // namespace
}  // namespace verbund::node
