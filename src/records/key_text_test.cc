#include "records/key_text.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace verbund::records {
namespace {

TEST(KeyText, EscapesCommaAndBackslashOnly) {
  EXPECT_EQ(join_key({"a,b", "c\\d", "\"x\" y"}), R"(a\,b,c\\d,"x" y)");
  EXPECT_EQ(join_key({"a,b"}), R"(a\,b)");
  EXPECT_EQ(join_key({"", ""}), ",");
}

TEST(KeyText, SplitsWhatItJoined) {
  EXPECT_TRUE(rc::check("split_key(join_key(parts)) is parts", [] {
    const auto parts = *rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(
        rc::gen::container<std::string>(rc::gen::elementOf(std::string("a,\\\"ü/ ")))));
    const auto again = split_key(join_key(parts));
    RC_ASSERT(again.has_value());
    RC_ASSERT(*again == parts);
  }));
}

TEST(KeyText, DifferentKeysHaveDifferentIds) {
  EXPECT_TRUE(rc::check("join_key is injective", [] {
    const auto text = rc::gen::container<std::string>(rc::gen::elementOf(std::string("a,\\")));
    const auto keys = rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(text));
    const auto left = *keys;
    const auto right = *keys;
    RC_ASSERT((join_key(left) == join_key(right)) == (left == right));
  }));
}

TEST(KeyText, RefusesLooseBackslash) {
  for (const char* id : {"\\", "a\\", "a\\b", "a,\\n"}) {
    const auto parts = split_key(id);
    ASSERT_FALSE(parts) << id;
    EXPECT_EQ(parts.error().code, ErrorCode::kBadKey);
  }
}

}  // namespace
}  // namespace verbund::records
