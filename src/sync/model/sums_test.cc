#include "sync/model/sums.h"

#include <gtest/gtest.h>

#include "sync/model/rows.h"

namespace verbund::sync {
namespace {

std::string encoded(const std::vector<Value>& values) {
  std::string bytes;
  for (const auto& value : values) append_value(bytes, value);
  return bytes;
}

void add(RowSums& sums, std::int64_t key, const std::string& text) { sums.add(encoded({key}), encoded({key, text})); }

TEST(Sums, AreTheSameInAnyOrderAndDifferWhereARowDoes) {
  RowSums one(RowSums::slots_for(1000)), other(one.slots());
  EXPECT_EQ(one.slots(), 16U);
  for (int key = 0; key < 1000; ++key) add(one, key, "row");
  for (int key = 999; key >= 0; --key) add(other, key, key == 700 ? "another" : "row");
  const auto differ = one.differing(other);
  for (std::size_t slot = 0; slot < differ.size(); ++slot) EXPECT_EQ(differ[slot], slot == one.slot_of(encoded({std::int64_t{700}}))) << slot;
}

TEST(Sums, TellARowThatIsMissingFromOneThatIsEmpty) {
  RowSums one(1), other(1);
  add(one, 1, "");
  EXPECT_TRUE(one.differing(other)[0]);
  EXPECT_FALSE(one.differing(one)[0]);
}

TEST(Sums, AreSpreadOverTheirSlots) {
  RowSums sums(RowSums::slots_for(64'000));
  std::vector<int> rows(sums.slots());
  for (std::int64_t key = 0; key < 64'000; ++key) ++rows[sums.slot_of(encoded({key}))];
  for (const auto count : rows) EXPECT_TRUE(count > 20 && count < 130) << count;
}

TEST(Sums, AreReadAsTheyWereWrittenAndNothingElse) {
  RowSums sums(4);
  for (int key = 0; key < 20; ++key) add(sums, key, "x");
  const auto bytes = sums.bytes();
  EXPECT_EQ(bytes.size(), 32U);
  EXPECT_EQ(RowSums::read(bytes)->bytes(), bytes);
  for (const std::size_t size : {0U, 7U, 24U, 33U}) EXPECT_EQ(RowSums::read(std::string(size, 'x')).error().code, ErrorCode::kBadMessage) << size;
  EXPECT_FALSE(RowSums::read(std::string(kMaxSlots * 16, 'x')));
  EXPECT_EQ(RowSums::slots_for(0), 1U);
  EXPECT_EQ(RowSums::slots_for(1'000'000'000), kMaxSlots);
}

/// What the server makes of PostgreSQL's texts is what the device makes of its values.
TEST(Sums, OfTextsAndOfValuesAreTheSame) {
  const std::vector<Kind> kinds{Kind::kInteger, Kind::kBoolean, Kind::kReal, Kind::kReal, Kind::kReal, Kind::kBytes, Kind::kText, Kind::kText, Kind::kText};
  const std::vector<std::optional<std::string_view>> texts{"-9223372036854775808", "t", "0.1", "NaN", "-0", "\\x00ff", "", "Größe", std::nullopt};
  std::vector<Value> values;
  std::string bytes;
  for (std::size_t at = 0; at < kinds.size(); ++at) {
    values.push_back(value_of(kinds[at], texts[at]).value());
    ASSERT_TRUE(append_text_value(bytes, kinds[at], texts[at]));
  }
  EXPECT_EQ(bytes, encoded(values));
}

}  // namespace
}  // namespace verbund::sync
