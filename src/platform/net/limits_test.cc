// The bounds: each test breaks one and looks that the peer is answered or closed, and nobody else notices.
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include "platform/net/frame_reader.h"
#include "platform/net/net_certificates.h"
#include "platform/net/net_fixture.h"

namespace verbund::net {
namespace {

using LimitsTest = ServerTest;

TEST_F(LimitsTest, ClosesWhoSaysNothing) {
  limits.first_byte_timeout = seconds(1);
  start();
  RawClient silent(port);
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_TRUE(silent.ended());
}

TEST_F(LimitsTest, ClosesWhoNeverFinishesTheTlsHandshake) {
  limits.first_byte_timeout = seconds(1);
  tls = TestAuthority().identity("IP:127.0.0.1");
  start();
  RawClient half(port);
  half.send("\x16\x03\x01");
  EXPECT_EQ(half.read_all(), "");
  EXPECT_TRUE(half.ended());
}

TEST_F(LimitsTest, AnswersAndClosesSlowLoris) {
  limits.first_message_timeout = seconds(1);
  start();
  RawClient line(port);
  line.send("{\"slow\":");
  RawClient http(port);
  http.send("GET / HTTP/1.1\r\nX-Slow: ");
  EXPECT_NE(line.read_all().find("\"timed_out\""), std::string::npos);
  EXPECT_TRUE(http.read_all().starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(handler.wait_for("close timeout"));
}

TEST_F(LimitsTest, LeavesTrustedPeersAlone) {
  limits.first_message_timeout = seconds(1);
  handler.opened = [](Peer& peer) { peer.trust(); };
  start();
  RawClient trusted(port);
  trusted.send("{}\n");
  RawClient other(port);  // its end shows that the limit's time has passed
  other.send("GET / HTTP/1.1\r\n");
  EXPECT_TRUE(other.read_all().starts_with("HTTP/1.1 408 "));
  trusted.send("still\n");
  EXPECT_EQ(trusted.read_until("still\n"), "echo {}\necho still\n");
}

TEST_F(LimitsTest, ClosesIdleHttpConnections) {
  limits.http_idle_timeout = seconds(1);
  start();
  RawClient client(port);
  client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(client.read_all().ends_with("GET /a "));
  EXPECT_TRUE(client.ended());
}

TEST_F(LimitsTest, RefusesMoreConnectionsThanAllowedAndRecovers) {
  limits.max_connections = 3;
  start();
  auto first = std::make_unique<RawClient>(port);
  RawClient second(port);
  RawClient third(port);
  for (RawClient* client : {first.get(), &second, &third}) {
    client->send("a\n");
    EXPECT_EQ(client->read_until("\n"), "echo a\n");
  }
  RawClient fourth(port);
  EXPECT_EQ(fourth.read_all(), "");
  EXPECT_TRUE(fourth.ended());
  EXPECT_TRUE(log.has("net.refused"));
  first.reset();
  ASSERT_TRUE(handler.wait_for("close peer"));
  RawClient fifth(port);
  fifth.send("b\n");
  EXPECT_EQ(fifth.read_until("\n"), "echo b\n");
}

TEST_F(LimitsTest, CountsUntrustedConnectionsApart) {
  limits.max_untrusted_connections = 2;
  handler.message_hook = [](Peer& peer, std::string_view) {
    peer.trust();
    peer.send("trusted");
  };
  start();
  std::vector<std::unique_ptr<RawClient>> trusted;
  for (int i = 0; i < 5; ++i) {
    trusted.push_back(std::make_unique<RawClient>(port));
    trusted.back()->send("{}\n");
    EXPECT_EQ(trusted.back()->read_until("\n"), "trusted\n");
  }
  const RawClient one(port);
  const RawClient two(port);
  RawClient three(port);
  EXPECT_EQ(three.read_all(), "");
  EXPECT_TRUE(three.ended());
}

TEST_F(LimitsTest, ClosesWhoDoesNotReadAndTellsItWhy) {
  limits.max_queue_bytes = 100'000;
  const auto block = std::make_shared<const std::string>(50'000, 'q');
  handler.message_hook = [&](Peer& peer, std::string_view) {
    peer.set_farewell(std::make_shared<const std::string>("too slow"));
    peer.send("healthy");
  };
  start();
  RawClient slow(port, "127.0.0.1", 4096);
  slow.send("hello\n");
  ASSERT_EQ(slow.read_until("\n"), "healthy\n");
  const auto id = handler.last_id.load();
  // Each round one block, as a producer sends them, until the server gives up on it.
  std::atomic<bool> gone = false;
  while (!gone) {
    on_loop([&] {
      Peer* const peer = server->find(id);
      if (peer == nullptr) {
        gone = true;
      } else {
        peer->send(block);
        EXPECT_LE(peer->queued_bytes(), limits.max_queue_bytes + 10);
      }
    });
  }
  EXPECT_TRUE(handler.wait_for("close too_slow"));
  const auto all = slow.read_all();
  EXPECT_TRUE(all.ends_with("q\ntoo slow\n")) << all.size();  // the message under way is whole, then the farewell
  RawClient healthy(port);
  healthy.send("x\n");
  EXPECT_EQ(healthy.read_until("\n"), "healthy\n");
}

TEST_F(LimitsTest, ClosesAfterAWriteStall) {
  limits.write_stall_timeout = seconds(1);
  limits.max_queue_bytes = 64'000'000;
  handler.message_hook = [](Peer& peer, std::string_view) {
    peer.trust();
    peer.send(std::string(30'000'000, 's'));
  };
  start();
  RawClient stalled(port, "127.0.0.1", 4096);
  stalled.send("x\n");
  EXPECT_TRUE(handler.wait_for("close too_slow"));
}

TEST_F(LimitsTest, TellsWhenTheQueueIsEmptyAgain) {
  limits.max_queue_bytes = 64'000'000;
  handler.message_hook = [&](Peer& peer, std::string_view) {
    peer.send(std::string(8'000'000, 'd'));
    peer.notify_when_drained();
    handler.note("asked");
  };
  start();
  RawClient client(port, "127.0.0.1", 4096);
  client.send("x\n");
  ASSERT_TRUE(handler.wait_for("asked"));
  on_loop([] {});
  EXPECT_EQ(std::ranges::count(handler.events.get(), "drained"), 0);
  EXPECT_EQ(client.read_until("\n").size(), 8'000'001U);
  EXPECT_TRUE(handler.wait_for("drained"));
}

TEST_F(LimitsTest, WaitsOutAnExhaustedDescriptorTable) {
  start();
  RawClient before(port);
  before.send("a\n");
  EXPECT_EQ(before.read_until("\n"), "echo a\n");
  RawClient waiting_socket(port);
  waiting_socket.send("a\n");
  EXPECT_EQ(waiting_socket.read_until("\n"), "echo a\n");
  rlimit old{};
  ::getrlimit(RLIMIT_NOFILE, &old);
  // All descriptors but one are taken; the client below takes the last, so that accept finds none.
  std::vector<int> fillers;
  const rlimit low{256, old.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &low);
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) fillers.push_back(fd);
  ASSERT_FALSE(fillers.empty());
  ::close(fillers.back());
  fillers.pop_back();
  {
    RawClient late(port);
    late.send("late\n");
    while (!log.has("net.accept_failed")) on_loop([] {});
    before.send("b\n");
    EXPECT_EQ(before.read_until("\n"), "echo b\n");
    for (const int fd : fillers) ::close(fd);
    EXPECT_EQ(late.read_until("\n"), "echo late\n");
  }
  ::setrlimit(RLIMIT_NOFILE, &old);
  // It looked away between the attempts: a handful, not a spin.
  const std::lock_guard hold(log.mutex);
  EXPECT_LT(std::ranges::count(log.events, "net.accept_failed"), 200);
}

TEST_F(LimitsTest, BoundsTheBodiesOfAllRequestsTogether) {
  limits.max_http_bodies_bytes = 150'000;
  start();
  const auto part = [](std::size_t bytes) {
    return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + std::string(bytes, 'b');
  };
  auto first = std::make_unique<RawClient>(port);
  auto second = std::make_unique<RawClient>(port);
  for (RawClient* client : {first.get(), second.get()}) client->send(part(100'000));
  pollfd either[] = {{first->fd(), POLLIN, 0}, {second->fd(), POLLIN, 0}};
  ASSERT_GT(::poll(either, 2, static_cast<int>(milliseconds(kTestPatience).count())), 0);
  auto& answered = (either[0].revents & POLLIN) != 0 ? *first : *second;
  EXPECT_TRUE(answered.read_all().starts_with("HTTP/1.1 503 "));
  first.reset();
  second.reset();
  // As soon as the server has seen them go, they do not count any more.
  const auto ends = std::chrono::steady_clock::now() + kTestPatience;
  std::string head;
  while (!head.starts_with("HTTP/1.1 200 ") && std::chrono::steady_clock::now() < ends) {
    RawClient third(port);
    third.send("POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'b'));
    head = third.read_until("\r\n\r\n");
  }
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ")) << head;
}

TEST_F(LimitsTest, SetsWhatFindsDeadPeers) {
  start();
  RawClient client(port);
  client.send("a\n");
  ASSERT_EQ(client.read_until("\n"), "echo a\n");
  int found = 0;
  for (int fd = 3; fd < 1024; ++fd) {  // the server's end lives in this process too
    sockaddr_in mine{};
    sockaddr_in other{};
    socklen_t size = sizeof mine;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&mine), &size) != 0 || mine.sin_port != htons(port)) continue;
    size = sizeof other;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&other), &size) != 0) continue;
    ++found;
    const auto option = [fd](int level, int name) {
      int value = 0;
      socklen_t bytes = sizeof value;
      ::getsockopt(fd, level, name, &value, &bytes);
      return value;
    };
    EXPECT_EQ(option(IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(option(IPPROTO_TCP, TCP_USER_TIMEOUT), limits.tcp_user_timeout.count());
    EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
    EXPECT_LE(option(IPPROTO_TCP, TCP_KEEPIDLE), 30);
  }
  EXPECT_EQ(found, 1);
}

TEST_F(LimitsTest, RefusesTlsWithAnAlertWhereThereIsNone) {
  start();
  RawClient client(port);
  client.send("\x16\x03\x01\x02");
  EXPECT_EQ(client.read_all(), std::string("\x15\x03\x01\x00\x02\x02\x28", 7));
}

/// An address of this machine that is not loopback; empty when it has none.
std::string outer_address() {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return {};
  std::string found;
  for (const ifaddrs* at = all; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET || (at->ifa_flags & IFF_LOOPBACK) != 0) continue;
    char text[INET_ADDRSTRLEN];
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr, text, sizeof text);
    found = text;
  }
  ::freeifaddrs(all);
  return found;
}

TEST_F(LimitsTest, RefusesRemotePlaintextUnlessAllowed) {
  const auto address = outer_address();
  if (address.empty()) GTEST_SKIP() << "this machine has loopback only";
  host = "0.0.0.0";
  start();
  RawClient line(port, address);
  line.send("{\"password\":\"x\"}\n");
  EXPECT_NE(line.read_all().find("\"plaintext_refused\""), std::string::npos);
  RawClient http(port, address);
  http.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(http.read_all().starts_with("HTTP/1.1 403 "));
  on_loop([&] { server->allow_remote_plaintext(true); });
  RawClient allowed(port, address);
  allowed.send("a\n");
  EXPECT_EQ(allowed.read_until("\n"), "echo a\n");
}

TEST_F(LimitsTest, SurvivesClientsThatVanishInTheMiddle) {
  start();
  for (int i = 0; i < 200; ++i) {
    RawClient client(port);
    client.send(i % 2 == 0 ? "{\"half\":" : "a\nb\nc\n");
  }
  RawClient after(port);
  after.send("a\n");
  EXPECT_EQ(after.read_until("\n"), "echo a\n");
  // Only the 200 that the server has accepted and seen a byte of are peers; all of those are closed again.
  ASSERT_TRUE(handler.events.wait([](const auto& all) {
    return std::ranges::count(all, "close peer") + 1 == std::ranges::count(all, "open line");
  }));
}

}  // namespace
}  // namespace verbund::net
