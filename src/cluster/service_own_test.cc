// Locks that the node takes for itself: devices' changes (B3).
#include "cluster/service_fixture.h"

namespace verbund::cluster {
namespace {

const OwnHolder kTablet{{1ULL << 62}, "Tablet Müller", "mueller", "device"};

struct Own : Serving {
  OwnLocks take(const OwnHolder& holder, std::vector<RecordKey> keys) {
    std::optional<OwnLocks> answer;
    service->lock_own(holder, std::move(keys), [&](OwnLocks locks) { answer = std::move(locks); });
    EXPECT_TRUE(answer) << "without a guard it is answered at once";
    return answer.value_or(OwnLocks{});
  }
};

TEST_F(Own, AWorkstationHearsWhoHoldsTheRecordAndGetsItAfterwards) {
  join(anna, "anna");
  EXPECT_FALSE(take(kTablet, {{"patient", "1"}}).refused);
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  EXPECT_TRUE(anna.says("Tablet Müller")) << anna.all;
  say(anna, R"({"op":"lock","id":3,"keys":["patient/1"],"wait_ms":5000})");
  service->release_own(kTablet.session, {});
  EXPECT_TRUE(anna.says(R"({"re":3,"ok":true)")) << anna.all;
  EXPECT_EQ(service->session_count(), 1u);
}

TEST_F(Own, WhatAWorkstationHoldsIsRefusedAndSaysWho) {
  join(anna, "anna");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  const auto refused = take(kTablet, {{"patient", "2"}, {"patient", "1"}});
  ASSERT_TRUE(refused.refused);
  EXPECT_EQ(refused.refused->code, ErrorCode::kHeld);
  ASSERT_TRUE(refused.holder);
  EXPECT_EQ(refused.holder->workstation, "annaPC");
  EXPECT_EQ(service->lock_count(), 1u) << "all or none";
  service->release_own(kTablet.session, {});
  EXPECT_EQ(service->lock_count(), 1u);
}

TEST_F(Own, WhatItHasIsGrantedAgain) {
  EXPECT_FALSE(take(kTablet, {{"patient", "1"}}).refused);
  EXPECT_FALSE(take(kTablet, {{"patient", "1"}, {"patient", "2"}}).refused);
  EXPECT_EQ(service->lock_count(), 2u);
}

TEST_F(Own, ReleasedBeforeTheFeedHasPassedItsWritesItSaysThatChangesComeStill) {
  join(anna, "anna", R"(,"watch":{"locks":true})");
  take(kTablet, {{"patient", "1"}});
  service->release_own(kTablet.session, {500});
  settle();
  EXPECT_TRUE(anna.says(R"("changes_pending":true)")) << anna.all;
  take({{(1ULL << 62) + 1}, "Tablet", "mueller", "device"}, {{"patient", "2"}});
  service->on_passed({700});
  service->release_own({(1ULL << 62) + 1}, {600});
  settle();
  EXPECT_EQ(anna.count("lock.released"), 2u) << anna.all;
  EXPECT_EQ(anna.count(R"("changes_pending":true)"), 1u);
}

TEST_F(Own, SilenceDoesNotEndIt) {
  take(kTablet, {{"patient", "1"}});
  pass(seconds{120});
  EXPECT_EQ(service->lock_count(), 1u);
}

TEST_F(Own, AfterARestartNobodyWaitsForIt) {
  take(kTablet, {{"patient", "1"}});
  EXPECT_TRUE(office.stored.empty());
  start(2);
  join(anna, "anna");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  EXPECT_TRUE(anna.says(R"({"re":2,"ok":true)")) << anna.all;
  resume(bert, std::to_string(kTablet.session.value), "guess");
  EXPECT_TRUE(bert.says("unknown_session")) << bert.all;
}

TEST_F(Own, NobodyResumesIt) {
  take(kTablet, {{"patient", "1"}});
  resume(bert, std::to_string(kTablet.session.value), "guess");
  EXPECT_TRUE(bert.says("unauthenticated")) << bert.all;
  EXPECT_FALSE(bert.says("welcome"));
}

TEST_F(Own, AChangeUnderItsLockIsItsOwn) {
  take(kTablet, {{"patient", "1"}});
  clock.time += milliseconds{5};
  const auto author = service->author({"patient", "1"}, clock.wall());
  EXPECT_EQ(author.workstation, "Tablet Müller");
  EXPECT_EQ(author.session, kTablet.session);
}

TEST_F(Own, WhoAsksWhileTheNodeEndsIsRefused) {
  service->shut_down();
  const auto refused = take(kTablet, {{"patient", "1"}});
  ASSERT_TRUE(refused.refused);
  EXPECT_EQ(refused.refused->code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace verbund::cluster
