// Resume, restarts, ports, losses, slow clients and the end of the node, seen through the service.
#include "cluster/service_fixture.h"

namespace verbund::cluster {
namespace {

TEST_F(Serving, ATornClientResumesWithItsLocks) {
  join(anna, "anna");
  join(bert, "bert");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  tear(anna);
  settle();
  EXPECT_TRUE(bert.says("reconnecting"));
  resume(carl, anna.value("session"), "wrong");
  EXPECT_TRUE(carl.says("unauthenticated"));
  resume(carl, "100", anna.value("secret"));
  EXPECT_TRUE(carl.says(R"("resumed":true)")) << carl.all;
  EXPECT_TRUE(carl.says(R"("held":[{"key":"patient/1")"));
}

TEST_F(Serving, AfterARestartTheHolderReclaimsAndOthersWaitForIt) {
  join(anna, "anna");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  const auto token = anna.value("token");
  start(2);
  join(bert, "bert");
  say(bert, R"({"op":"lock","id":2,"keys":["patient/2"]})");
  EXPECT_TRUE(bert.says("reclaiming"));
  resume(carl, "100", anna.value("secret"), R"(,"reclaim":[{"key":"patient/1","token":")" + token + "\"}]");
  EXPECT_TRUE(carl.says(R"("held":[{"key":"patient/1","token":")" + token)) << carl.all;
  say(bert, R"({"op":"lock","id":3,"keys":["patient/1","patient/2"]})");
  EXPECT_TRUE(bert.says("\"held\""));
  say(bert, R"({"op":"lock","id":4,"keys":["patient/2"]})");
  EXPECT_TRUE(bert.says(R"({"re":4,"ok":true)")) << bert.all;
}

TEST_F(Serving, ASecondConnectionSupersedesTheFirst) {
  join(anna, "anna");
  resume(bert, anna.value("session"), anna.value("secret"));
  EXPECT_TRUE(anna.says("superseded"));
  EXPECT_TRUE(anna.closed);
  tear(anna);
  resume(carl, bert.value("session"), anna.value("secret"));
  EXPECT_TRUE(bert.says("superseded"));
  EXPECT_EQ(service->session_count(), 1u);
}

TEST_F(Serving, MessagesThatCameWhileRegisteringAreTakenAfterTheWelcome) {
  office.holds_back = true;
  join(anna, "anna");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  say(anna, R"({"op":"goodbye","id":3})");
  EXPECT_TRUE(anna.all.empty()) << "nothing before the session is durable";
  office.answer();
  EXPECT_LT(anna.all.find("welcome"), anna.all.find("\"re\":2"));
  EXPECT_LT(anna.all.find("\"re\":2"), anna.all.find("\"re\":3"));
  EXPECT_TRUE(anna.closed);
}

TEST_F(Serving, AConnectionThatIsGoneBeforeItsSessionWasStoredLeavesNone) {
  office.holds_back = true;
  join(anna, "anna");
  tear(anna);
  office.answer();
  EXPECT_EQ(service->session_count(), 0u);
  EXPECT_TRUE(office.stored.empty());
}

TEST_F(Serving, TheSessionsOfARemovedAccountEndAlsoThoseBeingMade) {
  join(anna, "anna");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  office.holds_back = true;
  join(bert, "anna");
  EXPECT_EQ(service->remove_sessions_of("anna"), 1u);
  office.answer();
  EXPECT_TRUE(anna.says(R"("closing","reason":"removed")")) << anna.all;
  EXPECT_TRUE(bert.closed);
  EXPECT_FALSE(bert.says("welcome"));
  EXPECT_EQ(service->session_count(), 0u);
  EXPECT_EQ(service->lock_count(), 0u);
  EXPECT_TRUE(office.stored.empty());
}

TEST_F(Serving, AnAccountThatEndsWhileItsPasswordIsCheckedGetsNoSession) {
  office.checks_slowly = true;
  join(anna, "anna");
  join(bert, "bert");
  EXPECT_EQ(service->remove_sessions_of("anna"), 0u);
  office.answer();
  EXPECT_TRUE(anna.says("unauthenticated")) << anna.all;
  EXPECT_TRUE(bert.says("\"welcome\""));
  EXPECT_EQ(service->session_count(), 1u);
  office.checks_slowly = false;
  join(carl, "anna");
  EXPECT_TRUE(carl.says("\"welcome\"")) << "added or enabled again";
}

TEST_F(Serving, ToolsAreNoWorkstations) {
  join(anna, "anna");
  join(bert, "bert", R"(,"kind":"tool")");
  EXPECT_EQ(service->session_count(), 2u);
  EXPECT_EQ(service->workstation_count(), 1u);
}

TEST_F(Serving, ALostSessionsLocksAreFreeWhenTheStoreHasForgottenIt) {
  join(anna, "anna");
  join(bert, "bert");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  say(bert, R"({"op":"lock","id":3,"keys":["patient/1"],"wait_ms":600000})");
  office.holds_back = true;
  tear(anna);
  for (int second = 0; second < 36; ++second) {
    say(bert, R"({"op":"beat"})");
    pass(seconds{1});
  }
  EXPECT_FALSE(bert.says("\"re\":3"));
  resume(carl, "100", anna.value("secret"));
  EXPECT_TRUE(carl.says("unknown_session"));
  office.answer();
  EXPECT_TRUE(bert.says(R"({"re":3,"ok":true)")) << bert.all;
}

TEST_F(Serving, WithoutADatabaseALossIsNotWaitedForForEver) {
  join(anna, "anna");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  tear(anna);
  office.database_is_down = true;
  pass(seconds{40});
  EXPECT_EQ(service->lock_count(), 1u);
  pass(seconds{6});
  EXPECT_EQ(service->lock_count(), 0u);
  EXPECT_EQ(std::ranges::count(silent.events, "session.loss_not_stored"), 1);
  EXPECT_EQ(office.stored.size(), 1u);
  office.database_is_down = false;
  pass(seconds{2});
  EXPECT_TRUE(office.stored.empty()) << "it is tried until it is done";
}

TEST_F(Serving, ASilentBrowserIsAskedBeforeItIsSuspect) {
  anna.browser = true;
  join(anna, "anna");
  pass(seconds{8});
  EXPECT_TRUE(anna.says(R"("event":"ping")"));
  EXPECT_FALSE(anna.says("suspect\",")) << anna.all;
  say(anna, R"({"op":"beat","id":2})");
  pass(seconds{5});
  EXPECT_EQ(anna.count("\"ping\""), 1u);
  EXPECT_FALSE(anna.says(R"("state":"suspect")"));
}

TEST_F(Serving, ASlowClientGetsChangesMergedWhenItHasDrained) {
  join(anna, "anna");
  anna.queued = 100'000;
  for (std::uint64_t csn = 2; csn < 50; ++csn) {
    service->on_changes({{{"h"}, {csn}}, {csn}, {}, {}, {{{"patient", "1"}, protocol::ChangeOp::kUpdate, {}, {}}}, {}, {}});
  }
  settle();
  EXPECT_EQ(anna.count("\"changes\""), 0u);
  anna.queued = 0;
  service->on_drained(anna);
  settle();
  EXPECT_EQ(anna.count("\"event\":\"changes\""), 1u);
  EXPECT_TRUE(anna.says(R"("csn":"49")"));
}

TEST_F(Serving, AClientThatTheLogHasLeftBehindIsToldSoAndResumable) {
  join(anna, "anna");
  anna.queued = 100'000;
  const std::string key(4000, 'x');
  for (std::uint64_t csn = 2; csn < 3000; ++csn) {
    service->on_changes({{{"h"}, {csn}}, {csn}, {}, {}, {{{"patient", key}, protocol::ChangeOp::kUpdate, {}, {}}}, {}, {}});
  }
  settle();
  anna.queued = 0;
  service->on_drained(anna);
  EXPECT_TRUE(anna.says("too_slow"));
  EXPECT_TRUE(anna.closed);
  tear(anna);
  EXPECT_EQ(service->session_count(), 1u);
}

TEST_F(Serving, ASendMayCloseItsOwnConnection) {
  join(anna, "anna");
  join(bert, "bert");
  for (const auto* message : {R"({"op":"lock","id":2,"keys":["patient/1"]})", R"({"op":"who","id":3})", "{rubbish",
                              R"({"op":"watch","id":4,"watch":{"types":[]}})", R"({"op":"goodbye","id":5})"}) {
    MemoryPeer peer{10};
    join(peer, "admin");
    peer.on_send = [&] { tear(peer); };
    say(peer, message);
    service->tick();
    settle();
    EXPECT_NE(peer.all.find("welcome"), std::string::npos);
  }
  MemoryPeer late{11};
  late.on_send = [&] { tear(late); };
  join(late, "late");
  settle();
  say(bert, R"({"op":"tell","id":6,"to":"*","text":"still here?"})");
  settle();
  EXPECT_TRUE(anna.says("still here?"));
}

TEST_F(Serving, ShuttingDownTellsEverybodyAndKeepsTheSessions) {
  join(anna, "anna");
  service->on_open(bert);
  service->shut_down();
  EXPECT_TRUE(anna.says(R"("closing","reason":"shutdown")")) << anna.all;
  EXPECT_TRUE(anna.closed && bert.closed);
  EXPECT_FALSE(bert.says("closing"));
  tear(anna);
  EXPECT_EQ(office.stored.size(), 1u);
  service->on_open(carl);
  EXPECT_TRUE(carl.closed);
}

struct NoPages final : net::HttpHandler {
  void on_request(std::shared_ptr<net::HttpExchange> exchange) override { exchange->reply({404, {}, {}, {}}); }
  bool accept_websocket(const net::HttpRequest&) override { return false; }
};

struct Terminals : Serving {
  Terminals() {
    // Any free port is the range's first; those that others hold are passed over.
    settings.mode = protocol::Mode::kTerminalservice;
    settings.first_port = *server.listen("127.0.0.1", 0);
    settings.port_count = 16;
    server.unlisten(settings.first_port);
    start();
    service->attach(server, "127.0.0.1", 2222);
  }
  std::uint16_t port_of(const MemoryPeer& peer) const {
    const auto at = peer.all.rfind("\"port\":");
    return at == std::string::npos ? std::uint16_t{0} : static_cast<std::uint16_t>(std::stoul(peer.all.substr(at + 7)));
  }
  NoPages pages;
  struct Nobody final : net::PeerHandler {
    void on_open(net::Peer&) override {}
    void on_message(net::Peer&, std::string_view) override {}
    void on_too_large(net::Peer&, std::size_t) override {}
    void on_drained(net::Peer&) override {}
    void on_close(net::Peer&, net::CloseReason) override {}
  } nobody;
  net::Server server{loop, {}, nobody, pages, silent, silent};
};

TEST_F(Terminals, AClientIsSentToAPortOfItsOwnWithATicketForOneUse) {
  join(anna, "anna");
  ASSERT_TRUE(anna.says("\"redirect\"")) << anna.all;
  EXPECT_EQ(service->session_count(), 0u);
  const auto ticket = anna.value("ticket");
  const auto claim = R"({"op":"register","id":1,"ticket":")" + ticket + "\"}";
  service->on_open(carl);
  say(carl, claim);
  EXPECT_TRUE(carl.says("ticket_invalid")) << "on the main port";
  bert.port = port_of(anna);
  service->on_open(bert);
  say(bert, claim);
  EXPECT_TRUE(bert.says("\"welcome\"")) << bert.all;
  MemoryPeer thief{9};
  thief.port = bert.port;
  service->on_open(thief);
  say(thief, claim);
  EXPECT_TRUE(thief.says("ticket_invalid"));
}

TEST_F(Terminals, ATicketThatIsNotTakenInTimeIsWorthNothing) {
  join(anna, "anna");
  pass(seconds{11});
  bert.port = port_of(anna);
  service->on_open(bert);
  say(bert, R"({"op":"register","id":1,"ticket":")" + anna.value("ticket") + "\"}");
  EXPECT_TRUE(bert.says("ticket_invalid"));
}

TEST_F(Terminals, AConnectionHasOneTicketAtMost) {
  join(anna, "anna");
  const auto first_ticket = anna.value("ticket");
  const auto first_port = port_of(anna);
  for (int i = 0; i < 100; ++i) say(anna, R"({"op":"register","id":2,"user":"anna","password":"right","workstation":"annaPC"})");
  EXPECT_EQ(anna.count("\"redirect\""), 101u) << "the range of 16 is not used up";
  EXPECT_FALSE(anna.says("ports_exhausted"));
  bert.port = first_port;
  service->on_open(bert);
  say(bert, R"({"op":"register","id":1,"ticket":")" + first_ticket + "\"}");
  EXPECT_TRUE(bert.says("ticket_invalid")) << "handed back";
  carl.port = port_of(anna);
  service->on_open(carl);
  say(carl, R"({"op":"register","id":1,"ticket":")" + anna.value("ticket") + "\"}");
  EXPECT_TRUE(carl.says("\"welcome\"")) << carl.all;
}

TEST_F(Terminals, APortThatItsClientHasComeToIsNotHandedBack) {
  join(anna, "anna");
  bert.port = port_of(anna);
  service->on_open(bert);
  say(bert, R"({"op":"register","id":1,"ticket":")" + anna.value("ticket") + "\"}");
  ASSERT_TRUE(bert.says("\"welcome\""));
  say(anna, R"({"op":"register","id":2,"user":"anna","password":"right","workstation":"annaPC"})");
  EXPECT_NE(port_of(anna), bert.port);
  say(bert, R"({"op":"beat","id":2})");
  EXPECT_TRUE(bert.says(R"({"re":2,"ok":true)"));
}

TEST_F(Terminals, AResumeIsSentToAPortToo) {
  join(anna, "anna");
  bert.port = port_of(anna);
  service->on_open(bert);
  say(bert, R"({"op":"register","id":1,"ticket":")" + anna.value("ticket") + "\"}");
  tear(bert);
  resume(carl, bert.value("session"), bert.value("secret"));
  ASSERT_TRUE(carl.says("\"redirect\"")) << carl.all;
  MemoryPeer back{9};
  back.port = port_of(carl);
  resume(back, bert.value("session"), bert.value("secret"), R"(,"ticket":")" + carl.value("ticket") + "\"");
  EXPECT_TRUE(back.says(R"("resumed":true)")) << back.all;
}

TEST_F(Serving, WatchChoosesWhatIsTold) {
  join(anna, "anna", R"(,"watch":{"types":["letter"],"locks":false,"presence":false})");
  join(bert, "bert");
  say(bert, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  service->on_changes({{{"h"}, {2}}, {2}, {}, {}, {{{"patient", "1"}, protocol::ChangeOp::kUpdate, {}, {}}}, {}, {}});
  settle();
  EXPECT_FALSE(anna.says("\"event\"")) << anna.all;
  say(anna, R"({"op":"watch","id":3,"watch":{"types":["*"],"locks":true,"presence":true},"cursor":{"history":"h","csn":"1"}})");
  settle();
  EXPECT_EQ(anna.count("\"event\":\"changes\""), 1u) << anna.all;
  say(bert, R"({"op":"unlock","id":3,"keys":["patient/1"]})");
  settle();
  EXPECT_TRUE(anna.says("lock.released"));
}

TEST_F(Serving, TellReachesSessionWorkstationUserOrAll) {
  join(anna, "anna");
  join(bert, "bert");
  for (const auto* to : {"101", "bertPC", "bert"}) {
    say(anna, std::string(R"({"op":"tell","id":5,"to":")") + to + R"(","text":"lunch"})");
  }
  EXPECT_EQ(bert.count("lunch"), 3u);
  EXPECT_EQ(anna.count(R"("delivered":1)"), 3u);
  say(anna, R"({"op":"tell","id":6,"to":"nobody","text":"lunch","request":"t1"})");
  EXPECT_TRUE(anna.says(R"("delivered":0)"));
  say(anna, R"({"op":"tell","id":7,"to":"bert","text":"lunch","request":"t1"})");
  EXPECT_EQ(bert.count("lunch"), 3u) << "a repeated request is not done twice";
  for (int i = 0; i < 30; ++i) say(anna, R"({"op":"tell","id":8,"to":"bert","text":"flood"})");
  EXPECT_TRUE(anna.says("rate_limited"));
}

TEST_F(Serving, ChangedIsAnnouncedOnceAndAnsweredWhenCommitted) {
  join(anna, "anna");
  office.holds_back = true;
  const std::string request = R"({"op":"changed","id":2,"changes":[{"key":"letter/9","op":"update"}],"request":"c1"})";
  say(anna, request);
  EXPECT_FALSE(anna.says("\"re\":2"));
  say(anna, request);
  EXPECT_TRUE(anna.says("still being done"));
  office.answer();
  say(anna, request);
  EXPECT_EQ(anna.count(R"({"re":2,"ok":true})"), 2u) << anna.all;
  EXPECT_EQ(office.announced, 1u);
}

TEST_F(Serving, ChangesJustBeforeAGoodbyeAreStillAttributed) {
  join(anna, "anna");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  const auto commit = clock.wall();
  clock.time += milliseconds{10};
  say(anna, R"({"op":"goodbye","id":3})");
  EXPECT_EQ(service->author({"patient", "1"}, commit).user, "anna");
}

TEST_F(Serving, AWelcomeSaysThatThereIsMore) {
  std::string keys;
  join(anna, "anna");
  for (int request = 0; request < 7; ++request) {
    keys.clear();
    for (int i = 0; i < 250; ++i) keys += fmt::format("{}\"patient/{}\"", i == 0 ? "" : ",", request * 250 + i);
    say(anna, R"({"op":"lock","id":2,"keys":[)" + keys + "]}");
  }
  EXPECT_EQ(service->lock_count(), 1750u);
  join(bert, "bert");
  EXPECT_TRUE(bert.says(R"("more":true)"));
  EXPECT_FALSE(anna.says(R"("more":true)"));
}

}  // namespace
}  // namespace verbund::cluster
