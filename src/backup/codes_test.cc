#include "backup/codes.h"

#include <gtest/gtest.h>

namespace verbund::backup {
namespace {

TEST(Base64, TakesOnlyWhatItWouldWrite) {
  std::array<unsigned char, 4> bytes{1, 2, 3, 255};
  const std::string text = to_base64(bytes, Padding::kEquals);
  EXPECT_EQ(text, "AQID/w==");
  std::array<unsigned char, 4> read{};
  EXPECT_TRUE(from_base64(text, read, Padding::kEquals));
  EXPECT_EQ(read, bytes);
  EXPECT_TRUE(from_base64("AQID/w", read, Padding::kNone));
  for (const auto* bad : {"AQID/w=", "AQID/w", "AQID/x==", "AQID", "AQID/w== ", "AQID/w==AAAA", " AQID/w==", "AQ ID/w=="}) {
    EXPECT_FALSE(from_base64(bad, read, Padding::kEquals)) << bad;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string high = text;
    high[i] = static_cast<char>(high[i] | 0x80);
    EXPECT_FALSE(from_base64(high, read, Padding::kEquals)) << i;
  }
}

TEST(Bech32, HasTheExamplesOfItsSpecification) {
  for (const auto* good : {"A12UEL5L", "a12uel5l", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "?1ezyfcl"}) {
    EXPECT_TRUE(from_bech32(good).has_value()) << good;
  }
  for (const auto* bad : {"A12uEL5L", "a12uel5m", "1nwldj5", "x1b4n0q5v", "li1dgmt3", "pzry9x0s0muk", "1pzry9x0s0muk", "A1G7SGD8", "",
                          "de1lg7wt\xff", "10a06t8", "1qzzfhee"}) {
    EXPECT_FALSE(from_bech32(bad).has_value()) << bad;
  }
}

TEST(Bech32, BytesComeBack) {
  for (std::size_t size = 0; size < 70; ++size) {
    std::vector<unsigned char> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(i * 37 + size);
    const auto read = from_bech32(to_bech32("age", bytes));
    ASSERT_TRUE(read.has_value()) << size;
    EXPECT_EQ(read->first, "age");
    EXPECT_EQ(read->second, bytes);
  }
}

}  // namespace
}  // namespace verbund::backup
