#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/codec.h"

namespace verbund::protocol {
namespace {

using ::testing::HasSubstr;

BadRequest refused(std::string_view json) {
  auto request = decode_request(json);
  if (request) {
    ADD_FAILURE() << "taken: " << json;
    return {};
  }
  EXPECT_FALSE(request.error().error.message.empty());
  return std::move(request.error());
}

struct Malformed {
  std::string json;
  ErrorCode code;
  std::string says;
};

void expect_refused(const std::vector<Malformed>& cases) {
  for (const auto& malformed : cases) {
    const auto bad = refused(malformed.json);
    EXPECT_EQ(wire_name(bad.error.code), wire_name(malformed.code)) << malformed.json << '\n' << bad.error.message;
    EXPECT_THAT(bad.error.message, HasSubstr(malformed.says)) << malformed.json;
  }
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) {
    out += text;
  }
  return out;
}

std::string lock_of(std::size_t keys) {
  std::string json = R"({"id":1,"op":"lock","keys":[)";
  for (std::size_t i = 0; i < keys; ++i) {
    json += fmt::format(R"({}"patient/{}")", i == 0 ? "" : ",", i);
  }
  return json + "]}";
}

TEST(DecodeRequest, RefusesWhatIsNoJsonObject) {
  for (const auto* json : {"",
                           " ",
                           "{",
                           "}",
                           "[]",
                           "7",
                           "null",
                           "\"lock\"",
                           "{\"op\":\"beat\"",
                           "{\"op\":\"beat\"}{}",
                           "{\"op\":\"beat\",}",
                           "{'op':'beat'}",
                           "{\"op\" \"beat\"}",
                           "{\"op\":\"be\nat\"}",
                           "{op:\"beat\"}",
                           "{\"op\":\"beat\"} // comment",
                           "{\"op\":\"\\ud800\"}",
                           "{\"op\":\"\\x\"}",
                           "{\"n\":01,\"op\":\"beat\"}",
                           "{\"n\":NaN,\"op\":\"beat\"}",
                           "GET / HTTP/1.1"}) {
    EXPECT_EQ(refused(json).error.code, ErrorCode::kBadMessage) << json;
  }
  EXPECT_EQ(refused(std::string_view("{\"op\":\"beat\"}\0", 14)).error.code, ErrorCode::kBadMessage);
}

TEST(DecodeRequest, TakesWhiteSpaceAndCarriageReturnAround) {
  EXPECT_TRUE(decode_request(" \t{ \"op\" : \"beat\" } \r"));
}

TEST(DecodeRequest, NamesOperationFieldAndWhatIsAllowed) {
  expect_refused({
      {R"({"id":1})", ErrorCode::kBadMessage, "field 'op' must be a string"},
      {R"({"op":7})", ErrorCode::kBadMessage, "field 'op' must be a string"},
      {R"({"op":"lock"})", ErrorCode::kBadMessage, "lock: field 'keys' must be a list with at least one element"},
      {R"({"op":"lock","keys":[]})", ErrorCode::kBadMessage, "'keys'"},
      {R"({"op":"lock","keys":"patient/1"})", ErrorCode::kBadMessage, "'keys' must be a list"},
      {R"({"op":"lock","keys":["patient/1",7]})", ErrorCode::kBadMessage, "'keys[1]' must be a record key"},
      {R"({"op":"lock","keys":["patient"]})", ErrorCode::kBadKey, "'keys[0]'"},
      {R"({"op":"lock","keys":["patient/"]})", ErrorCode::kBadKey, "'keys[0]'"},
      {R"({"op":"lock","keys":["/1"]})", ErrorCode::kBadKey, "'keys[0]'"},
      {R"({"op":"lock","keys":["patient/a\nb"]})", ErrorCode::kBadKey, "control"},
      {R"({"op":"lock","keys":["patient/a\u0000"]})", ErrorCode::kBadKey, "control"},
      {R"({"op":"lock","keys":["patient/1"],"wait_ms":600001})", ErrorCode::kBadMessage,
       "'wait_ms' must be a whole number from 0 to 600000"},
      {R"({"op":"lock","keys":["patient/1"],"wait_ms":-1})", ErrorCode::kBadMessage, "'wait_ms'"},
      {R"({"op":"lock","keys":["patient/1"],"wait_ms":1.5})", ErrorCode::kBadMessage, "'wait_ms'"},
      {R"({"op":"lock","keys":["patient/1"],"wait_ms":1e999})", ErrorCode::kBadMessage, ""},
      {R"({"op":"lock","keys":["patient/1"],"wait_ms":99999999999999999999999})", ErrorCode::kBadMessage, "'wait_ms'"},
      {R"({"op":"lock","keys":["patient/1"],"wait_ms":"1"})", ErrorCode::kBadMessage, "'wait_ms'"},
      {R"({"op":"lock","keys":["patient/1"],"request":7})", ErrorCode::kBadMessage, "'request' must be a string"},
      {R"({"op":"unlock"})", ErrorCode::kBadMessage, "'keys'"},
      {R"({"op":"unlock","keys":["patient/1"],"token":"1"})", ErrorCode::kBadMessage, "beside 'keys'"},
      {R"({"op":"unlock","token":281479271677953})", ErrorCode::kBadMessage,
       "'token' must be a decimal number of 64 bits in a string"},
      {R"({"op":"unlock","token":"18446744073709551616"})", ErrorCode::kBadMessage, "'token'"},
      {R"({"op":"unlock","token":"-1"})", ErrorCode::kBadMessage, "'token'"},
      {R"({"op":"unlock","token":"1","lsn":"16B3748"})", ErrorCode::kBadMessage, "'lsn' must be a WAL position"},
      {R"({"op":"unlock","token":"1","wrote":1})", ErrorCode::kBadMessage, "'wrote' must be true or false"},
      {R"({"op":"cancel"})", ErrorCode::kBadMessage, "'request' is missing"},
      {R"({"op":"cancel","request":""})", ErrorCode::kBadMessage, "'request' must not be empty"},
      {R"({"op":"tell","to":"*"})", ErrorCode::kBadMessage, "'text'"},
      {R"({"op":"tell","text":"x"})", ErrorCode::kBadMessage, "'to'"},
      {R"({"op":"tell","to":"*","text":"a\u0007"})", ErrorCode::kBadMessage, "control"},
      {R"({"op":"watch"})", ErrorCode::kBadMessage, "'watch' is missing"},
      {R"({"op":"watch","watch":["*"]})", ErrorCode::kBadMessage, "'watch' must be an object"},
      {R"({"op":"watch","watch":{"types":"*"}})", ErrorCode::kBadMessage, "'watch.types' must be a list"},
      {R"({"op":"watch","watch":{"types":[""]}})", ErrorCode::kBadMessage, "'watch.types[0]' must not be empty"},
      {R"({"op":"watch","watch":{},"cursor":{"history":"h"}})", ErrorCode::kBadMessage, "'cursor.csn'"},
      {R"({"op":"changed","changes":[{"key":"letter/1"}]})", ErrorCode::kBadMessage,
       "'changes[0].op' must be one of 'insert', 'update', 'delete'"},
      {R"({"op":"changed","changes":[{"key":"letter/1","op":"update"},3]})", ErrorCode::kBadMessage,
       "'changes[1]' must be an object"},
  });
}

TEST(DecodeRequest, NamesWhatARegistrationLacks) {
  expect_refused({
      {R"({"op":"register","user":"anna"})", ErrorCode::kBadMessage, "register: field 'workstation' is missing"},
      {R"({"op":"register","workstation":""})", ErrorCode::kBadMessage, "'workstation' must not be empty"},
      {R"({"op":"register","workstation":"a\tb"})", ErrorCode::kBadMessage, "control"},
      {R"({"op":"register","workstation":"a\u007f"})", ErrorCode::kBadMessage, "control"},
      {R"({"op":"register","workstation":"W","kind":"robot"})", ErrorCode::kBadMessage,
       "must be one of 'workstation', 'tool'"},
      {R"({"op":"register","workstation":"W","lang":"fr"})", ErrorCode::kBadMessage, "must be one of 'de', 'en'"},
      {R"({"op":"register","workstation":"W","user":["anna"]})", ErrorCode::kBadMessage, "'user' must be a string"},
      {R"({"op":"resume"})", ErrorCode::kBadMessage, "'session'"},
      {R"({"op":"resume","session":17,"secret":"x"})", ErrorCode::kBadMessage, "'session'"},
      {R"({"op":"resume","session":"0","secret":"x"})", ErrorCode::kBadMessage, "'session' must be the id"},
      {R"({"op":"resume","session":"17"})", ErrorCode::kBadMessage, "'secret'"},
      {R"({"op":"resume","session":"17","secret":"x","reclaim":[{"key":"patient/1"}]})", ErrorCode::kBadMessage,
       "'reclaim[0].token'"},
      {R"({"op":"resume","session":"17","secret":"x","reclaim":[{"key":"1","token":"1"}]})", ErrorCode::kBadKey,
       "'reclaim[0].key'"},
  });
  EXPECT_TRUE(decode_request(R"({"op":"register","ticket":"t"})"));
  EXPECT_TRUE(decode_request(R"({"op":"resume","ticket":"t"})"));
}

TEST(DecodeRequest, HoldsEveryLimit) {
  const auto name = std::string(kMaxNameBytes, 'n');
  const auto text = std::string(kMaxTextBytes, 't');
  EXPECT_TRUE(decode_request(fmt::format(R"({{"op":"register","workstation":"{}"}})", name)));
  EXPECT_TRUE(decode_request(fmt::format(R"({{"op":"tell","to":"*","text":"{}"}})", text)));
  EXPECT_TRUE(decode_request(lock_of(kMaxKeysPerRequest)));
  expect_refused({
      {fmt::format(R"({{"op":"register","workstation":"{}n"}})", name), ErrorCode::kTooLarge,
       "129 bytes, 128 are allowed"},
      {fmt::format(R"({{"op":"register","workstation":"W","user":"{}n"}})", name), ErrorCode::kTooLarge, "'user'"},
      {fmt::format(R"({{"op":"register","workstation":"W","password":"{}"}})", text), ErrorCode::kTooLarge,
       "'password'"},
      {fmt::format(R"({{"op":"tell","to":"*","text":"{}t"}})", text), ErrorCode::kTooLarge,
       "4001 bytes, 4000 are allowed"},
      {fmt::format(R"({{"op":"lock","keys":["a/b"],"note":"{}n"}})", name), ErrorCode::kTooLarge, "'note'"},
      {fmt::format(R"({{"op":"lock","keys":["a/b"],"request":"{}"}})", name), ErrorCode::kTooLarge, "'request'"},
      {fmt::format(R"({{"op":"lock","keys":["a/{}"]}})", text), ErrorCode::kBadKey, "too long"},
      {fmt::format(R"({{"op":"locks","prefix":"{}"}})", text), ErrorCode::kTooLarge, "'prefix'"},
      {lock_of(kMaxKeysPerRequest + 1), ErrorCode::kTooManyKeys, "'keys' has 257 elements, 256 are allowed"},
      {R"({"op":"watch","watch":{"types":[)" + repeated("\"a\",", kMaxWatchedTypes) + R"("a"]}})", ErrorCode::kTooLarge,
       "'watch.types'"},
      {R"({"op":"resume","session":"1","secret":"x","reclaim":[)" + repeated("{},", kMaxReclaims) + "{}]}",
       ErrorCode::kTooLarge, "'reclaim'"},
      {R"({"op":"changed","changes":[)" + repeated("{},", kMaxAnnouncedChanges) + "{}]}", ErrorCode::kTooManyKeys,
       "'changes'"},
  });
}

TEST(DecodeRequest, RefusesAHundredThousandKeysWithTheirRequestsId) {
  const auto bad = refused(lock_of(100'000));
  EXPECT_EQ(bad.error.code, ErrorCode::kTooManyKeys);
  EXPECT_EQ(bad.id.json, "1");
}

TEST(DecodeRequest, SkipsAHundredThousandUnknownFields) {
  std::string json = R"({"op":"beat","id":"x")";
  for (int i = 0; i < 100'000; ++i) {
    json += fmt::format(R"(,"k{}":{})", i, i);
  }
  const auto request = decode_request(json + "}");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->id.json, R"("x")");
}

TEST(DecodeRequest, TakesSixteenLevelsAndNoMore) {
  const auto nested = [](std::size_t levels) {  // the object itself is the first
    return R"({"op":"beat","x":)" + repeated("[", levels - 1) + repeated("]", levels - 1) + "}";
  };
  EXPECT_TRUE(decode_request(nested(kMaxNesting)));
  EXPECT_EQ(refused(nested(kMaxNesting + 1)).error.code, ErrorCode::kTooDeep);
  EXPECT_EQ(refused(nested(400'000)).error.code, ErrorCode::kTooDeep);
  EXPECT_EQ(refused(repeated("{\"a\":", 100'000)).error.code, ErrorCode::kTooDeep);
}

TEST(DecodeRequest, RefusesWhatIsNotUtf8BeforeAnythingElse) {
  for (const auto* bytes : {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                            "\xf5\x80\x80\x80", "\xff", "\xe2\x82", "M\xfcller"}) {
    const auto bad = refused(std::string(R"({"op":"tell","to":"*","text":")") + bytes + "\"}");
    EXPECT_EQ(bad.error.code, ErrorCode::kBadUtf8);
    EXPECT_THAT(bad.error.message, HasSubstr("byte 3"));
  }
}

TEST(DecodeRequest, NamesTheOperationsWhenOneIsUnknown) {
  const auto bad = refused(R"({"op":"frobnicate","id":"a"})");
  EXPECT_EQ(bad.error.code, ErrorCode::kUnknownOp);
  EXPECT_THAT(bad.error.message, HasSubstr("'frobnicate'"));
  EXPECT_THAT(bad.error.hint, HasSubstr("unlock"));
  EXPECT_EQ(bad.id.json, R"("a")");
  EXPECT_EQ(refused(R"({"op":"LOCK"})").error.code, ErrorCode::kUnknownOp);
}

TEST(DecodeRequest, KeepsTheIdAsJsonText) {
  const auto id = [](std::string_view json) {
    return decode_request(fmt::format(R"({{"op":"beat","id":{}}})", json))->id.json;
  };
  EXPECT_EQ(id("7"), "7");
  EXPECT_EQ(id("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(id("18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(id(R"("a\"b\n\u00fc")"), R"("a\"b\nü")");
  EXPECT_EQ(id("null"), "");
  EXPECT_EQ(id('"' + std::string(kMaxRequestIdBytes, 'i') + '"').size(), kMaxRequestIdBytes + 2);
  for (const auto* json : {"1.5", "{}", "[1]", "true", "18446744073709551616"}) {
    const auto bad = refused(fmt::format(R"({{"op":"beat","id":{}}})", json));
    EXPECT_THAT(bad.error.message, HasSubstr("'id'"));
    EXPECT_EQ(bad.id.json, "");
  }
  EXPECT_THAT(refused(R"({"op":"beat","id":")" + std::string(kMaxRequestIdBytes + 1, 'i') + "\"}").error.message,
              HasSubstr("'id'"));
}

TEST(DecodeRequest, IgnoresUnknownFieldsAndTakesNullForAbsent) {
  const auto request =
      decode_request(R"({"op":"lock","keys":["patient/1"],"wait_ms":null,"note":null,"future":{"a":[1.5e300]}})");
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<Lock>(request->body), (Lock{{{"patient", "1"}}, milliseconds{0}, {}, {}}));
}

TEST(DecodeRequest, TakesRepeatedFieldsWithoutHarm) {
  const auto request = decode_request(R"({"op":"who","op":"beat","id":1,"id":2})");
  ASSERT_TRUE(request);
  EXPECT_TRUE(std::holds_alternative<Beat>(request->body));
}

TEST(DecodeRequest, WatchesEverythingUnlessTold) {
  const auto watch = [](std::string_view json) {
    return std::get<SetWatch>(decode_request(fmt::format(R"({{"op":"watch","watch":{}}})", json))->body).watch;
  };
  EXPECT_EQ(watch("{}"), Watch{});
  EXPECT_EQ(watch(R"({"types":[]})"), (Watch{{}, true, true}));
  EXPECT_EQ(watch(R"({"types":["patient"],"locks":false})"), (Watch{{"patient"}, false, true}));
}

}  // namespace
}  // namespace verbund::protocol
