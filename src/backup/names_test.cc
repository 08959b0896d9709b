#include "backup/names.h"

#include <gtest/gtest.h>

namespace verbund::backup {
namespace {

TEST(SetNames, TakesWhatLivesOnEveryFileSystem) {
  for (const auto* name : {"manifest.json", "db/praxis.dump.zst.age.017", "a/b/c/d", "SHA256SUMS", "x_y+z-1", "comic", "com12.x"}) {
    EXPECT_TRUE(check_name(name).has_value()) << name;
  }
}

TEST(SetNames, RefusesWhatLeavesTheDirectoryOrDoesNotFitWindows) {
  for (const auto* name : {"", "/etc/passwd", "..", "db/../../x", "db//x", "db/", "a/b/c/d/e", "x:y", "x y", "x\\y", "-rf", ".hidden",
                           "end.", "Müller", "x\ny", "x*", "con", "db/AUX.zst", "lpt1", "nul"}) {
    EXPECT_FALSE(check_name(name).has_value()) << name;
  }
  EXPECT_FALSE(check_name(std::string(151, 'a')).has_value());
  EXPECT_FALSE(check_name(std::string_view("a\0b", 3)).has_value());
}

TEST(SetNames, AnyTextBecomesAPartAndTwoTextsNeverTheSame) {
  EXPECT_EQ(portable_part("verbund_mid"), "verbund_mid");
  EXPECT_TRUE(portable_part("Müller").starts_with("M-ller-"));
  const std::vector<std::string> texts{"praxis", "Praxis", "PRAXIS", "Prax s", "Prax-s", "..", "", "con", "/etc/x", "ä", "ö",
                                       std::string(100, 'a'), std::string(101, 'a'), "\xff\xfe", "-x", "x."};
  std::vector<std::string> parts;
  for (const auto& text : texts) {
    parts.push_back(folded(portable_part(text)));
    EXPECT_TRUE(check_name("db/" + parts.back() + ".dump.zst.age.000").has_value()) << parts.back();
  }
  std::ranges::sort(parts);
  EXPECT_EQ(std::ranges::adjacent_find(parts), parts.end());
}

TEST(SetNames, WhatIsShownIsPlainText) { EXPECT_EQ(printable("a\n\xff" "b", 3), "a\\x0a\\xff…"); }

}  // namespace
}  // namespace verbund::backup
