#include "mirror/patroni.h"

#include <gtest/gtest.h>

namespace verbund::mirror {
namespace {

// Recorded from Patroni 3.0.2 (Debian 12): three members; during a switchover; of the leader itself.
constexpr std::string_view kWhole = R"({"members": [
 {"name": "pg1", "role": "leader", "state": "running", "api_url": "http://127.0.0.1:41235/patroni", "host": "127.0.0.1", "port": 53613, "timeline": 1},
 {"name": "pg2", "role": "replica", "state": "running", "api_url": "http://127.0.0.1:46805/patroni", "host": "127.0.0.1", "port": 37161, "timeline": 1, "lag": 0},
 {"name": "pg3", "role": "sync_standby", "state": "streaming", "api_url": "http://127.0.0.1:55679/patroni", "host": "127.0.0.1", "port": 43709, "timeline": 1, "lag": 1024}]})";
constexpr std::string_view kSwitching = R"({"members": [
 {"name": "pg1", "role": "replica", "state": "stopping", "api_url": "http://127.0.0.1:41235/patroni", "host": "127.0.0.1", "port": 53613, "lag": "unknown"},
 {"name": "pg2", "role": "leader", "state": "running", "host": "127.0.0.1", "port": 37161, "timeline": 1}],
 "scope": "praxis", "pause": true, "scheduled_switchover": {"at": "2026-11-23T03:00:00+00:00", "from": "pg2", "to": "pg1"}})";
constexpr std::string_view kOwn = R"({"state": "running", "postmaster_start_time": "2026-11-22 19:03:53.782346+00:00", "role": "master", "server_version": 150020,
 "xlog": {"location": 67108864}, "timeline": 1, "replication": [{"usename": "nachfolger", "application_name": "pg3", "client_addr": "127.0.0.1", "state": "streaming",
 "sync_state": "async", "sync_priority": 0}], "dcs_last_seen": 1795374236, "database_system_identifier": "7711073612877322097", "patroni": {"version": "3.0.2", "scope": "praxis"}})";

ErrorCode refusal(std::string_view text) {
  const auto view = parse_patroni_cluster(text);
  return view ? ErrorCode::kInternal : view.error().code;
}

TEST(Patroni, ReadsWhatItSaysOfItsMembers) {
  const auto view = parse_patroni_cluster(kWhole);
  ASSERT_TRUE(view) << view.error().message;
  ASSERT_EQ(view->members.size(), 3U);
  ASSERT_NE(view->leader(), nullptr);
  EXPECT_EQ(view->leader()->name, "pg1");
  EXPECT_EQ(view->leader()->port, 53613);
  EXPECT_EQ(view->leader()->timeline, 1U);
  EXPECT_FALSE(view->leader()->lag_bytes);
  EXPECT_EQ(view->find("pg3")->lag_bytes, 1024U);
  EXPECT_EQ(view->find("pg4"), nullptr);
  EXPECT_FALSE(view->paused);
}

TEST(Patroni, ReadsAClusterInTheMidstOfASwitchover) {
  const auto view = parse_patroni_cluster(kSwitching);
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->find("pg1")->timeline, 0U) << "not said";
  EXPECT_FALSE(view->find("pg1")->lag_bytes) << "a word in place of the number";
  EXPECT_FALSE(view->find("pg1")->runs());
  EXPECT_TRUE(view->paused);
  EXPECT_EQ(view->scope, "praxis");
  EXPECT_EQ(view->scheduled, "2026-11-23T03:00:00+00:00 from pg2 to pg1");
}

TEST(Patroni, ReadsAMemberOfItself) {
  const auto own = parse_patroni_member(kOwn);
  ASSERT_TRUE(own);
  EXPECT_EQ(own->scope, "praxis");
  EXPECT_EQ(own->version, "3.0.2");
  EXPECT_EQ(own->system_id, "7711073612877322097");
  EXPECT_FALSE(parse_patroni_member("{}"));
}

TEST(Patroni, RefusesWhatIsNoAnswerOfPatroni) {
  for (const char* text : {"", "nonsense", "[]", "{}", R"({"members": {}})", R"({"members": [1]})", R"({"members": [{}]})", R"({"members": [{"name": 7}]})",
                           R"({"members": [{"name": "a", "port": 65536}]})", R"({"members": [{"name": "a", "timeline": -1}]})",
                           R"({"members": [{"name": "a\u0007b"}]})", R"({"members": [{"name": "a"}, {"name": "a"}]})",
                           R"({"members": [{"name": "a", "role": "leader"}, {"name": "b", "role": "master"}]})"}) {
    EXPECT_EQ(refusal(text), ErrorCode::kBadMessage) << text;
  }
  EXPECT_EQ(refusal("{\"members\": [" + std::string(100, '[') + std::string(100, ']') + "]}"), ErrorCode::kBadMessage) << "deep";
  EXPECT_EQ(refusal(std::string(kMaxPatroniBytes + 1, ' ')), ErrorCode::kBadMessage) << "long";
  std::string many = R"({"members": [)";
  for (int i = 0; i < 65; ++i) many += fmt::format("{}{{\"name\": \"m{}\"}}", i == 0 ? "" : ",", i);
  EXPECT_EQ(refusal(many + "]}"), ErrorCode::kBadMessage) << "many";
}

TEST(Patroni, ReadsAddressesOfRestInterfaces) {
  EXPECT_EQ(parse_patroni_address("http://10.0.0.1:8009")->port, 8009);
  EXPECT_EQ(parse_patroni_address("http://db1")->port, 8008);
  EXPECT_TRUE(parse_patroni_address("https://[::1]:8008/")->tls);
  EXPECT_EQ(parse_patroni_address("https://[::1]:8008/")->host, "::1");
  for (const char* text : {"", "10.0.0.1:8008", "ftp://a", "http://", "http://a:0", "http://a:99999", "http://a:1x", "http://[::1", "http://[::1]8008", "http://a/b", "http://u@a", "http://a b"}) {
    const auto address = parse_patroni_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::kBadConfig) << text;
  }
}

TEST(Patroni, SwitchesToWhoFollowsBest) {
  const auto view = *parse_patroni_cluster(kWhole);
  EXPECT_EQ((*switchover_target(view, {}))->name, "pg2");
  EXPECT_EQ((*switchover_target(view, "pg3"))->name, "pg3");
}

TEST(Patroni, SaysWhyThereCanBeNoSwitchover) {
  const auto view = *parse_patroni_cluster(kWhole);
  EXPECT_EQ(switchover_target(view, "pg9").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(switchover_target(view, "pg1").error().code, ErrorCode::kUsage);
  const auto switching = *parse_patroni_cluster(kSwitching);
  EXPECT_EQ(switchover_target(switching, "pg1").error().code, ErrorCode::kUnavailable) << "it is stopping";
  EXPECT_EQ(switchover_target(switching, {}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(switchover_target(*parse_patroni_cluster(R"({"members": [{"name": "a", "role": "replica", "state": "running"}]})"), {}).error().code, ErrorCode::kUnavailable);
  const auto excluded = *parse_patroni_cluster(R"({"members": [{"name": "a", "role": "leader", "state": "running"},
    {"name": "b", "role": "replica", "state": "running", "tags": {"nofailover": true}}]})");
  EXPECT_EQ(switchover_target(excluded, "b").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(switchover_target(excluded, {}).error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace verbund::mirror
