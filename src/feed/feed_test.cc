// The decoder on bytes recorded from PostgreSQL 15 (pg_logical_slot_get_binary_changes), and on broken ones; the algebra of
// records; texts of the journal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "feed/event_text.h"
#include "feed/pgoutput.h"
#include "feed/rest.h"
#include "feed/record_set.h"
#include "feed/tables.h"

namespace verbund::feed {
namespace {

using namespace pgoutput;
using Kind = Value::Kind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string bytes(std::string_view hex) {
  std::string data;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) data.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return data;
}

template <typename T>
T decoded(const std::string& data) {
  auto message = decode(data);
  if (!message) throw std::runtime_error(message.error().message);
  return std::get<T>(*message);
}

const std::string kBegin = bytes("4200000000015471c8000303d4275cf217000002d5");
const std::string kCommit = bytes("430000000000015471c800000000015471f8000303d4275cf217");
const std::string kType = bytes("59000040017075626c6963006d6f6f6400");
const std::string kRelation = bytes("52000040057075626c69630070617469656e74006400040169640000000017ffffffff006e616d650000000019ffffffff006d0000004001ffffffff006c65747465720000000019ffffffff");
const std::string kUnchanged = bytes("55000040054e00047400000001317400000001426e75");
const std::string kKeyChange = bytes("55000040054b00047400000001316e6e6e4e00047400000001327400000001426e75");
const std::string kDelete = bytes("44000040054b00047400000001326e6e6e");
const std::string kFullUpdate = bytes("550000400c4f00027400000001317400000001784e0002740000000131740000000179");
const std::string kTruncate = bytes(
    "540000000203000040050000400c");
const std::string kMessage = bytes(
    "4d01000000000154906876657262756e642e6368616e67656400000000225b7b226b6579223a226c65747465722f39222c226f70223a22696e73657274227d5d");
const std::string kOrigin = bytes(
    "4f0000000000000123656c7365776865726500");
const std::string kInsert = bytes("49000040054e00047400000001357400000001437400000001616e");

TEST(Pgoutput, DecodesBeginAndCommit) {
  const auto begin = decoded<Begin>(kBegin);
  EXPECT_EQ(begin.final_lsn.value, 0x15471c8U);
  EXPECT_EQ(begin.xid, 0x2d5U);
  EXPECT_EQ(to_iso8601(begin.commit_time).substr(0, 10), "2026-11-22");
  const auto commit = decoded<Commit>(kCommit);
  EXPECT_EQ(commit.commit_lsn, begin.final_lsn);
  EXPECT_EQ(commit.end_lsn.value, 0x15471f8U);
  EXPECT_EQ(commit.commit_time, begin.commit_time);
}

TEST(Pgoutput, DecodesRelationAndType) {
  const auto type = decoded<Type>(kType);
  EXPECT_EQ(type.name, "mood");
  const auto relation = decoded<Relation>(kRelation);
  EXPECT_EQ(relation.schema, "public");
  EXPECT_EQ(relation.table, "patient");
  EXPECT_EQ(relation.replica_identity, 'd');
  ASSERT_EQ(relation.columns.size(), 4U);
  EXPECT_TRUE(relation.columns[0].identity);
  EXPECT_FALSE(relation.columns[1].identity);
  EXPECT_EQ(relation.columns[2].type, type.id);
  EXPECT_EQ(relation.columns[3].name, "letter");
  EXPECT_EQ(relation.columns[3].modifier, -1);
}

TEST(Pgoutput, TellsUnchangedFromNull) {
  const auto update = decoded<Update>(kUnchanged);
  EXPECT_EQ(update.old_kind, OldTuple::kNone);
  ASSERT_EQ(update.row.size(), 4U);
  EXPECT_EQ(update.row[1].text, "B");
  EXPECT_EQ(update.row[2].kind, Kind::kNull);
  EXPECT_EQ(update.row[3].kind, Kind::kUnchanged);
}

TEST(Pgoutput, DecodesOldKeysAndOldRows) {
  const auto moved = decoded<Update>(kKeyChange);
  EXPECT_EQ(moved.old_kind, OldTuple::kKey);
  EXPECT_EQ(moved.old.at(0).text, "1");
  EXPECT_EQ(moved.row.at(0).text, "2");
  const auto gone = decoded<Delete>(kDelete);
  EXPECT_EQ(gone.old_kind, OldTuple::kKey);
  EXPECT_EQ(gone.old.at(0).text, "2");
  const auto full = decoded<Update>(kFullUpdate);
  EXPECT_EQ(full.old_kind, OldTuple::kFull);
  EXPECT_EQ(full.old.at(1).text, "x");
  EXPECT_EQ(full.row.at(1).text, "y");
}

TEST(Pgoutput, DecodesTruncateMessageOriginAndInsert) {
  const auto truncate = decoded<Truncate>(kTruncate);
  EXPECT_TRUE(truncate.cascade);
  EXPECT_TRUE(truncate.restart_identity);
  EXPECT_EQ(truncate.relations.size(), 2U);
  const auto message = decoded<LogicalMessage>(kMessage);
  EXPECT_TRUE(message.transactional);
  EXPECT_EQ(message.prefix, "verbund.changed");
  EXPECT_EQ(message.content, R"([{"key":"letter/9","op":"insert"}])");
  EXPECT_EQ(decoded<Origin>(kOrigin).name, "elsewhere");
  EXPECT_EQ(decoded<Insert>(kInsert).row.at(2).text, "a");
}

TEST(Pgoutput, RefusesEveryTruncationAndExtensionOfRealMessages) {
  for (const auto* whole : {&kBegin, &kCommit, &kType, &kRelation, &kUnchanged, &kKeyChange, &kDelete, &kFullUpdate, &kTruncate,
                            &kMessage, &kOrigin, &kInsert}) {
    for (std::size_t length = 0; length < whole->size(); ++length) {
      const auto part = decode(std::string_view(*whole).substr(0, length));
      ASSERT_FALSE(part) << whole->at(0) << length;
      EXPECT_EQ(part.error().code, ErrorCode::kBadStream);
      EXPECT_THAT(part.error().message, HasSubstr("byte"));
    }
    EXPECT_FALSE(decode(*whole + "x"));
  }
}

TEST(Pgoutput, RefusesBinaryValuesUnknownKindsAndWildCounts) {
  std::string binary = kInsert;
  binary[binary.find('t')] = 'b';
  EXPECT_THAT(decode(binary).error().message, HasSubstr("binary"));
  EXPECT_FALSE(decode("Z1234"));
  EXPECT_FALSE(decode(bytes("49000040054e7fff")));
  EXPECT_FALSE(decode(bytes("49000040054effff")));
  EXPECT_FALSE(decode(bytes("49000040054e000174ffffffff")));
  EXPECT_FALSE(decode(bytes("547fffffff0000000001")));
}

std::vector<std::string> outcome(RecordSet& set) {
  TransactionEvent event;
  set.finish(event);
  std::vector<std::string> texts;
  for (const RecordEvent& record : event.records) {
    texts.push_back(fmt::format("{}{}{}", record.op == RecordEvent::Op::kInsert ? "I" : record.op == RecordEvent::Op::kDelete ? "D" : "U",
                                record.key.id, record.was ? "<" + record.was->id : ""));
  }
  for (const auto& [type, count] : event.bulk) texts.push_back(fmt::format("{}*{}", type, count));
  for (const auto& type : event.truncated) texts.push_back("T" + type);
  return texts;
}

class Algebra : public ::testing::Test {
 protected:
  static RecordKey key(const char* id) { return {"p", id}; }
  RecordSet set{100};
  const std::string table = "t";
};

TEST_F(Algebra, LaterChangesFoldIntoEarlierOnes) {
  set.inserted(key("1"), table);
  set.updated(key("1"), table);
  set.updated(key("2"), table);
  set.deleted(key("2"), table);
  set.inserted(key("3"), table);
  set.deleted(key("3"), table);
  set.touched(key("3"), table);
  set.deleted(key("4"), table);
  set.inserted(key("4"), table);
  EXPECT_THAT(outcome(set), ElementsAre("I1", "U4", "D2"));
  EXPECT_TRUE(set.empty());
}

TEST_F(Algebra, ChangedKeysChainAndKeepTheFirst) {
  set.renamed(key("1"), key("2"), table);
  set.touched(key("1"), "child");
  set.renamed(key("2"), key("3"), table);
  EXPECT_THAT(outcome(set), ElementsAre("U3<1"));
  set.renamed(key("1"), key("2"), table);
  set.deleted(key("2"), table);
  EXPECT_THAT(outcome(set), ElementsAre("D1"));
  set.inserted(key("1"), table);
  set.renamed(key("1"), key("2"), table);
  EXPECT_THAT(outcome(set), ElementsAre("I2"));
}

TEST_F(Algebra, SwappedAndTakenKeysAreUpdatesWithoutFormerKey) {
  set.renamed(key("1"), key("x"), table);
  set.renamed(key("2"), key("1"), table);
  set.renamed(key("x"), key("2"), table);
  EXPECT_THAT(outcome(set), ElementsAre("U2", "U1"));
  set.renamed(key("1"), key("2"), table);
  set.inserted(key("1"), table);
  EXPECT_THAT(outcome(set), ElementsAre("I2", "U1"));
  set.deleted(key("2"), table);
  set.renamed(key("1"), key("2"), table);
  EXPECT_THAT(outcome(set), ElementsAre("U2<1"));
}

TEST_F(Algebra, ChildrenThatCameBeforeTheirRootAreOfTheSameRecord) {
  set.touched(key("1"), "child");
  set.inserted(key("1"), table);
  EXPECT_THAT(outcome(set), ElementsAre("I1"));
  set.touched(key("2"), "child");
  set.renamed(key("1"), key("2"), table);
  EXPECT_THAT(outcome(set), ElementsAre("U2<1"));
  set.touched(key("1"), "child");
  set.inserted(key("1"), table);
  set.renamed(key("1"), key("3"), table);
  set.deleted(key("3"), table);
  EXPECT_THAT(outcome(set), ElementsAre());
}

TEST_F(Algebra, TruncationForgetsWhatCameBefore) {
  set.updated(key("1"), table);
  set.updated({"q", "1"}, table);
  set.truncated("p");
  set.inserted(key("2"), table);
  EXPECT_THAT(outcome(set), ElementsAre("U1", "I2", "Tp"));
}

TEST_F(Algebra, BeyondTheLimitOnlyCountsStay) {
  RecordSet small(2);
  small.inserted(key("1"), table);
  small.inserted(key("2"), table);
  EXPECT_FALSE(small.collapsed());
  small.inserted(key("3"), table);
  small.touched(key("9"), table);
  small.touched(key("9"), table);
  small.touched({"q", "1"}, table);
  EXPECT_THAT(outcome(small), ElementsAre("p*4", "q*1"));
  small.inserted(key("1"), table);
  EXPECT_THAT(outcome(small), ElementsAre("I1"));
}

TEST(Keys, CompositePartsAreEscaped) {
  const std::string_view single[] = {"a,b"};
  const std::string_view both[] = {"a,b", "c\\d"};
  EXPECT_EQ(join_key(single), "a,b");
  EXPECT_EQ(join_key(both), "a\\,b,c\\\\d");
}

TEST(Rest, GrowsWithTheRateAndStaysWithinItsBound) {
  constexpr milliseconds kEach{2}, kMost{20};
  EXPECT_EQ(rest_after(0, kEach, kMost), nanoseconds{0});
  EXPECT_EQ(rest_after(1, kEach, kMost), milliseconds{2});
  EXPECT_EQ(rest_after(1'000'000'000'000, kEach, kMost), kMost);
  // 2,000 transactions a second: the batches grow until the bound; 200 a second: each goes alone.
  const auto batch = [&](std::size_t per_second) {
    std::size_t transactions = 1;
    for (int i = 0; i < 100; ++i) transactions = std::max<std::size_t>(1, per_second * static_cast<std::size_t>(rest_after(transactions, kEach, kMost).count()) / 1'000'000'000);
    return transactions;
  };
  EXPECT_EQ(batch(2'000), 40u);
  EXPECT_EQ(batch(200), 1u);
}

TEST(EventText, GivesBackWhatItTook) {
  TransactionEvent event;
  event.records = {{RecordEvent::Op::kUpdate, {"patient", "ä\"\\\n\x01"}, RecordKey{"patient", "1"}, {"a", "b\"c"}},
                   {RecordEvent::Op::kDelete, {"patient", "2"}, {}, {}}};
  event.bulk = {{"encounter", 1'000'000'000'000ULL}};
  event.truncated = {"x"};
  TransactionEvent back;
  ASSERT_TRUE(read_event_text(event_text(event), back));
  EXPECT_EQ(event_text(back), event_text(event));
  EXPECT_EQ(back.records[0].key.id, event.records[0].key.id);
  EXPECT_EQ(back.records[0].was, event.records[0].was);
  EXPECT_EQ(event_text({}), "{}");
  EXPECT_FALSE(read_event_text("{\"r\":[[]]}", back));
}

}  // namespace
}  // namespace verbund::feed
