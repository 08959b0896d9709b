#include "sync/model/code.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace verbund::sync {
namespace {

EnrolCode sample() {
  EnrolCode code;
  for (std::size_t i = 0; i < kEnrolSecretBytes; ++i) code.secret += static_cast<char>(i * 37);
  for (std::size_t i = 0; i < kEnrolFingerprintBytes; ++i) code.fingerprint += static_cast<char>(255 - i);
  return code;
}

TEST(EnrolCode, IsReadAsItWasShown) {
  auto text = to_text(sample());
  EXPECT_EQ(text.size(), 77U + 10U);
  std::ranges::replace(text, '-', ' ');
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  const auto back = parse_enrol_code(text);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->secret, sample().secret);
  EXPECT_EQ(back->fingerprint, sample().fingerprint);
}

TEST(EnrolCode, IsRefusedWhenItIsNotWhole) {
  const auto text = to_text(sample());
  EXPECT_EQ(parse_enrol_code(text.substr(1)).error().code, ErrorCode::kUsage);
  EXPECT_EQ(parse_enrol_code(text + "a").error().code, ErrorCode::kUsage);
  EXPECT_EQ(parse_enrol_code("").error().code, ErrorCode::kUsage);
  EXPECT_EQ(parse_enrol_code("0" + text.substr(1)).error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace verbund::sync
