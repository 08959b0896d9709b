// What leads from the columns that a shadow was made of to those that the source has now.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "feed/slot.h"
#include "feed/tables.h"

namespace verbund::feed {
namespace {

using Kind = Reshaping::Kind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

Column column(int number, std::string name, std::uint32_t type = 25, std::int32_t modifier = -1) { return {std::move(name), type, modifier, number, {}}; }

CapturedTable table(std::vector<Column> columns, std::vector<std::size_t> key = {0}) {
  CapturedTable made;
  made.columns = std::move(columns);
  made.key = std::move(key);
  return made;
}

const CapturedTable kBefore = table({column(1, "id", 23), column(2, "name"), column(3, "letter")});

TEST(Layout, IsReadAsItWasWritten) {
  const CapturedTable odd = table({column(1, "a:b"), column(4, "line\nbreak\\n", 1043, 24), column(7, "ä \"x\"")}, {2, 0});
  const auto read = parse_layout(odd.layout());
  ASSERT_TRUE(read);
  EXPECT_EQ(layout_text(*read), odd.layout());
  EXPECT_EQ(read->columns[1].name, "line\nbreak\\n");
  EXPECT_EQ(read->columns[1].modifier, 24);
  EXPECT_THAT(read->key, ElementsAre(7, 1));
}

TEST(Layout, OfAnEarlierVersionIsNotUnderstood) {
  for (const auto* text : {"", "id:23:-1\nname:25:-1\nkey 0", "1:23:-1:id\n", "1:23:-1:id\nkey x", "1:23:id\nkey 1"}) EXPECT_FALSE(parse_layout(text)) << text;
}

TEST(Reshape, OfTheSameIsNothing) { EXPECT_EQ(reshape(layout_of(kBefore), kBefore, {}).kind, Kind::kNone); }

TEST(Reshape, FollowsColumnsByNumber) {
  const auto change = reshape(layout_of(kBefore), table({column(1, "id", 23), column(2, "surname"), column(4, "born", 1082)}), {});
  EXPECT_EQ(change.kind, Kind::kFollow);
  EXPECT_THAT(change.renamed, ElementsAre(Pair("name", "surname")));
  EXPECT_THAT(change.dropped, ElementsAre("letter"));
  EXPECT_THAT(change.added, ElementsAre(2U));
}

TEST(Reshape, WiderValuesOfTheSameTypeAreFollowed) {
  EXPECT_EQ(reshape(layout_of(kBefore), table({column(1, "id", 23), column(2, "name", 25, 44), column(3, "letter")}), {}).kind, Kind::kNone);
}

TEST(Reshape, ReadsAgainWhatTheLogCannotHaveTold) {
  const auto kind = [](std::vector<Column> columns, Evidence evidence = {}) { return reshape(layout_of(kBefore), table(std::move(columns)), evidence).kind; };
  EXPECT_EQ(kind({column(1, "id", 23), column(2, "name", 1043), column(3, "letter")}), Kind::kReread) << "retyped";
  EXPECT_EQ(kind({column(1, "id", 23), column(2, "letter"), column(3, "name")}), Kind::kReread) << "names exchanged";
  EXPECT_EQ(kind({column(1, "id", 23), column(2, "name"), column(4, "letter")}), Kind::kReread) << "dropped and made again";
  EXPECT_EQ(kind(kBefore.columns, {true, false}), Kind::kReread) << "rewritten";
  EXPECT_EQ(kind(kBefore.columns, {false, true}), Kind::kReread) << "another table";
}

TEST(Reshape, AnotherTableIsFollowedByName) {
  const auto change = reshape(layout_of(kBefore), table({column(5, "letter"), column(6, "id", 23)}, {1}), {false, false});
  EXPECT_EQ(change.kind, Kind::kReread);
  EXPECT_THAT(change.dropped, ElementsAre("name"));
  EXPECT_THAT(change.renamed, IsEmpty());
}

TEST(Reshape, OtherKeysAreOtherRows) {
  EXPECT_EQ(reshape(layout_of(kBefore), table(kBefore.columns, {1}), {}).kind, Kind::kRekey);
  EXPECT_EQ(reshape(layout_of(kBefore), table(kBefore.columns, {0, 1}), {}).kind, Kind::kRekey);
  EXPECT_EQ(reshape(layout_of(kBefore), table({column(1, "nr", 23), column(2, "name"), column(3, "letter")}), {}).kind, Kind::kFollow);
}

TEST(Loss, EndsCursorsOnlyWhenClientsMayKnowMoreThanTheSource) {
  const Position position{"7", 2, "slot", {1000}, {{"h"}, {5}}, {}};
  const postgres::SystemIdentity server{"7", 2, {2000}};
  const Slot slot{{900}, false, false};
  EXPECT_FALSE(loss_of(position, server, slot, "slot"));
  EXPECT_FALSE(loss_of(position, server, std::nullopt, "slot")->forks);
  EXPECT_FALSE(loss_of(position, server, Slot{{900}, true, false}, "slot")->forks);
  EXPECT_FALSE(loss_of(position, server, slot, "other")->forks);
  EXPECT_TRUE(loss_of(position, server, Slot{{1001}, false, false}, "slot")->forks);
  EXPECT_TRUE(loss_of(position, {"7", 3, {2000}}, slot, "slot")->forks);
  EXPECT_FALSE(loss_of(position, {"7", 3, {2000}}, slot, "slot", true)->forks) << "a promotion that took nothing back";
  EXPECT_TRUE(loss_of(position, {"8", 3, {2000}}, slot, "slot", true)->needs_person) << "another system all the same";
  EXPECT_TRUE(loss_of(position, {"7", 2, {999}}, slot, "slot")->forks);
  EXPECT_TRUE(loss_of(position, {"8", 2, {2000}}, slot, "slot")->needs_person);
  EXPECT_FALSE(loss_of(position, {"7", 3, {2000}}, slot, "slot")->needs_person);
  // Interrupted while it was made good: the new slot stands beyond the position by right.
  Position interrupted = position;
  interrupted.loss = Loss{"the replication slot is gone", false, false};
  EXPECT_FALSE(loss_of(interrupted, server, Slot{{1500}, false, false}, "slot")->forks);
}

}  // namespace
}  // namespace verbund::feed
