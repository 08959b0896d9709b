#include "platform/os/sealed_box.h"

#include <gtest/gtest.h>

namespace verbund::os {
namespace {

TEST(SealedBox, OpensForItsOwnerAlone) {
  const auto keys = make_box_keys(), others = make_box_keys();
  for (const auto& text : {std::string(), std::string("Größe"), std::string(1'000'000, 'x')}) {
    const auto sealed = seal(text, keys.open).value();
    EXPECT_EQ(sealed.find("Größe"), std::string::npos);
    EXPECT_EQ(unseal(sealed, keys).value(), text);
    EXPECT_EQ(unseal(sealed, others).error().code, ErrorCode::kDamaged);
    auto changed = sealed;
    changed.back() = static_cast<char>(changed.back() ^ 1);
    EXPECT_EQ(unseal(changed, keys).error().code, ErrorCode::kDamaged);
  }
  EXPECT_NE(seal("x", keys.open).value(), seal("x", keys.open).value()) << "nobody sees that two are the same";
}

TEST(SealedBox, SaysWhatIsNoKeyAndNoBox) {
  const auto keys = make_box_keys();
  EXPECT_EQ(seal("x", "short").error().code, ErrorCode::kBadMessage);
  EXPECT_EQ(unseal("x", keys).error().code, ErrorCode::kDamaged);
  EXPECT_EQ(unseal("x", {keys.open, ""}).error().code, ErrorCode::kBadMessage);
}

}  // namespace
}  // namespace verbund::os
