#include "platform/net/client.h"

#include <future>

#include "platform/net/net_certificates.h"
#include "platform/net/net_fixture.h"

namespace verbund::net {
namespace {

/// A client on a loop of its own, whose callbacks become text: "open", "message …", "close <wire name>".
class TestClient {
 public:
  explicit TestClient(const Endpoint& endpoint, seconds connect_timeout = seconds(10)) {
    const MessageClient::Events on{
        [this] { note("open"); },
        [this](std::string_view message) { note(message.size() < 100 ? "message " + std::string(message)
                                                                    : fmt::format("message of {}", message.size())); },
        [this](const Error& error) {
          last_error.set(error);
          note("close " + std::string(wire_name(error.code)));
        }};
    client_ = std::make_unique<MessageClient>(loop_, endpoint, connect_timeout, on);
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~TestClient() {
    loop_.post([this] {
      client_.reset();
      loop_.stop();
    });
    thread_.join();
  }
  void send(std::string message) {
    loop_.post([this, message] { client_->send(message); });
  }
  void close() {
    loop_.post([this] { client_->close(); });
  }
  bool wait_for(std::string_view event) {
    return events.wait([&](const auto& all) { return std::ranges::count(all, event) > 0; });
  }
  Watched<std::vector<std::string>> events;
  Watched<Error> last_error;

 private:
  void note(std::string event) {
    events.change([&](auto& all) { all.push_back(std::move(event)); });
  }
  EventLoop loop_;
  std::unique_ptr<MessageClient> client_;
  std::thread thread_;
};

class ClientTest : public ServerTest {
 protected:
  Endpoint endpoint(Wire wire, const std::string& server_name = "127.0.0.1") {
    Endpoint to{server_name, port, tls.has_value(), {}, wire};
    if (to.tls) to.ca_pem = authority.ca_pem();
    return to;
  }
  TestAuthority authority;
};

class ClientOverEachWire : public ClientTest, public testing::WithParamInterface<std::pair<Wire, bool>> {};

TEST_P(ClientOverEachWire, ExchangesMessagesSmallAndLarge) {
  const auto [wire, encrypted] = GetParam();
  if (encrypted) tls = authority.identity("DNS:localhost,IP:127.0.0.1");
  limits.max_first_frame_bytes = limits.max_frame_bytes = limits.max_queue_bytes = 3'000'000;
  start();
  TestClient client(endpoint(wire));
  client.send("early");
  EXPECT_TRUE(client.wait_for("message echo early"));
  for (int i = 0; i < 100; ++i) client.send(std::to_string(i));
  client.send(std::string(2'000'000, 'm'));
  EXPECT_TRUE(client.wait_for("message echo 99"));
  EXPECT_TRUE(client.wait_for("message of 2000005"));
  client.close();
  EXPECT_TRUE(client.wait_for("close cancelled"));
  EXPECT_TRUE(handler.wait_for("close peer"));
}

TEST_P(ClientOverEachWire, IsToldWhenTheServerCloses) {
  const auto [wire, encrypted] = GetParam();
  if (encrypted) tls = authority.identity("DNS:localhost,IP:127.0.0.1");
  handler.message_hook = [](Peer& peer, std::string_view) {
    peer.send("last words");
    peer.close();
  };
  start();
  TestClient client(endpoint(wire));
  client.send("x");
  EXPECT_TRUE(client.wait_for("close not_reachable"));
  EXPECT_TRUE(client.wait_for("message last words"));
}

INSTANTIATE_TEST_SUITE_P(Wires, ClientOverEachWire,
                         testing::Values(std::pair{Wire::kLine, false}, std::pair{Wire::kLine, true},
                                         std::pair{Wire::kWebSocket, false}, std::pair{Wire::kWebSocket, true}));

TEST_F(ClientTest, FindsTheServerByNameAndChecksTheName) {
  tls = authority.identity("DNS:localhost");
  start();
  TestClient by_name(endpoint(Wire::kLine, "localhost"));
  EXPECT_TRUE(by_name.wait_for("open"));
  TestClient by_address(endpoint(Wire::kLine));  // 127.0.0.1 is not in the certificate
  EXPECT_TRUE(by_address.wait_for("close untrusted"));
}

TEST_F(ClientTest, RefusesOtherAuthoritiesAndExpiredCertificates) {
  tls = TestAuthority().identity("IP:127.0.0.1");
  start();
  TestClient other(endpoint(Wire::kWebSocket));
  EXPECT_TRUE(other.wait_for("close untrusted"));
  on_loop([&] { ASSERT_TRUE(server->use_tls(authority.identity("IP:127.0.0.1", -60))); });
  TestClient expired(endpoint(Wire::kLine));
  EXPECT_TRUE(expired.wait_for("close untrusted"));
  EXPECT_NE(expired.last_error.get().message.find("expired"), std::string::npos) << expired.last_error.get().message;
}

TEST_F(ClientTest, TrustsTheAuthorityThatItsFingerprintNamesAndNoOther) {
  tls = authority.identity("DNS:localhost");
  tls->certificate_chain_pem += authority.ca_pem();
  start();
  auto pinned = endpoint(Wire::kLine);
  pinned.ca_pem.clear();
  pinned.certificate_name = "localhost";
  for (const std::size_t bytes : {kMinFingerprintBytes, std::size_t{32}}) {
    pinned.ca_fingerprint = authority.fingerprint().substr(0, bytes);
    TestClient client(pinned);
    EXPECT_TRUE(client.wait_for("open"));
    const auto response = http_request(pinned, {"GET", "/", {}, {}, {}, {}}, seconds(5));
    EXPECT_TRUE(response) << response.error().message;
  }
  // The name counts as ever.
  auto elsewhere = pinned;
  elsewhere.certificate_name = "other.example";
  EXPECT_EQ(http_request(elsewhere, {"GET", "/", {}, {}, {}, {}}, seconds(5)).error().code, ErrorCode::kUntrusted);
  auto other = pinned;
  other.ca_fingerprint[0] = static_cast<char>(other.ca_fingerprint[0] ^ 1);
  EXPECT_EQ(http_request(other, {"GET", "/", {}, {}, {}, {}}, seconds(5)).error().code, ErrorCode::kUntrusted);
  auto too_short = pinned;
  too_short.ca_fingerprint.resize(kMinFingerprintBytes - 1);
  EXPECT_EQ(http_request(too_short, {"GET", "/", {}, {}, {}, {}}, seconds(5)).error().code, ErrorCode::kUntrusted);
}

TEST_F(ClientTest, AFingerprintDoesNotMakeAForeignChainGood) {
  // Somebody in between shows the right authority beside a certificate that it never signed.
  tls = TestAuthority().identity("DNS:localhost");
  tls->certificate_chain_pem += authority.ca_pem();
  start();
  auto pinned = endpoint(Wire::kLine);
  pinned.ca_pem.clear();
  pinned.certificate_name = "localhost";
  pinned.ca_fingerprint = authority.fingerprint();
  EXPECT_EQ(http_request(pinned, {"GET", "/", {}, {}, {}, {}}, seconds(5)).error().code, ErrorCode::kUntrusted);
}

TEST_F(ClientTest, SaysThatNobodyListens) {
  start();
  const Endpoint nobody{"127.0.0.1", port, false, {}, Wire::kLine};
  stop();
  TestClient client(nobody);
  EXPECT_TRUE(client.wait_for("close not_reachable"));
  const auto response = http_request(nobody, {"GET", "/", {}, {}, {}, {}}, seconds(5));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kNotReachable);
}

TEST_F(ClientTest, GivesUpOnAServerThatSaysNothing) {
  start();
  // A listener that never accepts: the kernel completes the connection, nobody answers the handshake.
  const int silent = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(silent, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(silent, 5), 0);
  ::getsockname(silent, reinterpret_cast<sockaddr*>(&at), &size);
  const Endpoint to{"127.0.0.1", ntohs(at.sin_port), true, authority.ca_pem(), Wire::kLine};
  TestClient client(to, seconds(1));
  EXPECT_TRUE(client.wait_for("close timed_out"));
  const auto response = http_request(to, {"GET", "/", {}, {}, {}, {}}, seconds(1));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kTimedOut);
  ::close(silent);
}

// A promotion waited two minutes for a request to the production that stood still.
TEST_F(ClientTest, ARequestThatNobodyWaitsForAnyMoreEnds) {
  const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(silent, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(silent, 1), 0);
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  std::stop_source stop;
  auto answer = std::async(std::launch::async, [&] {
    return http_request(Endpoint{"127.0.0.1", ntohs(address.sin_port), false, {}, Wire::kLine}, {"GET", "/", {}, {}, {}, {}}, seconds(300), stop.get_token());
  });
  stop.request_stop();
  const auto ended = answer.get();
  ::close(silent);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kCancelled);
}

TEST_F(ClientTest, MakesHttpRequestsPlainAndEncrypted) {
  for (const bool encrypted : {false, true}) {
    if (encrypted) tls = authority.identity("IP:127.0.0.1");
    if (server) on_loop([&] { ASSERT_TRUE(server->use_tls(*tls)); });
    if (!server) start();
    HttpRequest request{"POST", "/a b", {{"q", "1&2"}}, {{"X-Y", "z"}}, std::string(300'000, 'b'), {}};
    const auto response = http_request(endpoint(Wire::kLine), request, seconds(10));
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->content_type, "text/plain");
    EXPECT_EQ(response->body, "POST /a b " + request.body + " q=1&2");
  }
}

TEST_F(ClientTest, RequestsShareAConnectionAndGoOnWhenTheServerHasClosedIt) {
  const int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listening, 4), 0);
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size), 0);
  // Two requests on the first connection, one on the second.
  std::jthread serving([&] {
    for (const int requests : {2, 1}) {
      const int connection = ::accept(listening, nullptr, nullptr);
      for (int served = 0; served < requests; ++served) {
        std::string text;
        std::array<char, 1024> part{};
        while (!text.ends_with("\r\n\r\n")) {
          const auto count = ::read(connection, part.data(), part.size());
          if (count <= 0) break;
          text.append(part.data(), static_cast<std::size_t>(count));
        }
        const auto answer = fmt::format("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", requests);
        EXPECT_EQ(::write(connection, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
      }
      ::close(connection);
    }
  });
  HttpClient client(Endpoint{"127.0.0.1", ntohs(address.sin_port), false, {}, Wire::kLine});
  for (const auto* expected : {"2", "2", "1"}) {
    const auto response = client.request({"GET", "/", {}, {}, {}, {}}, seconds(30));
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, expected);
  }
  serving.join();
  ::close(listening);
}

TEST_F(ClientTest, MayBeDroppedWithinItsOwnCallback) {
  start();
  EventLoop own;
  std::unique_ptr<MessageClient> client;
  int messages = 0;
  const MessageClient::Events on{[&] { client->send("one\ntwo"); },
                                 [&](std::string_view) {
                                   ++messages;
                                   client.reset();
                                   own.post([&] { own.stop(); });
                                 },
                                 [](const Error& error) { ADD_FAILURE() << error.message; }};
  client = std::make_unique<MessageClient>(own, endpoint(Wire::kLine), seconds(10), on);
  own.run();
  EXPECT_EQ(messages, 1);
}

TEST_F(ClientTest, RefusesTlsClearlyWhereThereIsNone) {
  start();
  Endpoint to = endpoint(Wire::kLine);
  to.tls = true;
  to.ca_pem = authority.ca_pem();
  TestClient client(to);
  EXPECT_TRUE(client.wait_for("close not_reachable"));
}

TEST_F(ClientTest, NamesWhatIsWrongWithAnIdentity) {
  start();
  on_loop([&] {
    auto identity = authority.identity("DNS:a");
    EXPECT_FALSE(server->use_tls({"nonsense", identity.private_key_pem}));
    const auto mixed = server->use_tls({identity.certificate_chain_pem, authority.identity("DNS:b").private_key_pem});
    ASSERT_FALSE(mixed);
    EXPECT_EQ(mixed.error().code, ErrorCode::kBadConfig);
  });
}

}  // namespace
}  // namespace verbund::net
