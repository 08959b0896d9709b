#include "sync/model/rows.h"

#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace verbund::sync {
namespace {

const std::vector<Value> kEveryValue{Value{}, std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(), 0.1, -1e300,
                                     std::numeric_limits<double>::infinity(), std::string(), std::string("Größe ✓"), Blob{}, Blob{std::string("\0\xff", 2)}};

TEST(RowBlock, RowsComeOutAsTheyWentIn) {
  BlockWriter writer(BlockHead::Kind::kDown);
  ASSERT_TRUE(writer.add(DownRow{DownRow::Op::kUpsert, kEveryValue}));
  ASSERT_TRUE(writer.add(DownRow{DownRow::Op::kDelete, {std::int64_t{7}}}));
  ASSERT_TRUE(writer.add(DownRow{DownRow::Op::kKeep, {std::string("x")}}));
  auto block = writer.take(true);
  ASSERT_TRUE(block);
  auto reader = BlockReader::open(*block, BlockHead::Kind::kDown);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(reader->head().rows, 3U);
  EXPECT_TRUE(reader->head().last);
  DownRow row;
  ASSERT_TRUE(reader->next(row, kEveryValue.size(), 1).value());
  EXPECT_EQ(row.values, kEveryValue);
  ASSERT_TRUE(reader->next(row, kEveryValue.size(), 1).value());
  EXPECT_EQ(row.op, DownRow::Op::kDelete);
  EXPECT_EQ(row.values, std::vector<Value>{std::int64_t{7}});
  ASSERT_TRUE(reader->next(row, kEveryValue.size(), 1).value());
  EXPECT_EQ(row.op, DownRow::Op::kKeep);
  EXPECT_FALSE(reader->next(row, kEveryValue.size(), 1).value());
}

TEST(RowBlock, ChangesComeOutAsTheyWentIn) {
  const std::vector<UpRow> rows{{UpRow::Op::kInsert, {}, {}, kEveryValue, {}},
                                {UpRow::Op::kUpdate, Csn{1ULL << 60}, std::vector<bool>{true, false, false, false, false, false, false, false, true, false, false, true}, kEveryValue, kEveryValue},
                                {UpRow::Op::kDelete, Csn{5}, {}, {}, kEveryValue}};
  BlockWriter writer(BlockHead::Kind::kUp);
  for (const auto& row : rows) ASSERT_TRUE(writer.add(row));
  auto block = writer.take(false);
  auto reader = BlockReader::open(*block, BlockHead::Kind::kUp);
  ASSERT_TRUE(reader);
  UpRow read;
  for (const auto& row : rows) {
    ASSERT_TRUE(reader->next(read, kEveryValue.size()).value());
    EXPECT_EQ(read.op, row.op);
    EXPECT_EQ(read.base, row.base);
    EXPECT_EQ(read.changed, row.changed);
    EXPECT_EQ(read.values, row.values);
    EXPECT_EQ(read.before, row.before);
  }
  EXPECT_FALSE(reader->next(read, kEveryValue.size()).value());
  EXPECT_FALSE(BlockReader::open(*block, BlockHead::Kind::kDown));
}

TEST(RowBlock, TextsOfPostgresqlAndValuesMakeTheSameRow) {
  BlockWriter texts(BlockHead::Kind::kDown), values(BlockHead::Kind::kDown);
  ASSERT_TRUE(texts.add_upsert({Kind::kInteger, Kind::kBoolean, Kind::kReal, Kind::kBytes, Kind::kText, Kind::kText, Kind::kReal},
                               {"-5", "t", "1e+300", "\\x00ff", "1.50", std::nullopt, "NaN"}));
  ASSERT_TRUE(values.add(DownRow{DownRow::Op::kUpsert, {std::int64_t{-5}, std::int64_t{1}, 1e300, Blob{std::string("\0\xff", 2)}, std::string("1.50"), Value{}, std::string("NaN")}}));
  EXPECT_EQ(*texts.take(true), *values.take(true));
  EXPECT_FALSE(texts.add_upsert({Kind::kInteger}, {"x"}));
  EXPECT_EQ(texts.rows(), 0U);
}

TEST(RowBlock, EveryCutAndEveryChangedByteIsRefusedOrReadWithinItsBounds) {
  BlockWriter writer(BlockHead::Kind::kDown);
  for (int at = 0; at < 50; ++at) ASSERT_TRUE(writer.add(DownRow{DownRow::Op::kUpsert, kEveryValue}));
  const auto block = *writer.take(true);
  const auto whole = [](std::string_view bytes) {
    auto reader = BlockReader::open(bytes, BlockHead::Kind::kDown);
    if (!reader) return false;
    DownRow row;
    for (;;) {
      auto more = reader->next(row, kEveryValue.size(), 1);
      if (!more) return false;
      if (!*more) return true;
    }
  };
  ASSERT_TRUE(whole(block));
  for (std::size_t size = 0; size < block.size(); ++size) EXPECT_FALSE(whole(std::string_view(block).substr(0, size))) << size;
  for (std::size_t at = 8; at < block.size(); ++at) {
    auto changed = block;
    changed[at] = static_cast<char>(changed[at] ^ 0x20);
    EXPECT_FALSE(whole(changed)) << at;
  }
}

TEST(RowBlock, ARowThatIsTooLargeLeavesNothing) {
  BlockWriter writer(BlockHead::Kind::kDown);
  ASSERT_TRUE(writer.add(DownRow{DownRow::Op::kUpsert, {std::int64_t{1}}}));
  EXPECT_FALSE(writer.add(DownRow{DownRow::Op::kUpsert, {std::string(kMaxBlockRawBytes, 'x')}}));
  auto reader = BlockReader::open(*writer.take(true), BlockHead::Kind::kDown);
  DownRow row;
  EXPECT_TRUE(reader->next(row, 1, 1).value());
  EXPECT_FALSE(reader->next(row, 1, 1).value());
}

TEST(Value, EveryTextOfPostgresqlComesBackAsItWas) {
  const std::vector<std::pair<Kind, std::string>> texts{{Kind::kInteger, "-9223372036854775808"}, {Kind::kBoolean, "t"}, {Kind::kBoolean, "f"}, {Kind::kReal, "0.1"}, {Kind::kReal, "-0"},
                                                       {Kind::kReal, "NaN"}, {Kind::kReal, "-Infinity"}, {Kind::kReal, "2.2250738585072014e-308"}, {Kind::kBytes, "\\x"}, {Kind::kBytes, "\\x00ff10"},
                                                       {Kind::kText, ""}, {Kind::kText, "NULL"}, {Kind::kText, "{1,NULL,\"a b\"}"}, {Kind::kText, "2026-11-23 02:00:00.123456+00"}};
  for (const auto& [kind, text] : texts) {
    auto value = value_of(kind, text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(text_of(kind, *value).value(), text);
  }
  EXPECT_EQ(text_of(Kind::kReal, value_of(Kind::kReal, "1e+20").value()).value(), "1e+20");
}

TEST(Value, WhatAKindCanNotHoldIsRefused) {
  EXPECT_FALSE(text_of(Kind::kText, std::string("a\0b", 3)));
  EXPECT_FALSE(text_of(Kind::kText, std::string("\xff")));
  EXPECT_FALSE(text_of(Kind::kText, std::int64_t{1}));
  EXPECT_FALSE(text_of(Kind::kBoolean, std::int64_t{2}));
  EXPECT_FALSE(text_of(Kind::kBytes, std::string("x")));
  EXPECT_FALSE(text_of(Kind::kReal, std::string("x")));
  EXPECT_FALSE(value_of(Kind::kInteger, "1.0"));
  EXPECT_FALSE(value_of(Kind::kBytes, "\\xg0"));
}

}  // namespace
}  // namespace verbund::sync
