#include <gmock/gmock.h>

#include "access/accounts.h"
#include "access/rate_limit.h"
#include "access/text.h"
#include "platform/os/random.h"

namespace verbund::access {
namespace {

constexpr TimePoint kStart{std::chrono::hours{1}};

TEST(RateLimit, MakesWaitFromTheFifthFailureOnAndDoubles) {
  RateLimit limit({.free_tries = 5});
  for (int i = 0; i < 4; ++i) limit.failed("eva", kStart);
  EXPECT_FALSE(limit.wait("eva", kStart));
  limit.failed("eva", kStart);
  EXPECT_EQ(limit.wait("eva", kStart), seconds{1});
  EXPECT_EQ(limit.wait("eva", kStart + milliseconds{400}), milliseconds{600});
  EXPECT_FALSE(limit.wait("eva", kStart + seconds{1}));
  auto now = kStart + seconds{1};
  for (const int expected : {2, 4, 8, 16, 32, 64, 128, 256, 300, 300}) {
    limit.failed("eva", now);
    EXPECT_EQ(limit.wait("eva", now), seconds{expected});
    now += seconds{expected};
  }
  EXPECT_FALSE(limit.wait("adam", now));
}

TEST(RateLimit, NeverWaitsLongerThanFiveMinutes) {
  RateLimit limit({.free_tries = 1});
  for (int i = 0; i < 200; ++i) limit.failed("eva", kStart);
  EXPECT_EQ(limit.wait("eva", kStart), seconds{300});
}

TEST(RateLimit, ForgetsAfterAnHourAndOnSuccess) {
  RateLimit limit({.free_tries = 2});
  for (int i = 0; i < 9; ++i) limit.failed("eva", kStart);
  limit.failed("eva", kStart + std::chrono::hours{1});
  EXPECT_FALSE(limit.wait("eva", kStart + std::chrono::hours{1}));
  limit.failed("eva", kStart + std::chrono::hours{1});
  EXPECT_TRUE(limit.wait("eva", kStart + std::chrono::hours{1}));
  limit.clear("eva");
  limit.clear("nobody");
  EXPECT_FALSE(limit.wait("eva", kStart + std::chrono::hours{1}));
  EXPECT_EQ(limit.size(), 0U);
}

TEST(RateLimit, KeepsAtMostSoManyKeysAndDropsTheOldest) {
  RateLimit limit({.free_tries = 1, .max_entries = 10'000});
  for (int i = 0; i < 30'000; ++i) {
    if (i % 5'000 == 0) limit.failed("regular", kStart);
    limit.failed("key" + std::to_string(i), kStart);
  }
  EXPECT_EQ(limit.size(), 10'000U);
  EXPECT_TRUE(limit.wait("regular", kStart));
  EXPECT_TRUE(limit.wait("key29999", kStart));
  EXPECT_FALSE(limit.wait("key0", kStart));
}

TEST(Roles, GoThereAndBack) {
  for (const Role role : {Role::kAdministrator, Role::kStaff, Role::kDevice}) EXPECT_EQ(*role_from_wire(to_wire(role)), role);
  EXPECT_EQ(role_from_wire("Staff").error().code, ErrorCode::kUsage);
}

TEST(Roles, OnlyAdministratorsManageUsers) {
  EXPECT_TRUE(has_right(Role::kAdministrator, Right::kManageUsers));
  EXPECT_FALSE(has_right(Role::kStaff, Right::kManageUsers));
  EXPECT_FALSE(has_right(Role::kStaff, Right::kBreakLocks));
  EXPECT_FALSE(has_right(Role::kStaff, Right::kReadAudit));
  EXPECT_TRUE(has_right(Role::kStaff, Right::kEditRecords));
  EXPECT_FALSE(has_right(Role::kDevice, Right::kReadRecords));
}

TEST(UserName, RefusesWhatWouldBeMisread) {
  for (const char* name : {"eva", "Dr. Jürgen Müller", "a@b.de", "日本", "\xf0\x9f\x98\x80"}) EXPECT_TRUE(check_user_name(name)) << name;
  for (const char* name : {"", " eva", "eva ", "a/b", "a\nb", "a\x7f", "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xc3", "\xf4\x90\x80\x80"}) {
    EXPECT_FALSE(check_user_name(name)) << name;
  }
  EXPECT_TRUE(check_user_name(std::string(64, 'a')));
  EXPECT_FALSE(check_user_name(std::string(65, 'a')));
  EXPECT_FALSE(check_user_name(std::string_view("a\0b", 3)));
}

TEST(CleanedText, KeepsWholeCharactersAndReplacesTheRest) {
  EXPECT_EQ(cleaned("Müller\n\xff", 100), "Müller ?");
  EXPECT_EQ(cleaned("aä", 2), "a");
  EXPECT_EQ(cleaned(std::string_view("\0", 1), 5), " ");
}

}  // namespace
}  // namespace verbund::access
