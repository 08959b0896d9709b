#include "node/mirror/code.h"

#include <gtest/gtest.h>

namespace verbund::node {
namespace {

MirrorCode sample() { return {"00ff10a5b2c3d4e5f607", std::string("\x01\x80\xff\x00\x10zyxwvutsrqp", kCodeFingerprintBytes)}; }

TEST(MirrorCode, ComesBackAsItWas) {
  const auto text = to_text(sample());
  EXPECT_EQ(text.size(), 42U + 5U);
  const auto read = parse_mirror_code(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->secret, sample().secret);
  EXPECT_EQ(read->fingerprint, sample().fingerprint);
}

TEST(MirrorCode, IsReadAsAPersonTypesIt) {
  std::string text = " ";
  for (const char c : to_text(sample())) text += c == '-' ? ' ' : static_cast<char>(std::toupper(c));
  const auto read = parse_mirror_code(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->secret, sample().secret);
}

TEST(MirrorCode, RefusesAPartAndForeignSigns) {
  const auto text = to_text(sample());
  for (const auto& wrong : {std::string(), text.substr(1), text + "a", "1" + text.substr(1), "ä" + text}) {
    const auto read = parse_mirror_code(wrong);
    ASSERT_FALSE(read) << wrong;
    EXPECT_EQ(read.error().code, ErrorCode::kUsage);
  }
}

}  // namespace
}  // namespace verbund::node
