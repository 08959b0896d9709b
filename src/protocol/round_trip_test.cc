#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/utf8.h"
#include "protocol/json_write.h"
#include "protocol/sample_messages.h"

namespace verbund::protocol {
namespace {

std::string encoded(const Request& request) {
  std::string out;
  encode_request(out, request);
  return out;
}

TEST(RoundTrip, KeepsEveryRequest) {
  std::set<std::size_t> kinds;
  for (const auto& request : sample_requests()) {
    const auto json = encoded(request);
    const auto back = decode_request(json);
    ASSERT_TRUE(back) << json << '\n' << back.error().error.message;
    EXPECT_EQ(back->id.json, request.id.json) << json;
    EXPECT_TRUE(back->body == request.body) << json << '\n' << encoded(*back);
    kinds.insert(request.body.index());
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<RequestBody>);
}

TEST(RoundTrip, KeepsEveryReply) {
  std::set<std::size_t> kinds;
  for (const auto& reply : sample_replies()) {
    std::string json;
    encode_reply(json, reply.id, reply.body);
    const auto back = decode_from_server(json);
    ASSERT_TRUE(back) << json << '\n' << back.error().message;
    const auto* got = std::get_if<Reply>(&*back);
    ASSERT_NE(got, nullptr) << json;
    EXPECT_EQ(got->id.json, reply.id.json) << json;
    EXPECT_TRUE(got->body == reply.body) << json;
    kinds.insert(reply.body.index());
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<ReplyBody> - 1);  // WatchReply reads as BeatReply
}

TEST(RoundTrip, ReadsTheReplyToWatchAsACursor) {
  std::string json;
  const Cursor cursor{{"00112233445566778899aabbccddeeff"}, {5}};
  encode_reply(json, {"1"}, WatchReply{cursor});
  EXPECT_EQ(std::get<BeatReply>(std::get<Reply>(*decode_from_server(json)).body).cursor, cursor);
}

TEST(RoundTrip, KeepsEveryEvent) {
  std::set<std::size_t> kinds;
  for (const auto& event : sample_events()) {
    std::string json;
    encode_event(json, event);
    const auto back = decode_from_server(json);
    ASSERT_TRUE(back) << json << '\n' << back.error().message;
    const auto* got = std::get_if<Event>(&*back);
    ASSERT_NE(got, nullptr) << json;
    EXPECT_TRUE(*got == event) << json;
    kinds.insert(event.index());
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<Event>);
}

void append_utf8(std::string& out, char32_t point) {
  const auto byte = [&out](char32_t value) { out += static_cast<char>(static_cast<unsigned char>(value)); };
  if (point < 0x80) {
    byte(point);
  } else if (point < 0x800) {
    byte(0xc0 | point >> 6);
    byte(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    byte(0xe0 | point >> 12);
    byte(0x80 | (point >> 6 & 0x3f));
    byte(0x80 | (point & 0x3f));
  } else {
    byte(0xf0 | point >> 18);
    byte(0x80 | (point >> 12 & 0x3f));
    byte(0x80 | (point >> 6 & 0x3f));
    byte(0x80 | (point & 0x3f));
  }
}

/// Text without control characters, of up to `max_bytes`.
rc::Gen<std::string> some_text(std::size_t max_bytes) {
  const auto point =
      rc::gen::oneOf(rc::gen::inRange<std::uint32_t>(0x20, 0x7f), rc::gen::inRange<std::uint32_t>(0xa0, 0xd800),
                     rc::gen::inRange<std::uint32_t>(0xe000, 0x110000),
                     rc::gen::element<std::uint32_t>('"', '\\', '/', 0x2028, 0x10ffff));
  return rc::gen::map(rc::gen::container<std::vector<std::uint32_t>>(point), [max_bytes](const auto& points) {
    std::string out;
    for (const auto value : points) {
      if (out.size() + 4 > max_bytes) {
        break;
      }
      append_utf8(out, value);
    }
    return out;
  });
}

std::string nonempty_text(std::size_t max_bytes) { return 'x' + *some_text(max_bytes - 1); }

RecordKey some_key() {
  std::string type = nonempty_text(kMaxRecordTypeBytes);
  std::erase(type, '/');
  return {type, nonempty_text(kMaxRecordIdBytes)};
}

std::vector<RecordKey> some_keys() {
  std::vector<RecordKey> keys(*rc::gen::inRange<std::size_t>(1, 6));
  std::ranges::generate(keys, some_key);
  return keys;
}

std::uint64_t some_number() { return *rc::gen::arbitrary<std::uint64_t>(); }
bool coin() { return *rc::gen::arbitrary<bool>(); }
Cursor some_cursor() { return {{*some_text(64)}, {some_number()}}; }
WallTime some_time() { return WallTime{microseconds{*rc::gen::inRange<std::int64_t>(0, 253'402'300'799'999'999)}}; }
std::string some_name() { return *some_text(kMaxNameBytes); }

template <typename T>
void expect_same(const RequestId& id, T body) {
  const Request request{id, std::move(body)};
  const auto json = encoded(request);
  RC_ASSERT(json.find('\n') == std::string::npos);
  const auto back = decode_request(json);
  RC_ASSERT(back.has_value());
  RC_ASSERT(back->id.json == id.json);
  RC_ASSERT(back->body == request.body);
}

RC_GTEST_PROP(RoundTripProperty, KeepsAnyLockAndUnlock, ()) {
  RequestId id;
  append_json_string(id.json, *some_text(kMaxRequestIdBytes));
  expect_same(
      id, Lock{some_keys(), milliseconds{*rc::gen::inRange(0, 600'001)}, *some_text(kMaxRequestIdBytes), some_name()});
  Unlock unlock{some_keys(), {}, {}, coin(), *some_text(kMaxRequestIdBytes)};
  if (coin()) {
    unlock.keys.clear();
    unlock.token = {some_number() | 1};
  }
  if (coin()) {
    unlock.lsn = Lsn{some_number()};
  }
  expect_same({std::to_string(some_number())}, unlock);
}

RC_GTEST_PROP(RoundTripProperty, KeepsAnyRegistration, ()) {
  Register request;
  request.user = some_name();
  request.password =
      *rc::gen::map(rc::gen::container<std::vector<std::uint32_t>>(rc::gen::inRange<std::uint32_t>(0, 0x7ff)),
                    [](const auto& points) {
                      std::string out;
                      std::ranges::for_each(points, [&](auto p) { append_utf8(out, p); });
                      return out;
                    });
  request.workstation = nonempty_text(kMaxNameBytes);
  request.app = some_name();
  request.watch = {{nonempty_text(kMaxRecordTypeBytes)}, coin(), coin()};
  if (coin()) {
    request.cursor = some_cursor();
  }
  expect_same({}, request);
  Resume resume{{some_number() | 1}, nonempty_text(100), some_name(), some_cursor(), {}, {}};
  for (auto& key : some_keys()) {
    resume.reclaim.push_back({key, {some_number()}});
  }
  expect_same({"-1"}, resume);
}

RC_GTEST_PROP(RoundTripProperty, KeepsAnyMessageOfTheServer, ()) {
  const SessionView from{{some_number()}, some_name(),        some_name(),           some_name(),
                         some_name(),     SessionKind::kTool, SessionState::kActive, some_time()};
  const LockView lock{
      some_key(),  {some_number()}, {some_number()}, some_name(),      some_name(),
      some_name(), some_time(),     some_name(),     LockState::kHeld, static_cast<std::uint32_t>(some_number())};
  Changes changes{some_cursor(),
                  {some_number()},
                  some_time(),
                  {ChangeAuthor::How::kLock, {some_number()}, some_name(), some_name()},
                  {},
                  {},
                  {}};
  for (auto& key : some_keys()) {
    changes.changes.push_back({key, ChangeOp::kUpdate, some_key(), {some_name()}});
  }
  changes.bulk = {{some_name(), some_number()}};
  for (const Event& event : {Event{changes}, Event{MessageFrom{from, some_name(), *some_text(4000), some_time()}},
                             Event{LockGranted{{lock}}}, Event{LockReleased{some_keys(), {some_number()}, coin()}}}) {
    std::string json;
    encode_event(json, event);
    const auto back = decode_from_server(json);
    RC_ASSERT(back.has_value());
    RC_ASSERT(std::get<Event>(*back) == event);
  }
}

RC_GTEST_PROP(RoundTripProperty, WritesAnyTimeAsToIso8601Does, ()) {
  const auto time = some_time();
  std::string json;
  append_time(json, time);
  RC_ASSERT(json == '"' + to_iso8601(time) + '"');
}

RC_GTEST_PROP(RoundTripProperty, AnyBytesBecomeAValidJsonString, (const std::string& bytes)) {
  std::string json = R"({"op":"tell","to":"*","text":")";
  json.pop_back();
  append_json_string(json, "x" + bytes);
  json += '}';
  RC_ASSERT(is_utf8(json));
  RC_ASSERT(json.find('\n') == std::string::npos);
  const auto back = decode_request(json);
  const bool good = back || back.error().error.message.find("control characters") != std::string::npos;
  RC_ASSERT(good);
}

RC_GTEST_PROP(RoundTripProperty, AnyBytesAreTakenOrRefusedButNeverHarm, (const std::string& bytes)) {
  const auto request = decode_request(bytes);
  const auto reply = decode_from_server(bytes);
  const bool explained =
      (request || !request.error().error.message.empty()) && (reply || reply.error().code == ErrorCode::kBadMessage);
  RC_ASSERT(explained);
}

}  // namespace
}  // namespace verbund::protocol
