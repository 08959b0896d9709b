#include "platform/net/frame_reader.h"
#include "platform/net/net_fixture.h"

namespace verbund::net {
namespace {

using HttpServerTest = ServerTest;

constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: a=1; verbund=\"secret\"\r\n\r\n";

std::string frame(Opcode opcode, std::string_view payload) {
  std::string out;
  append_masked_frame(out, opcode, payload, 0x12345678);
  return out;
}

TEST_F(HttpServerTest, KeepsTheConnectionAndAnswersPipelinedRequestsInOrder) {
  start();
  RawClient client(port);
  client.send("GET /a%20b?x=1&y=%26 HTTP/1.1\r\nHost: h\r\n\r\nPOST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo");
  EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
  const std::string first = "GET /a b  x=1 y=&";
  EXPECT_EQ(client.read_bytes(first.size()), first);
  client.send("dyGET /d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  client.read_until("\r\n\r\n");
  EXPECT_EQ(client.read_bytes(12), "POST /c body");
  const auto head = client.read_until("\r\n\r\n");
  EXPECT_NE(head.find("Connection: close"), std::string::npos);
  EXPECT_EQ(client.read_all(), "GET /d ");
  EXPECT_TRUE(client.ended());
}

TEST_F(HttpServerTest, AnswersFromAnotherThreadAndForAForgottenExchange) {
  Watched<std::shared_ptr<HttpExchange>> waiting;
  handler.request_hook = [&](std::shared_ptr<HttpExchange> exchange) {
    if (exchange->request().path == "/later") waiting.set(std::move(exchange));
  };
  start();
  RawClient client(port);
  client.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(waiting.wait([](const auto& exchange) { return exchange != nullptr; }));
  waiting.get()->reply({202, "text/plain", "late", {{"X-Thing", "a\r\nb"}}});
  waiting.set(nullptr);
  const auto head = client.read_until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 202 Accepted\r\n"));
  EXPECT_NE(head.find("X-Thing: ab\r\n"), std::string::npos);
  EXPECT_EQ(client.read_bytes(4), "late");
  client.send("GET /forgotten HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 500 "));
}

TEST_F(HttpServerTest, AnswersHeadWithoutBodyAndExpectContinue) {
  start();
  RawClient client(port);
  client.send("HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(client.read_until("\r\n\r\n").find("Content-Length: 8"), std::string::npos);
  client.send("PUT /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ok");
  client.read_until("\r\n\r\n");
  EXPECT_EQ(client.read_bytes(9), "PUT /p ok");
}

TEST_F(HttpServerTest, BoundsHeaderAndBodyAndRefusesNonsense) {
  limits.max_http_header_bytes = 2000;
  limits.max_http_body_bytes = 1000;
  start();
  RawClient header(port);
  header.send("GET / HTTP/1.1\r\nX: " + std::string(3000, 'x') + "\r\n\r\n");
  EXPECT_TRUE(header.read_all().starts_with("HTTP/1.1 431 "));
  RawClient body(port);
  body.send("POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n");
  EXPECT_TRUE(body.read_all().starts_with("HTTP/1.1 413 "));
  RawClient nonsense(port);
  nonsense.send("GE\x01T / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(nonsense.read_all().starts_with("HTTP/1.1 400 "));
  RawClient target(port);
  target.send("GET /%zz HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(target.read_all().starts_with("HTTP/1.1 400 "));
}

TEST_F(HttpServerTest, UpgradesToWebSocketAndTakesFramesSentAlong) {
  handler.message_hook = [](Peer& peer, std::string_view message) { peer.send(peer.cookie("verbund") + " " + std::string(message)); };
  start();
  RawClient client(port);
  client.send(std::string(kUpgrade) + frame(Opcode::kText, "hallo"));
  const auto head = client.read_until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 "));
  EXPECT_NE(head.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos);  // RFC 6455 §1.3
  EXPECT_EQ(client.read_bytes(14), "\x81\x0csecret hallo");
  client.send(frame(Opcode::kPing, "p"));
  EXPECT_EQ(client.read_bytes(3), "\x8a\x01p");
  client.send(frame(Opcode::kClose, "\x03\xe8"));
  EXPECT_EQ(client.read_all(), "\x88\x02\x03\xe8");
  EXPECT_TRUE(handler.wait_for("close peer"));
}

TEST_F(HttpServerTest, EndsAWebSocketThatBreaksTheRules) {
  limits.max_first_frame_bytes = 100;
  start();
  const auto answer_to = [&](const std::string& bytes) {
    RawClient client(port);
    client.send(std::string(kUpgrade) + bytes);
    client.read_until("\r\n\r\n");
    return client.read_all();
  };
  EXPECT_EQ(answer_to("\x81\x01x"), "\x88\x02\x03\xea");                                        // unmasked
  EXPECT_EQ(answer_to(frame(Opcode::kText, "\xff")), "\x88\x02\x03\xef");                       // not UTF-8
  EXPECT_EQ(answer_to(frame(Opcode::kBinary, "x")), "\x88\x02\x03\xeb");
  const auto too_large = answer_to(frame(Opcode::kText, std::string(101, 'x')));
  EXPECT_EQ(too_large, "\x81\x09too_large\x88\x02\x03\xf1");
  EXPECT_TRUE(handler.wait_for("too_large 101"));
  EXPECT_TRUE(handler.wait_for("close too_large"));
  EXPECT_TRUE(handler.wait_for("close error"));
}

TEST_F(HttpServerTest, RefusesUpgradesThatAreNotAllowedOrNotProper) {
  start();
  RawClient elsewhere(port);
  elsewhere.send("GET /other HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  EXPECT_TRUE(elsewhere.read_all().starts_with("HTTP/1.1 403 "));
  RawClient old(port);
  old.send("GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\r\n");
  EXPECT_TRUE(old.read_all().starts_with("HTTP/1.1 426 "));
}

}  // namespace
}  // namespace verbund::net
