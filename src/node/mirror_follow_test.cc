#include <fstream>

#include <gtest/gtest.h>

#include "node/mirror/follow_settings.h"
#include "testing/scratch_directory.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

TEST(FollowSettings, IntervalsHaveAUnitAndABound) {
  EXPECT_EQ(parse_interval("10min").value(), seconds{600});
  EXPECT_EQ(parse_interval("90 s").value(), seconds{90});
  EXPECT_EQ(parse_interval("24h").value(), seconds{86'400});
  for (const char* text : {"", "10", "min", "0s", "25h", "-1s", "1d", "99999999999999999999s"}) EXPECT_FALSE(parse_interval(text)) << text;
}

TEST(FollowSettings, ARequestChangesWhatItNames) {
  const FollowMode streams{.synchronous = true, .interval = seconds{0}};
  EXPECT_EQ(changed_mode(streams, {}).value(), streams);
  EXPECT_EQ(changed_mode(streams, json::object{{"mode", "periodic"}}).value(), (FollowMode{false, seconds{600}}));
  EXPECT_EQ(changed_mode(streams, json::object{{"interval", "30s"}}).value(), (FollowMode{false, seconds{30}}));
  const FollowMode sent{.synchronous = false, .interval = seconds{30}};
  EXPECT_EQ(changed_mode(sent, json::object{{"mode", "periodic"}}).value(), sent);
  EXPECT_EQ(changed_mode(sent, json::object{{"mode", "continuous"}, {"synchronous", "on"}}).value(), (FollowMode{true, seconds{0}}));
}

TEST(FollowSettings, WhatCanNotBeIsRefused) {
  for (const auto& request : {json::object{{"mode", "periodic"}, {"synchronous", "on"}}, json::object{{"mode", "continuous"}, {"interval", "30s"}},
                              json::object{{"mode", "sometimes"}}, json::object{{"synchronous", "yes"}}, json::object{{"synchronous", true}}}) {
    EXPECT_FALSE(changed_mode({}, request)) << json::serialize(request);
  }
  EXPECT_FALSE(changed_mode({.synchronous = false, .interval = seconds{30}}, json::object{{"synchronous", "on"}}));
}

TEST(FollowSettings, WhatWasSetComesBeforeTheConfiguration) {
  const verbund::testing::ScratchDirectory scratch;
  FollowConfig config;
  config.synchronous = true;
  EXPECT_TRUE(load_follow_mode(scratch.path(), config)->synchronous);
  const FollowMode mode{.synchronous = false, .interval = seconds{30}};
  ASSERT_TRUE(save_follow_mode(scratch.path(), mode));
  EXPECT_EQ(load_follow_mode(scratch.path(), config).value(), mode);
  std::ofstream(scratch.path() / "mirror" / "follow.json") << "{";
  EXPECT_EQ(load_follow_mode(scratch.path(), config).error().code, ErrorCode::kDamaged);
}

}  // namespace
}  // namespace verbund::node
