#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/sample_messages.h"

#include "base/utf8.h"

namespace verbund::protocol {
namespace {

using ::testing::HasSubstr;

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string reply(const RequestId& id, const ReplyBody& body) {
  std::string out;
  encode_reply(out, id, body);
  return out;
}

TEST(EncodeString, EscapesWhatJsonForbidsAndKeepsTheRest) {
  EXPECT_EQ(quoted(""), R"("")");
  EXPECT_EQ(quoted("a\"b\\c/d"), R"("a\"b\\c/d")");
  EXPECT_EQ(quoted("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(quoted(std::string_view("\0\x01\x1f\x7f", 4)), R"("\u0000\u0001\u001f\u007f")");
  EXPECT_EQ(quoted("Größe \u2028 🙂"), "\"Größe \u2028 🙂\"");
}

TEST(EncodeString, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(quoted("M\xfcller"), "\"M\uFFFDller\"");
  EXPECT_EQ(quoted("cut \xe2\x82"), "\"cut \uFFFD\uFFFD\"");
  EXPECT_EQ(quoted("\xff\"\n"), "\"\uFFFD\\\"\\n\"");
}

TEST(EncodeReply, PutsTheRequestsIdFirstAndLeavesItOutWhenThereWasNone) {
  EXPECT_EQ(reply({"7"}, Done{}), R"({"re":7,"ok":true})");
  EXPECT_EQ(reply({R"("a\"b")"}, Done{}), R"({"re":"a\"b","ok":true})");
  EXPECT_EQ(reply({}, Delivered{2}), R"({"ok":true,"delivered":2})");
}

TEST(EncodeReply, ListsEachKeysTokenOfAGrant) {
  EXPECT_EQ(reply({"1"}, Granted{{9}, {{{"patient", "1"}, {9}}, {{"patient", "2"}, {4}}}, milliseconds{30'000}}),
            R"({"re":1,"ok":true,"token":"9","keys":["patient/1","patient/2"],"lease_ms":30000,)"
            R"("tokens":{"patient/1":"9","patient/2":"4"}})");
  EXPECT_EQ(reply({}, Granted{}), R"({"ok":true,"token":"0","keys":[],"lease_ms":0,"tokens":{}})");
}

TEST(EncodeReply, KeepsTheStatusOnOneLine) {
  EXPECT_EQ(reply({}, StatusReply{"{\n  \"node\": \"a\"\r\n}"}), R"({"ok":true,"status":{   "node": "a"  }})");
  EXPECT_EQ(reply({}, StatusReply{}), R"({"ok":true,"status":{}})");
}

TEST(EncodeReply, LeavesOutWhatIsOnlyToldToResumedSessions) {
  Welcome welcome;
  welcome.held = {{{"patient", "1"}, {1}}};
  EXPECT_THAT(reply({}, welcome), Not(HasSubstr("\"held\"")));
  welcome.resumed = true;
  EXPECT_THAT(reply({}, welcome), HasSubstr(R"("held":[{"key":"patient/1","token":"1"}],"lost":[])"));
}

TEST(EncodeRefused, TellsCodeMessageHintHolderAndDelay) {
  LockView holder;
  holder.key = {"patient", "1"};
  std::string out;
  encode_refused(out, {"1"}, {{ErrorCode::kHeld, "lock: patient/1: held", "Ask."}, holder, milliseconds{2000}},
                 Language::kEnglish);
  EXPECT_THAT(
      out,
      HasSubstr(
          R"({"re":1,"ok":false,"error":{"code":"held","message":"lock: patient/1: held","hint":"Ask.","holder":{"key":"patient/1",)"));
  EXPECT_THAT(out, HasSubstr(R"("retry_after_ms":2000}})"));
  out.clear();
  encode_refused(out, {}, {{ErrorCode::kNotHeld, "x", ""}, {}, {}}, Language::kEnglish);
  EXPECT_EQ(out, R"({"ok":false,"error":{"code":"not_held","message":"x"}})");
}

TEST(EncodeRefused, SpeaksTheLanguageOfTheSession) {
  std::string out;  // "error" and "hint" are in the catalog since it exists
  Error error = std::move(fail(ErrorCode::kInternal, phrase("error"), phrase("hint")).error()).in("lock: patient/1");
  encode_refused(out, {}, {error, {}, {}}, Language::kGerman);
  EXPECT_EQ(out, R"({"ok":false,"error":{"code":"internal","message":"lock: patient/1: Fehler","hint":"Hinweis"}})");
}

TEST(EncodeEvent, LeavesOutWhatIsEmpty) {
  std::string out;
  encode_event(out, Changes{{{"h"}, {3}}, {0x16B3748}, {}, {}, {{{"a", "1"}, ChangeOp::kDelete, {}, {}}}, {}, {}});
  EXPECT_EQ(out, R"({"event":"changes","history":"h","csn":"3","lsn":"0/16B3748","time":"1970-01-01T00:00:00.000000Z",)"
                 R"("by":{"how":"unknown"},"changes":[{"key":"a/1","op":"delete"}]})");
  out.clear();
  encode_event(out, Ping{});
  EXPECT_EQ(out, R"({"event":"ping"})");
}

TEST(Encode, AppendsAndNeverBreaksTheLine) {
  std::string out = "before";
  for (const auto& event : sample_events()) {
    encode_event(out, event);
  }
  for (const auto& reply : sample_replies()) {
    encode_reply(out, reply.id, reply.body);
  }
  for (const auto& request : sample_requests()) {
    encode_request(out, request);
  }
  EXPECT_TRUE(out.starts_with("before{"));
  EXPECT_EQ(out.find_first_of("\n\r"), std::string::npos);
  EXPECT_TRUE(is_utf8(out));
}

TEST(Modes, HaveTheirNamesFromTheConfiguration) {
  EXPECT_EQ(to_wire(Mode::kShared), "Shared");
  EXPECT_EQ(to_wire(Mode::kTerminalservice), "Terminalservice");
  EXPECT_EQ(to_wire(Mode::kClientServer), "Client-Server");
}

TEST(ValidUtf8, KnowsTheBordersOfRfc3629) {
  for (const auto* good : {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "12345678Größe und mehr"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const auto* bad : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2 ", "\xe0\x9f\xbf", "\xed\xa0\x80",
                          "\xed\xbf\xbf", "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                          "\xf8\x88\x80\x80\x80", "\xfe", "12345678\xff", "1234567\xc3"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
}

TEST(ValidUtf8, AgreesWithEveryCodePointOfTwoToFourBytes) {
  std::size_t valid = 0;
  for (unsigned lead = 0xc0; lead < 0x100; ++lead) {
    for (unsigned second = 0; second < 0x100; ++second) {
      const std::string two{static_cast<char>(lead), static_cast<char>(second)};
      valid += is_utf8(two) ? 1 : 0;
      valid += is_utf8(two + "\x80") ? 1 : 0;
      valid += is_utf8(two + "\x80\x80") ? 1 : 0;
    }
  }
  // RFC 3629: leads C2..DF take 64 second bytes; E0 and ED 32, the other 14 of three bytes 64; F0 48, F4 16, F1..F3 64.
  EXPECT_EQ(valid, 30U * 64 + (14U * 64 + 32 + 32) + (3U * 64 + 48 + 16));
}

}  // namespace
}  // namespace verbund::protocol
