#include "sync/model/messages.h"

#include <gtest/gtest.h>

#include "sync/model/sums.h"

namespace verbund::sync {
namespace {

SyncReply full_reply() {
  SyncReply reply;
  reply.number = 1ULL << 60;
  reply.history = "00112233445566778899aabbccddeeff";
  reply.csn = Csn{(1ULL << 62) + 1};
  Session session;
  session.mode = Session::Mode::kDelta;
  session.subscription = "Größe \"1\"";
  session.shape = "s";
  session.layout = {"patient", {{"id", "uuid", Kind::kText, true}, {"weight", "double precision", Kind::kReal, false}}, {0}, {{{"id"}, "person", {"id"}, "CASCADE"}}};
  session.may_update = true;
  reply.sessions = {session, {.mode = Session::Mode::kFailed, .subscription = "x", .shape = {}, .layout = {}, .error = "bad_config", .message = "no"}};
  reply.outcomes = {{Outcome::State::kRejected, 7, 3, "x", "version", "t"}, {Outcome::State::kApplied, 8, 0, "x", "", ""}};
  reply.safe_upload = 6;
  reply.lease = seconds{86'400};
  reply.lease_key = std::string("\x01\x00\xff", 3);
  reply.servers = {"10.0.0.2:2222", "spiegel.local:2222"};
  reply.next_in = milliseconds{1234};
  return reply;
}

TEST(SyncMessages, ARequestComesOutAsItWentIn) {
  SyncRequest request;
  request.number = 1ULL << 61;
  request.set = "Pflege";
  request.history = "h";
  request.cursors = {{"patients", Csn{1ULL << 62}, "shape", RowSums(4)}, {"new", Csn{}, ""}};
  request.upload = 5;
  request.upload_hash = "abc";
  const TableLayout layout{"patient", {{"id", "uuid", Kind::kText, true}}, {0}, {}};
  request.parts = {{"patients", 0, 2, layout}, {"visits", 2, 1, layout}};
  auto read = decode_sync_request(encode(request));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(encode(*read), encode(request));
  EXPECT_EQ(read->cursors[0].csn, request.cursors[0].csn);
  EXPECT_EQ(read->cursors[0].sums.value_or(RowSums(1)).bytes(), RowSums(4).bytes());
  EXPECT_EQ(read->parts[1].first_block, 2U);
  EXPECT_EQ(decode_sync_request(R"({"number":"1","cursors":[{"subscription":"p","csn":"1","sums":"AAAA"}]})").error().code, ErrorCode::kBadMessage);
}

TEST(SyncMessages, AReplyComesOutAsItWentIn) {
  auto read = decode_sync_reply(encode(full_reply()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(encode(*read), encode(full_reply()));
  EXPECT_EQ(read->sessions[0].layout, full_reply().sessions[0].layout);
  EXPECT_EQ(read->sessions[1].mode, Session::Mode::kFailed);
  EXPECT_EQ(read->csn, full_reply().csn);
}

TEST(SyncMessages, EveryCutIsRefusedAndSaysSo) {
  for (const auto& text : {encode(full_reply()), encode(SyncReply{})}) {
    for (std::size_t size = 0; size < text.size(); ++size) {
      auto read = decode_sync_reply(std::string_view(text).substr(0, size));
      ASSERT_FALSE(read) << size;
      EXPECT_EQ(read.error().code, ErrorCode::kBadMessage);
    }
  }
}

TEST(SyncMessages, WhatIsWrongIsNamed) {
  EXPECT_NE(decode_sync_request("{}").error().message.find("number"), std::string::npos);
  EXPECT_NE(decode_sync_request(R"({"number":"1","cursors":[{"subscription":"a","csn":"-1"}]})").error().message.find("csn"), std::string::npos);
  EXPECT_NE(decode_sync_request(R"({"number":"1","parts":[{"subscription":"a","first_block":0,"blocks":5000,"layout":{"table":"t","columns":[{"name":"a","type":"x","kind":"text"}],"key":[0]}}]})").error().message.find("parts"), std::string::npos);
  EXPECT_NE(decode_enrol_request(R"({"code":"x","name":""})").error().message.find("name"), std::string::npos);
  EXPECT_FALSE(decode_sync_request("[]"));
  EXPECT_FALSE(decode_sync_request(std::string(100, '[')));
  auto reply = full_reply();
  reply.sessions[0].layout.key = {5};
  EXPECT_NE(decode_sync_reply(encode(reply)).error().message.find("key"), std::string::npos);
}

}  // namespace
}  // namespace verbund::sync
