// Client on real threads and sockets against a server whose answers are written here.
#include "verbund/client.h"

#include <filesystem>
#include <fstream>

#include "client/engine_fixture.h"
#include "platform/net/net_certificates.h"
#include "platform/net/net_fixture.h"

namespace verbund::client {
namespace {

using net::Peer;
using net::PeerHandler;
using net::Watched;

/// A node that knows one session. What it is not told to do it does as a node would.
class ScriptedNode : public net::RecordingHandler {
 public:
  ScriptedNode() {
    message_hook = [this](Peer& peer, std::string_view text) { take(peer, text); };
  }
  /// True: the request has been dealt with.
  std::function<bool(Peer&, const Request&)> script;
  Watched<std::vector<std::string>> operations;
  Watched<std::string> last_request_name;

  static void reply(Peer& peer, const Request& request, const ReplyBody& body) {
    std::string text;
    encode_reply(text, request.id, body);
    peer.send(std::move(text));
  }
  bool wait_for_operation(const std::string& name, std::ptrdiff_t times = 1) {
    return operations.wait([&](const auto& all) { return std::ranges::count(all, name) >= times; });
  }

 private:
  void take(Peer& peer, std::string_view text) {
    const auto request = decode_request(text);
    if (!request) return note(fmt::format("bad request {}", text));
    static constexpr std::array kNames{"register", "resume", "beat", "goodbye", "lock", "unlock", "cancel",
                                       "break", "tell", "who", "locks", "status", "watch", "changed"};
    if (const auto* lock = std::get_if<Lock>(&request->body)) last_request_name.set(lock->request);
    if (!script || !script(peer, *request)) answer(peer, *request);
    operations.change([&](auto& all) { all.emplace_back(kNames.at(request->body.index())); });
  }
  static void answer(Peer& peer, const Request& request) {
    Welcome hello;
    hello.session = {17};
    hello.secret = "secret";
    hello.cursor = {{"h"}, {100}};
    hello.heartbeat = milliseconds{200};
    hello.suspect = milliseconds{1000};
    hello.lease = milliseconds{5000};
    hello.jitter = milliseconds{50};
    if (const auto* resume = std::get_if<Resume>(&request.body)) {
      hello.resumed = true;
      for (const auto& claim : resume->reclaim) hello.held.push_back({claim.key, claim.token});
      return reply(peer, request, hello);
    }
    if (std::holds_alternative<Register>(request.body)) return reply(peer, request, hello);
    if (std::holds_alternative<Beat>(request.body)) return reply(peer, request, BeatReply{{{"h"}, {100}}});
    if (const auto* lock = std::get_if<Lock>(&request.body)) {
      Granted granted;
      granted.token = {7};
      for (const auto& key : lock->keys) granted.tokens.push_back({key, {7}});
      return reply(peer, request, granted);
    }
    if (std::holds_alternative<Who>(request.body)) return reply(peer, request, SessionList{});
    reply(peer, request, Done{});
  }
};

class ClientTest : public testing::Test {
 protected:
  ~ClientTest() override {
    stop();
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  void start(const std::optional<net::TlsIdentity>& tls = {}, std::uint16_t on_port = 0) {
    loop = std::make_unique<net::EventLoop>();
    server = std::make_unique<net::Server>(*loop, net::Limits{}, node, node, log, counters);
    if (tls) {
      ASSERT_TRUE(server->use_tls(*tls));
    }
    const auto listening = server->listen("127.0.0.1", on_port);
    ASSERT_TRUE(listening) << listening.error().message;
    port = *listening;
    thread = std::thread([this] { loop->run(); });
  }
  void stop() {
    if (!thread.joinable()) return;
    loop->post([this] {
      server.reset();
      loop->stop();
    });
    thread.join();
  }
  void on_loop(const std::function<void()>& task) {
    Watched<bool> done;
    loop->post([&] {
      task();
      done.set(true);
    });
    ASSERT_TRUE(done.wait([](bool is) { return is; }));
  }
  [[nodiscard]] ClientSettings settings() const {
    ClientSettings out;
    out.servers = {fmt::format("127.0.0.1:{}", port)};
    out.token = "t";
    out.workstation = "Empfang 1";
    out.tls = false;
    out.connect_timeout = seconds{5};
    return out;
  }
  std::string write_authority(const std::string& pem) {
    std::string pattern = std::filesystem::temp_directory_path() / "verbund-client-XXXXXX";
    directory = mkdtemp(pattern.data());
    const auto path = directory / "ca.crt";
    std::ofstream(path) << pem;
    return path;
  }
  /// Torn: the peer is closed without a word.
  void tear() {
    on_loop([this] { connected->close(); });
  }
  /// Keeps the last peer for `tear`.
  void watch_peers() {
    node.opened = [this](Peer& peer) { connected = &peer; };
  }

  ScriptedNode node;
  net::NoLog log;
  net::NoCounters counters;
  std::unique_ptr<net::EventLoop> loop;
  std::unique_ptr<net::Server> server;
  std::uint16_t port = 0;
  std::thread thread;
  Peer* connected = nullptr;
  std::filesystem::path directory;
};

TEST_F(ClientTest, ConnectsLocksAndSaysGoodbye) {
  start();
  {
    Client client(settings());
    const auto connected_now = client.connect();
    ASSERT_TRUE(connected_now) << connected_now.error().message;
    EXPECT_EQ(client.state(), ConnectionState::kConnected);
    EXPECT_TRUE(client.may_edit());
    EXPECT_EQ(client.session(), "17");
    EXPECT_EQ(client.cursor(), "h:100");
    const auto grant = client.lock({"patient/4711"});
    ASSERT_TRUE(grant);
    EXPECT_EQ(grant->token, 7U);
    EXPECT_TRUE(client.unlock({"patient/4711"}));
    EXPECT_EQ(client.lock({"no key"}).error().code, "bad_key");
    EXPECT_FALSE(client.connect()) << "once per client";
  }
  EXPECT_TRUE(node.wait_for_operation("goodbye"));
}

TEST_F(ClientTest, ReconnectsResumesAndTellsItsState) {
  watch_peers();
  start();
  Watched<std::vector<ConnectionState>> states;
  Client client(settings());
  client.on_state([&](ConnectionState state, const std::string&) {
    states.change([&](auto& all) { all.push_back(state); });
  });
  ASSERT_TRUE(client.connect());
  ASSERT_TRUE(client.lock({"patient/4711"}));
  tear();
  EXPECT_TRUE(node.wait_for_operation("resume"));
  EXPECT_TRUE(states.wait([](const auto& all) { return std::ranges::count(all, ConnectionState::kConnected) == 2; }));
  EXPECT_EQ(states.get(), (std::vector{ConnectionState::kConnecting, ConnectionState::kConnected, ConnectionState::kReadOnly,
                                       ConnectionState::kConnected}));
  EXPECT_TRUE(client.may_edit());
}

TEST_F(ClientTest, ALockWhoseReplyIsLostIsRepeatedUnderTheSameName) {
  std::atomic<int> locks = 0;
  Watched<std::vector<std::string>> names;
  node.script = [&](Peer& peer, const Request& request) {
    const auto* lock = std::get_if<Lock>(&request.body);
    if (lock == nullptr) return false;
    names.change([&](auto& all) { all.push_back(lock->request); });
    if (++locks > 1) return false;
    peer.close();
    return true;
  };
  start();
  Client client(settings());
  ASSERT_TRUE(client.connect());
  const auto grant = client.lock({"patient/4711"});
  ASSERT_TRUE(grant) << grant.error().message;
  const auto seen = names.get();
  ASSERT_GE(seen.size(), 2U);
  EXPECT_EQ(seen[0], seen[1]);
}

TEST_F(ClientTest, SurvivesARestartOfTheNode) {
  start();
  Client client(settings());
  Watched<std::map<ConnectionState, int>> seen;
  client.on_state([&](ConnectionState state, const std::string&) {
    seen.change([&](auto& counts) { ++counts[state]; });
  });
  ASSERT_TRUE(client.connect());
  const auto old_port = port;
  stop();
  EXPECT_TRUE(seen.wait([](const auto& counts) { return counts.contains(ConnectionState::kReadOnly); }));
  EXPECT_FALSE(client.may_edit());
  start({}, old_port);
  client.reconnect_now();
  EXPECT_TRUE(seen.wait([](const auto& counts) { return counts.at(ConnectionState::kConnected) == 2; }));
  EXPECT_TRUE(client.who());
}

TEST_F(ClientTest, EndsWhileACallIsInFlight) {
  node.script = [](Peer&, const Request& request) { return std::holds_alternative<Lock>(request.body); };
  start();
  auto client = std::make_unique<Client>(settings());
  ASSERT_TRUE(client->connect());
  std::string code;
  std::thread caller([&] { code = client->lock({"patient/4711"}, seconds{60}).error().code; });
  EXPECT_TRUE(node.wait_for_operation("lock"));
  client.reset();
  caller.join();
  EXPECT_EQ(code, "cancelled");
}

TEST_F(ClientTest, EndsInBoundedTimeWhenTheNodeIsSilent) {
  node.script = [](Peer&, const Request& request) { return std::holds_alternative<Goodbye>(request.body); };
  start();
  auto client = std::make_unique<Client>(settings());
  ASSERT_TRUE(client->connect());
  const auto begun = std::chrono::steady_clock::now();
  client.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds{3});
}

TEST_F(ClientTest, NoCallbackComesAfterItsEndHasBegun) {
  std::atomic<bool> over = false, late = false;
  node.script = [&](Peer& peer, const Request& request) {
    if (!std::holds_alternative<Goodbye>(request.body)) return false;
    over = true;
    peer.close();
    return true;
  };
  start();
  {
    Client client(settings());
    client.on_state([&](ConnectionState, const std::string&) { late = late || over; });
    ASSERT_TRUE(client.connect());
  }
  EXPECT_TRUE(over);
  EXPECT_FALSE(late);
}

TEST_F(ClientTest, BlockingCallsFromACallbackAreRefused) {
  start();
  Client client(settings());
  Watched<std::string> code;
  client.on_state([&](ConnectionState state, const std::string&) {
    if (state != ConnectionState::kConnected) return;
    EXPECT_TRUE(client.may_edit());
    EXPECT_EQ(client.session(), "17");
    client.reconnect_now();
    code.set(client.lock({"patient/4711"}).error().code);
  });
  ASSERT_TRUE(client.connect());
  EXPECT_TRUE(code.wait([](const std::string& text) { return !text.empty(); }));
  EXPECT_EQ(code.get(), "usage");
}

TEST_F(ClientTest, SaysThatNobodyListens) {
  start();
  stop();
  Client client(settings());
  const auto outcome = client.connect();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, "not_reachable");
  EXPECT_EQ(outcome.error().exit_code, 3);
  EXPECT_EQ(client.state(), ConnectionState::kEnded);
  EXPECT_EQ(client.who().error().code, "not_reachable");
}

TEST_F(ClientTest, GivesUpOnAServerThatTakesConnectionsAndIsSilent) {
  node.script = [](Peer&, const Request&) { return true; };
  start();
  auto impatient = settings();
  impatient.connect_timeout = seconds{1};
  Client client(impatient);
  EXPECT_EQ(client.connect().error().code, "timed_out");
}

TEST_F(ClientTest, TrustsOnlyItsOwnAuthority) {
  const net::TestAuthority authority;
  start(authority.identity("IP:127.0.0.1"));
  auto trusting = settings();
  trusting.tls = true;
  EXPECT_EQ(Client(trusting).connect().error().code, "untrusted") << "no authority at all";
  trusting.ca_file = write_authority(net::TestAuthority().ca_pem());
  EXPECT_EQ(Client(trusting).connect().error().code, "untrusted");
  std::ofstream(trusting.ca_file) << authority.ca_pem();
  EXPECT_TRUE(Client(trusting).connect());
  trusting.ca_file = directory / "missing.crt";
  const auto missing = Client(trusting).connect();
  EXPECT_NE(missing.error().message.find("missing.crt"), std::string::npos) << missing.error().message;
}

TEST_F(ClientTest, UnusableSettingsAreNamed) {
  auto odd = settings();
  odd.servers.clear();
  EXPECT_EQ(Client(odd).connect().error().code, "usage");
  odd = settings();
  odd.cursor = "yesterday";
  EXPECT_EQ(Client(odd).connect().error().code, "usage");
  EXPECT_EQ(Client(settings()).lock({"patient/1"}).error().code, "not_reachable") << "before connect";
  odd = settings();
  odd.servers = {"127.0.0.1:99999"};
  EXPECT_FALSE(Client(odd).connect());
}

TEST_F(ClientTest, HandsEventsOn) {
  watch_peers();
  start();
  Watched<std::vector<std::string>> seen;
  const auto note = [&](std::string text) { seen.change([&](auto& all) { all.push_back(std::move(text)); }); };
  Client client(settings());
  client.on_changes([&](const verbund::Changes& changes) { note(changes.changes.at(0).op + " " + changes.changes.at(0).key + " " + changes.cursor); });
  client.on_lock_lost([&](const std::vector<std::string>& keys, const std::string& reason) { note(keys.at(0) + " " + reason); });
  client.on_locks([&](const std::string& what, const std::vector<LockInfo>& locks) { note(what + " " + locks.at(0).key + " " + locks.at(0).user); });
  client.on_session([&](const std::string& what, const SessionInfo& session) { note(what + " " + session.workstation + " " + session.state); });
  client.on_text([&](const Text& text) { note(text.text); });
  client.on_snapshot([&](const std::string& reason, const std::string& cursor) { note(reason + " " + cursor); });
  ASSERT_TRUE(client.connect());
  ASSERT_TRUE(client.lock({"patient/4711"}));
  const auto send = [&](const Event& event) {
    on_loop([&] {
      std::string text;
      encode_event(text, event);
      connected->send(std::move(text));
    });
  };
  protocol::Changes changes;
  changes.cursor = {{"h"}, {101}};
  changes.changes.push_back({kPatient, ChangeOp::kDelete, {}, {"patient"}});
  send(changes);
  SessionView session;
  session.session = {18};
  session.workstation = "Labor";
  send(SessionJoined{session});
  send(SessionStateChanged{{18}, protocol::SessionState::kSuspect});
  LockView lock;
  lock.key = kOther;
  lock.user = "anna";
  send(LockGranted{{lock}});
  send(LockReleased{{kOther}, {18}, false});
  send(SessionLeft{{18}, "Labor", "anna", protocol::LeftReason::kLost});
  send(MessageFrom{session, "*", "Schöne Grüße", {}});
  send(LockLost{{kPatient}, protocol::LockLostReason::kBroken, "admin", ""});
  send(Snapshot{"reconciled", {{"h2"}, {5}}});
  const std::vector<std::string> expected{
      "delete patient/4711 h:101", "joined Labor active", "state Labor suspect", "granted patient/4712 anna", "released patient/4712 anna",
      "left Labor lost", "Schöne Grüße", "patient/4711 broken", "reconciled h2:5"};
  EXPECT_TRUE(seen.wait([&](const auto& all) { return all.size() >= expected.size(); }));
  EXPECT_EQ(seen.get(), expected);
}

}  // namespace
}  // namespace verbund::client
