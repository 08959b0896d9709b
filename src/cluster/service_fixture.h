#pragma once
/// The service with peers and surroundings made of memory.
#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "cluster/service.h"

namespace verbund::cluster {

struct MemoryPeer final : net::Peer {
  explicit MemoryPeer(std::uint64_t given) : number(given) {}
  std::uint64_t id() const override { return number; }
  net::PeerKind kind() const override { return browser ? net::PeerKind::kWebSocket : net::PeerKind::kLine; }
  std::string_view address() const override { return "192.0.2.9"; }
  bool loopback() const override { return false; }
  bool encrypted() const override { return true; }
  std::uint16_t local_port() const override { return port; }
  std::string cookie(std::string_view) const override { return {}; }
  void send(Buffer message) override {
    if (closed) return;
    all += *message + "\n";
    if (on_send) std::exchange(on_send, nullptr)();
  }
  std::size_t queued_bytes() const override { return queued; }
  void notify_when_drained() override {}
  void set_farewell(Buffer) override {}
  void trust() override {}
  void close() override { closed = true; }
  bool says(const std::string& text) const { return all.find(text) != std::string::npos; }
  /// The text after `"NAME":"`, where it came last.
  std::string value(const std::string& name) const {
    const auto quoted = "\"" + name + "\":\"";
    const auto at = all.rfind(quoted);
    if (at == std::string::npos) return {};
    const auto from = at + quoted.size();
    return all.substr(from, all.find('"', from) - from);
  }
  std::size_t count(const std::string& text) const {
    std::size_t found = 0;
    for (auto at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++found;
    return found;
  }
  std::uint64_t number;
  std::uint16_t port = 2222;
  bool browser = false;
  std::size_t queued = 0;
  std::function<void()> on_send;  ///< once
  std::string all;
  bool closed = false;
};

struct ManualClock final : Clock {
  TimePoint now() const override { return time; }
  WallTime wall() const override { return WallTime{std::chrono::duration_cast<microseconds>(time.time_since_epoch())}; }
  TimePoint time{seconds{100}};
};
struct Silent final : Log, Counters, Counter, Gauge, Histogram {
  void write(LogLevel, std::string_view event, std::initializer_list<LogField>) override { events.emplace_back(event); }
  std::vector<std::string> events;
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
    const Answer answer{Identity{credentials.user, "staff", credentials.user == "admin"}, {}};
    if (checks_slowly) return waiting.push_back([done, answer] { done(answer); });
    done(answer);
  }
  void save(StoredSession session, std::function<void(Status)> done) override {
    stored[session.id] = session;
    if (holds_back) return waiting.push_back([done] { done({}); });
    done({});
  }
  void remove(SessionId session, std::function<void(Status)> done) override {
    if (database_is_down) return done(fail(ErrorCode::kUnavailable, "store sessions: no database"));
    stored.erase(session);
    if (holds_back) return waiting.push_back([done] { done({}); });
    done({});
  }
  void answer() {
    for (auto& done : std::exchange(waiting, {})) done();
  }
  Cursor head() const override { return {{"h"}, {1}}; }
  Lsn passed() const override { return {}; }
  void replay(Cursor, std::size_t, std::function<void(Result<std::vector<protocol::Changes>>)> done) override {
    done(fail(ErrorCode::kSnapshotNeeded, "cursor_too_old"));
  }
  void announce(std::vector<protocol::AnnouncedChange> changes, SessionId, std::function<void(Status)> done) override {
    announced += changes.size();
    if (holds_back) return waiting.push_back([done] { done({}); });
    done({});
  }
  void current_lsn(std::function<void(Result<Lsn>)> done) override { done(Lsn{900}); }
  void record(const std::string&, const std::string& action, const std::string&, const std::string&) override {
    audited.push_back(action);
  }
  std::map<SessionId, StoredSession> stored;
  std::vector<std::string> audited;
  std::vector<std::function<void()>> waiting;
  std::size_t announced = 0;
  bool holds_back = false, database_is_down = false, checks_slowly = false;
};

struct Serving : ::testing::Test {
  void say(MemoryPeer& peer, const std::string& message) { service->on_message(peer, message); }
  void join(MemoryPeer& peer, const std::string& user, const std::string& more = {}) {
    service->on_open(peer);
    say(peer, R"({"op":"register","id":1,"user":")" + user + R"(","password":"right","workstation":")" + user + "PC\"" + more + "}");
  }
  void resume(MemoryPeer& peer, const std::string& session, const std::string& secret, const std::string& more = {}) {
    service->on_open(peer);
    say(peer, R"({"op":"resume","id":1,"session":")" + session + R"(","secret":")" + secret + "\"" + more + "}");
  }
  void tear(MemoryPeer& peer) {
    peer.closed = true;
    service->on_close(peer, net::CloseReason::kPeer);
  }
  /// Pending broadcasts go in front of a reply.
  void settle() {
    for (auto* peer : {&anna, &bert, &carl}) {
      if (peer->says("\"welcome\"") && !peer->closed) say(*peer, R"({"op":"beat"})");
    }
  }
  /// Once: lets the loop do what is posted.
  void run_loop() {
    loop.post([this] { loop.post([this] { loop.stop(); }); });
    loop.run();
  }
  void pass(milliseconds span) {
    for (; span.count() > 0; span -= milliseconds{100}) {
      clock.time += milliseconds{100};
      service->tick();
    }
  }
  void start(std::uint16_t start_count = 1) {
    std::vector<StoredSession> known;
    for (const auto& [id, session] : office.stored) known.push_back(session);
    service.reset();
    service = std::make_unique<Service>(
        settings, LockEpoch{{1}, start_count}, std::move(known), SessionId{100u * start_count},
        Surroundings{loop, clock, office, office, office, office, silent, silent, [] { return std::string("{}"); }, "node", "1", {}, {}});
  }
  Serving() { start(); }
  net::EventLoop loop;
  ManualClock clock;
  Silent silent;
  Office office;
  Settings settings;
  std::unique_ptr<Service> service;
  MemoryPeer anna{1}, bert{2}, carl{3};
};

}  // namespace verbund::cluster
