#include "platform/net/net_fixture.h"

namespace verbund::net {
namespace {

TEST_F(ServerTest, AnswersEachLine) {
  start();
  RawClient client(port);
  client.send("{\"a\":1}\n{\"b\":2}\r\n\n{\"c");
  EXPECT_EQ(client.read_until("\n"), "echo {\"a\":1}\n");
  EXPECT_EQ(client.read_until("\n"), "echo {\"b\":2}\n");
  client.send("\":3}\n");
  EXPECT_EQ(client.read_until("\n"), "echo {\"c\":3}\n");
}

TEST_F(ServerTest, AnswersWhoOnlyClosedItsSendingSide) {
  start();
  RawClient client(port);
  client.send("{\"last\":1}\n");
  client.finish_sending();
  EXPECT_EQ(client.read_all(), "echo {\"last\":1}\n");
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(handler.wait_for("close peer"));
}

TEST_F(ServerTest, SkipsALineOverTheLimitAndGoesOn) {
  limits.max_first_frame_bytes = 1000;
  limits.max_frame_bytes = 200'000;
  handler.message_hook = [](Peer& peer, std::string_view message) {
    if (message == "trust") peer.trust();
    peer.send(std::to_string(message.size()));
  };
  start();
  RawClient client(port);
  client.send(std::string(1000, 'x') + "\r\n" + std::string(1001, 'x') + "\n{}\n");
  EXPECT_EQ(client.read_until("\n"), "1000\n");
  EXPECT_EQ(client.read_until("\n"), "too_large\n");
  EXPECT_EQ(client.read_until("\n"), "2\n");
  client.send("trust\n" + std::string(200'000, 'y') + "\n" + std::string(300'000, 'y') + "\n{}\n");
  EXPECT_EQ(client.read_until("\n"), "5\n");
  EXPECT_EQ(client.read_until("\n"), "200000\n");
  EXPECT_EQ(client.read_until("\n"), "too_large\n");
  EXPECT_EQ(client.read_until("\n"), "2\n");
  EXPECT_TRUE(handler.wait_for("too_large 300000"));
}

TEST_F(ServerTest, SendsOneBufferToManyAndFindsPeersById) {
  std::vector<std::uint64_t> ids;
  handler.opened = [&](Peer& peer) { ids.push_back(peer.id()); };
  handler.message_hook = [&](Peer&, std::string_view message) {
    const auto shared = std::make_shared<const std::string>(message);
    for (const auto id : ids) {
      if (Peer* const peer = server->find(id)) peer->send(shared);
    }
  };
  start();
  RawClient gone(port);
  gone.send("\n");
  ASSERT_TRUE(handler.wait_for("open line"));
  on_loop([&] { server->find(ids.at(0))->close(); });
  EXPECT_EQ(gone.read_all(), "");
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(std::make_unique<RawClient>(port));
    clients.back()->send("\n");
  }
  ASSERT_TRUE(handler.events.wait([](const auto& all) { return std::ranges::count(all, "open line") == 51; }));
  clients.front()->send("to all\n");
  for (const auto& client : clients) EXPECT_EQ(client->read_until("\n"), "to all\n");
}

TEST_F(ServerTest, CloseSendsWhatIsQueuedFirst) {
  handler.message_hook = [](Peer& peer, std::string_view) {
    peer.send(std::string(900'000, 'z'));
    peer.send("bye");
    peer.close();
    peer.send("not any more");
  };
  start();
  RawClient client(port);
  client.send("go\nignored\n");
  const auto all = client.read_all();
  EXPECT_EQ(all.size(), 900'000 + 5UL);
  EXPECT_TRUE(all.ends_with("bye\n"));
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(handler.wait_for("close local"));
}

TEST_F(ServerTest, TellsAddressKindAndPort) {
  handler.message_hook = [](Peer& peer, std::string_view) {
    peer.send(fmt::format("{} {} {} {}", peer.address(), peer.loopback(), peer.encrypted(), peer.local_port()));
  };
  start();
  RawClient client(port);
  client.send("who\n");
  EXPECT_EQ(client.read_until("\n"), fmt::format("127.0.0.1 true false {}\n", port));
}

TEST_F(ServerTest, UnlistenStopsOnePortAndKeepsItsConnections) {
  start();
  std::uint16_t second = 0;
  on_loop([&] { second = server->listen("127.0.0.1", 0).value(); });
  RawClient kept(second);
  kept.send("a\n");
  EXPECT_EQ(kept.read_until("\n"), "echo a\n");
  on_loop([&] { server->unlisten(second); });
  EXPECT_FALSE(RawClient(second).connected());
  kept.send("b\n");
  EXPECT_EQ(kept.read_until("\n"), "echo b\n");
  RawClient first(port);
  first.send("c\n");
  EXPECT_EQ(first.read_until("\n"), "echo c\n");
}

TEST_F(ServerTest, SaysWhoMayHaveTheTakenPort) {
  start();
  on_loop([&] {
    const auto again = server->listen("127.0.0.1", port);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::kInUse);
    EXPECT_NE(again.error().message.find(std::to_string(port)), std::string::npos);
    EXPECT_FALSE(again.error().hint.empty());
  });
}

TEST_F(ServerTest, ShutDownDeliversThenReportsDone) {
  start();
  RawClient client(port);
  client.send("a\n");
  EXPECT_EQ(client.read_until("\n"), "echo a\n");
  Watched<bool> done;
  loop.post([&] {
    server->find(handler.last_id)->send("closing");
    server->shut_down(seconds(10), [&] { done.set(true); });
  });
  EXPECT_EQ(client.read_all(), "closing\n");
  EXPECT_TRUE(done.wait([](bool is) { return is; }));
  EXPECT_TRUE(handler.wait_for("close local"));
  EXPECT_FALSE(RawClient(port).connected());
}

TEST_F(ServerTest, EveryPeerIsClosedBeforeTheServerGoes) {
  start();
  RawClient client(port);
  client.send("a\n");
  EXPECT_EQ(client.read_until("\n"), "echo a\n");
  stop();
  EXPECT_TRUE(handler.wait_for("close local"));
}

}  // namespace
}  // namespace verbund::net
