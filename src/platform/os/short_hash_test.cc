#include "platform/os/short_hash.h"

#include <gtest/gtest.h>

namespace verbund::os {
namespace {

TEST(ShortHash, IsSipHash) {
  // SipHash-2-4 of nothing under a key of zeros.
  EXPECT_EQ(short_hash("verbund"), short_hash("verbund"));
  EXPECT_NE(short_hash("verbund"), short_hash("verbund", 1));
  EXPECT_NE(short_hash(""), short_hash(std::string_view("\0", 1)));
  EXPECT_EQ(short_hash(""), 0x1e924b9d737700d7U) << "devices and servers of all versions agree";
}

TEST(Base64, GoesBothWays) {
  for (const auto& bytes : {std::string(), std::string("a"), std::string("ab"), std::string("abc"), std::string("\0\xff", 2)}) EXPECT_EQ(from_base64(to_base64(bytes)).value(), bytes);
  EXPECT_EQ(to_base64("Größe"), "R3LDtsOfZQ==");
  for (const auto* bad : {"R3LDtsOfZQ", "R3L*", "R3LDtsOfZQ==x", " R3LD"}) EXPECT_EQ(from_base64(bad).error().code, ErrorCode::kBadMessage) << bad;
}

}  // namespace
}  // namespace verbund::os
