#include "sync/server/overview.h"

#include <gtest/gtest.h>

namespace verbund::sync::server {
namespace {

using std::chrono::days;

const WallTime kNow{days{20'000}};

DeviceStand device(std::uint64_t id, int days_ago) { return {.id = id, .name = "Tablet", .user = "anna", .state = "active", .enrolled = kNow - days{100}, .synced = kNow - days{days_ago}}; }

std::vector<std::string> said(const std::vector<DeviceStand>& devices, const Patience& patience = {}) {
  std::vector<std::string> all;
  for (const auto& one : troubles_of(devices, patience, kNow)) all.push_back(one.key + ": " + one.text.english());
  return all;
}

TEST(Overview, NothingNeedsAPersonWhereEverybodyHasSynced) {
  auto fresh = device(2, 0);
  fresh.synced.reset();
  fresh.enrolled = kNow - days{1};
  EXPECT_TRUE(said({device(1, 6), fresh}).empty());
}

TEST(Overview, ADeviceThatStaysAwayIsTold) {
  auto never = device(3, 0);
  never.synced.reset();
  auto disabled = device(4, 50);
  disabled.state = "disabled";
  EXPECT_EQ(said({device(1, 1), device(2, 8), never, disabled}),
            (std::vector<std::string>{"sync/away/2: device 2 ('Tablet', anna) has not synced for 8 days", "sync/away/3: device 3 ('Tablet', anna) has not synced for 100 days"}));
  EXPECT_TRUE(said({device(2, 8)}, {.not_synced = days{0}}).empty());
  std::vector<DeviceStand> many;
  for (std::uint64_t id = 1; id <= 6; ++id) many.push_back(device(id, 10));
  EXPECT_EQ(said(many), std::vector<std::string>{"sync/away: 6 devices have not synced for 7 days: `verbund sync status` lists them"});
}

TEST(Overview, RejectsThatNobodyHasLookedAtAreTold) {
  auto one = device(1, 0), other = device(2, 0);
  one.rejects = 2;
  one.rejected = kNow - days{4};
  other.rejects = 5;
  other.rejected = kNow - days{1};
  EXPECT_EQ(said({one, other}), std::vector<std::string>{"sync/rejects: 2 rejected changes of devices have waited for somebody for 3 days: `verbund sync reject list`"});
  EXPECT_TRUE(said({one}, {.unread = days{0}}).empty());
}

TEST(Overview, ACopyIsToldForAWeek) {
  auto copy = device(7, 0);
  copy.split_from = 3;
  EXPECT_TRUE(said({copy}).empty());
  copy.enrolled = kNow - days{2};
  ASSERT_EQ(said({copy}).size(), 1U);
  EXPECT_EQ(said({copy})[0].substr(0, 58), "sync/copy/7: the database of device 3 was copied or taken ");
}

}  // namespace
}  // namespace verbund::sync::server
