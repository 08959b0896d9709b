// The service with peers and surroundings made of memory: from the first message to the last.
#include <algorithm>

#include <gtest/gtest.h>

#include "cluster/service.h"

namespace verbund::cluster {
namespace {

struct MemoryPeer final : net::Peer {
  explicit MemoryPeer(std::uint64_t given) : number(given) {}
  std::uint64_t id() const override { return number; }
  net::PeerKind kind() const override { return net::PeerKind::kLine; }
  std::string_view address() const override { return "192.0.2.9"; }
  bool loopback() const override { return false; }
  bool encrypted() const override { return true; }
  std::uint16_t local_port() const override { return 2222; }
  std::string cookie(std::string_view) const override { return {}; }
  void send(net::Buffer message) override { all += *message + "\n"; }
  std::size_t queued_bytes() const override { return 0; }
  void notify_when_drained() override {}
  void set_farewell(net::Buffer) override {}
  void trust() override {}
  void close() override { closed = true; }
  bool says(const std::string& text) const { return all.find(text) != std::string::npos; }
  std::uint64_t number;
  std::string all;
  bool closed = false;
};

struct ManualClock final : Clock {
  TimePoint now() const override { return time; }
  WallTime wall() const override { return WallTime{std::chrono::duration_cast<microseconds>(time.time_since_epoch())}; }
  TimePoint time{seconds{100}};
};
struct Silent final : Log, Counters, Counter, Gauge, Histogram {
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
  Counter& counter(std::string_view, std::string_view) override { return *this; }
  Gauge& gauge(std::string_view, std::string_view) override { return *this; }
  Histogram& histogram(std::string_view, std::string_view) override { return *this; }
  void add(double) override {}
  void set(double) override {}
  void observe(double) override {}
};
struct Office final : Authenticator, SessionStore, ChangeLog, AuditTrail {
  void authenticate(Credentials credentials, std::function<void(Answer)> done) override {
    if (credentials.password != "right") return done({fail(ErrorCode::kUnauthenticated, "register: wrong"), {}});
    done({Identity{credentials.user, "staff", credentials.user == "admin"}, {}});
  }
  void save(StoredSession session, std::function<void(Status)> done) override {
    stored[session.id] = session;
    done({});
  }
  void remove(SessionId session) override { stored.erase(session); }
  Cursor head() const override { return {{"h"}, {1}}; }
  Lsn passed() const override { return {}; }
  void replay(Cursor, std::size_t, std::function<void(Result<std::vector<protocol::Changes>>)> done) override {
    done(fail(ErrorCode::kSnapshotNeeded, "cursor_too_old"));
  }
  void announce(std::vector<protocol::AnnouncedChange>, SessionId, std::function<void(Status)> done) override { done({}); }
  void current_lsn(std::function<void(Result<Lsn>)> done) override { done(Lsn{900}); }
  void record(const std::string&, const std::string& action, const std::string&, const std::string&) override {
    audited.push_back(action);
  }
  std::map<SessionId, StoredSession> stored;
  std::vector<std::string> audited;
};

struct Serving : ::testing::Test {
  void say(MemoryPeer& peer, const std::string& message) { service.on_message(peer, message); }
  void join(MemoryPeer& peer, const std::string& user) {
    service.on_open(peer);
    say(peer, R"({"op":"register","id":1,"user":")" + user + R"(","password":"right","workstation":")" + user + "PC\"}");
  }
  /// Lets the loop do what is posted.
  void settle() {
    loop.post([this] { loop.post([this] { loop.stop(); }); });
    loop.run();
  }
  net::EventLoop loop;
  ManualClock clock;
  Silent silent;
  Office office;
  Service service{{}, {{1}, 1}, {}, {1},
                  {loop, clock, office, office, office, office, silent, silent, [] { return std::string("{}"); }, "node", "1", {}, {}}};
  MemoryPeer anna{1}, bert{2};
};

TEST_F(Serving, AWorkstationRegistersLocksAndTheOtherIsToldWho) {
  join(anna, "anna");
  EXPECT_TRUE(anna.says("\"welcome\""));
  EXPECT_EQ(office.stored.size(), 1u);
  join(bert, "bert");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  EXPECT_TRUE(anna.says("\"token\""));
  say(bert, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  EXPECT_TRUE(bert.says("\"held\""));
  EXPECT_TRUE(bert.says("annaPC"));
}

TEST_F(Serving, ChangesComeBeforeTheReleaseThatWaitedForThem) {
  join(anna, "anna");
  join(bert, "bert");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  say(bert, R"({"op":"lock","id":3,"keys":["patient/1"],"wait_ms":60000})");
  say(anna, R"({"op":"unlock","id":4,"keys":["patient/1"],"wrote":true})");
  EXPECT_FALSE(bert.says("\"re\":3"));
  service.on_changes({{{"h"}, {2}}, {900}, {}, {}, {{{"patient", "1"}, protocol::ChangeOp::kUpdate, {}, {}}}, {}, {}});
  const auto changes = bert.all.find("\"changes\""), released = bert.all.find("lock.released"), grant = bert.all.find("\"re\":3");
  ASSERT_NE(grant, std::string::npos);
  EXPECT_LT(changes, released);
  EXPECT_LT(released, grant);
}

TEST_F(Serving, WrongPasswordsAndMessagesBeforeRegistrationAreRefused) {
  service.on_open(anna);
  say(anna, R"({"op":"beat","id":1})");
  EXPECT_TRUE(anna.says("not_registered")) << anna.all;
  say(anna, R"({"op":"register","id":2,"user":"anna","password":"x","workstation":"w"})");
  EXPECT_TRUE(anna.says("unauthenticated")) << anna.all;
}

TEST_F(Serving, WhoSendsRubbishIsAnsweredAndThenClosed) {
  join(anna, "anna");
  for (int i = 0; i < 101; ++i) say(anna, "{rubbish");
  EXPECT_TRUE(anna.says("bad_message"));
  EXPECT_TRUE(anna.closed);
}

TEST_F(Serving, BreakingNeedsTheRightAndIsAudited) {
  join(anna, "anna");
  MemoryPeer admin{3};
  join(admin, "admin");
  say(admin, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  say(anna, R"({"op":"break","id":3,"keys":["patient/1"],"reason":"x"})");
  EXPECT_TRUE(anna.says("forbidden"));
  say(admin, R"({"op":"break","id":3,"keys":["patient/1"],"reason":"x"})");
  EXPECT_TRUE(admin.says("lock.lost"));
  EXPECT_EQ(office.audited, (std::vector<std::string>{"lock.break.refused", "lock.break"}));
}

TEST_F(Serving, GoodbyeForgetsTheSessionAndTellsTheOthers) {
  join(anna, "anna");
  join(bert, "bert");
  say(anna, R"({"op":"goodbye","id":9})");
  settle();
  EXPECT_TRUE(anna.closed);
  EXPECT_EQ(office.stored.size(), 1u);
  EXPECT_TRUE(bert.says("session.left"));
}

}  // namespace
}  // namespace verbund::cluster
