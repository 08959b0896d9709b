#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/codec.h"

namespace verbund::protocol {
namespace {

using ::testing::HasSubstr;

TEST(DecodeFromServer, RefusesWhatIsNeitherReplyNorEvent) {
  for (const auto* json :
       {"", "[]", "{}", "{\"re\":1}", "7", "{\"event\":7}", "{\"ok\":1}", "{\"ok\":false}", "\xff",
        R"({"ok":true,"token":9,"keys":[]})", R"({"ok":true,"token":"9","keys":["patient/1"],"tokens":{}})",
        R"({"ok":true,"welcome":7})", R"({"ok":true,"locks":[{}]})", R"({"ok":true,"redirect":{"port":70000}})",
        R"({"event":"changes","csn":"1","time":"2026-13-01T00:00:00.000000Z"})", R"({"event":"session.joined"})",
        R"({"event":"session.state","session":"1","state":"gone"})"}) {
    const auto message = decode_from_server(json);
    ASSERT_FALSE(message) << json;
    EXPECT_EQ(message.error().code, ErrorCode::kBadMessage) << json;
  }
}

TEST(DecodeFromServer, IgnoresUnknownEventsAndFields) {
  EXPECT_TRUE(std::holds_alternative<std::monostate>(*decode_from_server(R"({"event":"moon.phase","full":true})")));
  const auto reply = decode_from_server(R"({"re":"x","ok":true,"since":"3.0"})");
  EXPECT_EQ(std::get<Reply>(*reply), (Reply{{R"("x")"}, Done{}}));
}

TEST(DecodeFromServer, TakesAnUnknownErrorCodeOfANewerNodeAsInternal) {
  const auto message =
      decode_from_server(R"({"ok":false,"error":{"code":"full_moon","message":"wait","retry_after_ms":5}})");
  const auto& refused = std::get<Refused>(std::get<Reply>(*message).body);
  EXPECT_EQ(refused.error.code, ErrorCode::kInternal);
  EXPECT_EQ(refused.error.message, "wait");
  EXPECT_EQ(refused.retry_after, milliseconds{5});
}

TEST(DecodeFromServer, GivesEachKeyTheGrantsTokenWhenNoneAreListed) {
  const auto message = decode_from_server(R"({"ok":true,"token":"9","keys":["patient/1","patient/2"],"lease_ms":100})");
  const auto& granted = std::get<Granted>(std::get<Reply>(*message).body);
  EXPECT_EQ(granted.tokens, (std::vector<KeyToken>{{{"patient", "1"}, {9}}, {{"patient", "2"}, {9}}}));
}

TEST(DecodeFromServer, NamesTheFieldThatIsWrong) {
  const auto message =
      decode_from_server(R"({"ok":true,"welcome":{"session":"1","locks":[{"key":"a/1","token":"x"}]}})");
  EXPECT_THAT(message.error().message, HasSubstr("'welcome.locks[0].token'"));
}

TEST(DecodeFromServer, ReadsTenThousandLocks) {
  LockList list;
  LockView lock;
  for (std::size_t i = 0; i < kMaxListed; ++i) {
    lock.key = {"patient", std::to_string(i)};
    list.locks.push_back(lock);
  }
  std::string json;
  encode_reply(json, {"1"}, list);
  EXPECT_EQ(std::get<LockList>(std::get<Reply>(*decode_from_server(json)).body), list);
}

}  // namespace
}  // namespace verbund::protocol
