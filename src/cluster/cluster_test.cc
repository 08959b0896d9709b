// Behaviour of the engines, the broadcaster and the settings, by name.
#include <gtest/gtest.h>

#include "cluster/broadcaster.h"
#include "cluster/engine.h"
#include "cluster/ports.h"
#include "protocol/codec.h"

namespace verbund::cluster {
namespace {

using protocol::ChangeOp;

const RecordKey kAnna{"patient", "1"}, kBert{"patient", "2"}, kCarl{"patient", "3"};

template <typename What>
std::vector<What> all_of(const Actions& actions) {
  std::vector<What> found;
  for (const auto& action : actions) {
    if (const auto* what = std::get_if<What>(&action)) found.push_back(*what);
  }
  return found;
}

class Cluster : public ::testing::Test {
 protected:
  Now now() const { return {time, WallTime{std::chrono::duration_cast<microseconds>(time.time_since_epoch())}}; }
  void start(std::vector<StoredSession> known = {}, std::uint16_t start_count = 1) {
    engine = std::make_unique<Engine>(settings, LockEpoch{{1}, start_count}, std::move(known), SessionId{1}, now());
  }
  StoredSession stored(const std::string& address = "192.0.2.1", const std::string& name = "Empfang") {
    StoredSession session;
    session.id = engine->next_session();
    session.address = address;
    session.workstation = name;
    session.identity.user = "anna";
    return session;
  }
  SessionId add(const std::string& address = "192.0.2.1") {
    auto session = stored(address);
    const auto id = session.id;
    EXPECT_TRUE(engine->add_session(std::move(session), {id.value + 1000}, false, now()));
    return id;
  }
  std::vector<LockReplied> lock(SessionId session, std::vector<RecordKey> keys, milliseconds wait = {},
                                std::string request = {}) {
    engine->take_actions();
    engine->lock({session, {++tickets}, std::move(request), std::move(keys), wait, {}}, now());
    actions = engine->take_actions();
    return all_of<LockReplied>(actions);
  }
  std::vector<LockReplied> unlock(SessionId session, std::vector<RecordKey> keys, std::optional<Lsn> after = {}) {
    engine->take_actions();
    engine->unlock({session, {++tickets}, {}, std::move(keys), {}, after}, now());
    actions = engine->take_actions();
    return all_of<LockReplied>(actions);
  }
  void pass(milliseconds span) {
    engine->take_actions();
    actions.clear();
    for (; span.count() > 0; span -= milliseconds{100}) {
      time += milliseconds{100};
      engine->tick(now());
      for (auto& action : engine->take_actions()) actions.push_back(action);
    }
  }

  Settings settings;
  TimePoint time{seconds{100}};
  std::unique_ptr<Engine> engine;
  Actions actions;
  std::uint64_t tickets = 0;
};

TEST_F(Cluster, TellsWhoHoldsALockedKey) {
  start();
  const auto a = add(), b = add();
  ASSERT_FALSE(lock(a, {kAnna}).front().refused);
  const auto refused = lock(b, {kAnna});
  EXPECT_EQ(refused.front().refused, ErrorCode::kHeld);
  EXPECT_EQ(refused.front().holder->session, a);
}

TEST_F(Cluster, GrantsSeveralKeysAllOrNone) {
  start();
  const auto a = add(), b = add();
  lock(a, {kBert});
  EXPECT_TRUE(lock(b, {kAnna, kBert}).front().refused);
  EXPECT_FALSE(lock(a, {kAnna}).front().refused);
}

TEST_F(Cluster, TokensGrowWithEveryGrant) {
  start();
  const auto a = add();
  const auto first = lock(a, {kAnna}).front().token;
  unlock(a, {kAnna});
  EXPECT_GT(lock(a, {kAnna}).front().token, first);
}

TEST_F(Cluster, WakesWaitersOneByOneInOrderOfArrival) {
  start();
  const auto a = add(), b = add(), c = add();
  lock(a, {kAnna});
  EXPECT_TRUE(lock(b, {kAnna}, seconds{60}).empty());
  EXPECT_TRUE(lock(c, {kAnna}, seconds{60}).empty());
  const auto replies = unlock(a, {kAnna});
  ASSERT_EQ(replies.size(), 2u);  // a's own, and b's grant
  EXPECT_EQ(replies.back().session, b);
}

TEST_F(Cluster, AWaiterForSeveralKeysIsNotStarved) {
  start();
  const auto a = add(), b = add(), c = add();
  lock(a, {kAnna});
  lock(b, {kAnna, kBert}, seconds{60});
  EXPECT_EQ(lock(c, {kBert}).front().refused, ErrorCode::kHeld);  // free, but reserved
  const auto replies = unlock(a, {kAnna});
  EXPECT_EQ(replies.back().session, b);
  EXPECT_EQ(replies.back().tokens.size(), 2u);
}

TEST_F(Cluster, AWaitEndsWithItsTimeLimit) {
  start();
  const auto a = add(), b = add();
  lock(a, {kAnna});
  lock(b, {kAnna}, seconds{2});
  pass(seconds{1});
  EXPECT_TRUE(all_of<LockReplied>(actions).empty());
  pass(milliseconds{1100});
  EXPECT_EQ(all_of<LockReplied>(actions).front().refused, ErrorCode::kTimedOut);
}

TEST_F(Cluster, ARequestRepeatedAfterALostReplyGetsTheFirstGrantAgain) {
  start();
  const auto a = add();
  const auto first = lock(a, {kAnna}, {}, "r1");
  const auto again = lock(a, {kAnna}, {}, "r1");
  EXPECT_EQ(first.front().token, again.front().token);
  EXPECT_TRUE(all_of<LocksGranted>(actions).empty());
}

TEST_F(Cluster, ARepeatedWaitingRequestIsAnsweredForEachTime) {
  start();
  const auto a = add(), b = add();
  lock(a, {kAnna});
  lock(b, {kAnna}, seconds{60}, "r1");
  lock(b, {kAnna}, seconds{60}, "r1");
  EXPECT_EQ(unlock(a, {kAnna}).size(), 3u);
}

TEST_F(Cluster, CancelEndsAWaitingRequest) {
  start();
  const auto a = add(), b = add();
  lock(a, {kAnna});
  lock(b, {kAnna}, seconds{60}, "r1");
  engine->cancel(b, {++tickets}, "r1", now());
  const auto replies = all_of<LockReplied>(engine->take_actions());
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies.front().refused, ErrorCode::kCancelled);
  EXPECT_FALSE(replies.back().refused);
}

TEST_F(Cluster, ReleaseIsAnnouncedOnlyAfterItsChangesHavePassed) {
  start();
  const auto a = add(), b = add();
  lock(a, {kAnna});
  lock(b, {kAnna}, seconds{60});
  unlock(a, {kAnna}, Lsn{500});
  EXPECT_TRUE(all_of<LocksReleased>(actions).empty());
  engine->feed_passed({500}, now());
  actions = engine->take_actions();
  EXPECT_FALSE(all_of<LocksReleased>(actions).front().changes_pending);
  EXPECT_EQ(all_of<LockReplied>(actions).front().session, b);
}

TEST_F(Cluster, ReleaseIsMarkedWhenItsChangesDoNotCome) {
  start();
  const auto a = add();
  lock(a, {kAnna});
  unlock(a, {kAnna}, kLsnUnknown);
  pass(milliseconds{1900});
  EXPECT_TRUE(all_of<LocksReleased>(actions).empty());
  pass(milliseconds{200});
  EXPECT_TRUE(all_of<LocksReleased>(actions).front().changes_pending);
}

TEST_F(Cluster, BreakingALockTellsItsHolder) {
  start();
  const auto a = add();
  lock(a, {kAnna});
  const std::vector<RecordKey> keys{kAnna};
  EXPECT_EQ(engine->force(keys, "admin", "gone home", now()).front().session, a);
  actions = engine->take_actions();
  EXPECT_EQ(all_of<LocksLost>(actions).front().by, "admin");
  EXPECT_EQ(unlock(a, {kAnna}).front().refused, ErrorCode::kNotHeld);
}

TEST_F(Cluster, ATornConnectionKeepsItsLocksUntilTheWindowIsOver) {
  start();
  const auto a = add();
  lock(a, {kAnna});
  engine->disconnected(a, {a.value + 1000}, now());
  pass(seconds{34});
  EXPECT_TRUE(all_of<Left>(actions).empty());
  pass(milliseconds{1100});
  EXPECT_EQ(all_of<Left>(actions).front().reason, protocol::LeftReason::kLost);
  EXPECT_EQ(all_of<LocksReleased>(actions).size(), 1u);
}

TEST_F(Cluster, SilenceMakesSuspectAndASignOfLifeActiveAgain) {
  start();
  const auto a = add();
  pass(milliseconds{10'100});
  EXPECT_EQ(all_of<StateChanged>(actions).front().state, protocol::SessionState::kSuspect);
  engine->sign_of_life(a, now());
  EXPECT_EQ(all_of<StateChanged>(engine->take_actions()).front().state, protocol::SessionState::kActive);
}

TEST_F(Cluster, ASilentHolderThatIsStillConnectedHearsOfItsLoss) {
  start();
  const auto a = add();
  lock(a, {kAnna});
  pass(seconds{36});
  EXPECT_EQ(all_of<LocksLost>(actions).front().reason, protocol::LockLostReason::kExpired);
}

TEST_F(Cluster, AStalledLoopExtendsLeasesBeforeItExpiresAny) {
  start();
  add();
  pass(seconds{1});
  time += seconds{600};
  pass(milliseconds{100});
  EXPECT_TRUE(actions.empty());
}

TEST_F(Cluster, AResumingConnectionSupersedesItsHalfOpenPredecessor) {
  start();
  const auto a = add();
  engine->take_actions();
  ASSERT_TRUE(engine->resume(a, {77}, false, {}, now()));
  EXPECT_EQ(all_of<Superseded>(engine->take_actions()).front().connection, (ConnectionId{a.value + 1000}));
  engine->disconnected(a, {a.value + 1000}, now());
  EXPECT_EQ(engine->session(a)->state, protocol::SessionState::kActive);
}

TEST_F(Cluster, ClientServerModeTakesOneWorkstationPerAddress) {
  settings.mode = protocol::Mode::kClientServer;
  start();
  add("192.0.2.1");
  const auto refused = engine->admit(stored("192.0.2.1", "Labor"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("Empfang"), std::string::npos);
  auto tool = stored("192.0.2.1", "cli");
  tool.kind = protocol::SessionKind::kTool;
  EXPECT_TRUE(engine->admit(tool));
  EXPECT_TRUE(engine->admit(stored("192.0.2.2")));
}

TEST_F(Cluster, HoldersReclaimAfterARestartAndTheWindowEndsWithTheLast) {
  start();
  const auto a = add(), b = add();
  const auto token = lock(a, {kAnna}).front().token;
  std::vector<StoredSession> known{engine->session(a)->stored, engine->session(b)->stored};
  start(known, 2);
  const std::vector<protocol::Reclaim> claims{{kAnna, token}};
  const auto resumed = engine->resume(a, {1}, false, claims, now());
  EXPECT_EQ(resumed->held.front().token, token);
  EXPECT_EQ(lock(a, {kBert}).front().refused, ErrorCode::kReclaiming);
  ASSERT_TRUE(engine->resume(b, {2}, false, claims, now()));
  EXPECT_EQ(lock(b, {kAnna}).front().refused, ErrorCode::kHeld);
  EXPECT_GT(lock(b, {kBert}).front().token, token);
}

TEST_F(Cluster, ReclaimAfterTheWindowIsRefused) {
  start();
  const auto a = add(), b = add();
  std::vector<StoredSession> known{engine->session(a)->stored, engine->session(b)->stored};
  start(known, 2);
  engine->leave(b, protocol::LeftReason::kGoodbye, now());
  ASSERT_TRUE(engine->resume(a, {1}, false, {}, now()));
  const std::vector<protocol::Reclaim> late{{kAnna, FencingToken::of({{1}, 1}, 9)}};
  EXPECT_EQ(engine->resume(a, {3}, false, late, now())->lost.front().reason, protocol::LockLostReason::kRefused);
}

TEST(PortTable, GivesEachPortToOneTicketUntilItIsReleased) {
  PortTable ports(3000, 2, milliseconds{1000});
  const TimePoint now{seconds{1}};
  EXPECT_EQ(*ports.offer("a", now), 3000);
  EXPECT_EQ(*ports.offer("b", now), 3001);
  EXPECT_EQ(ports.offer("c", now).error().code, ErrorCode::kPortsExhausted);
  EXPECT_FALSE(ports.redeem(3000, "b", now));
  EXPECT_TRUE(ports.redeem(3000, "a", now));
  EXPECT_FALSE(ports.redeem(3000, "a", now));
  EXPECT_EQ(ports.expire(now + seconds{2}).size(), 1u);
  EXPECT_EQ(*ports.offer("c", now), 3001);
}

protocol::Changes change(std::uint64_t csn, const std::string& id, ChangeOp op, const std::string& was = {}) {
  protocol::RecordChange record{{"patient", id}, op, {}, {}};
  if (!was.empty()) record.was = RecordKey{"patient", was};
  return {{{"h"}, {csn}}, {}, {}, {}, {record}, {}, {}};
}

TEST(Conflation, TellsTheDifferenceBetweenBeforeAndAfter) {
  Conflation merged;
  merged.add(change(1, "1", ChangeOp::kInsert));
  merged.add(change(2, "1", ChangeOp::kUpdate));
  merged.add(change(3, "2", ChangeOp::kInsert));
  merged.add(change(4, "2", ChangeOp::kDelete));
  merged.add(change(5, "3", ChangeOp::kUpdate));
  merged.add(change(6, "3", ChangeOp::kDelete));
  merged.add(change(7, "4", ChangeOp::kDelete));
  merged.add(change(8, "4", ChangeOp::kInsert));
  merged.add(change(9, "6", ChangeOp::kUpdate, "5"));
  merged.add(change(10, "7", ChangeOp::kUpdate, "6"));
  const auto event = merged.take();
  ASSERT_EQ(event.changes.size(), 4u);
  EXPECT_EQ(event.changes[0].op, ChangeOp::kInsert);
  EXPECT_EQ(event.changes[1].op, ChangeOp::kDelete);
  EXPECT_EQ(event.changes[2].op, ChangeOp::kUpdate);
  EXPECT_EQ(event.changes[3].key.id, "7");
  EXPECT_EQ(event.changes[3].was->id, "5");
  EXPECT_EQ(event.cursor.csn.value, 10u);
}

class FakePeer final : public net::Peer {
 public:
  explicit FakePeer(std::uint64_t number) : number_(number) {}
  std::uint64_t id() const override { return number_; }
  net::PeerKind kind() const override { return net::PeerKind::kLine; }
  std::string_view address() const override { return "192.0.2.9"; }
  bool loopback() const override { return false; }
  bool encrypted() const override { return true; }
  std::uint16_t local_port() const override { return 2222; }
  std::string cookie(std::string_view) const override { return {}; }
  void send(net::Buffer message) override { sent.push_back(std::move(message)); }
  std::size_t queued_bytes() const override { return queued; }
  void notify_when_drained() override { asked_for_drained = true; }
  void set_farewell(net::Buffer) override {}
  void trust() override {}
  void close() override { closed = true; }
  std::vector<net::Buffer> sent;
  std::size_t queued = 0;
  bool asked_for_drained = false, closed = false;

 private:
  std::uint64_t number_;
};

struct FakeSink final : BroadcastSink {
  void fell_behind(std::uint64_t subscriber) override { behind.push_back(subscriber); }
  void replay(std::uint64_t, Cursor from, std::size_t) override { asked.push_back(from); }
  std::vector<std::uint64_t> behind;
  std::vector<Cursor> asked;
};

struct Broadcasts : ::testing::Test {
  void drain() {
    while (broadcaster.pump(8)) {
    }
  }
  FakeSink sink;
  BroadcastLimits limits{.log_entries = 8};
  Broadcaster broadcaster{limits, {{"h"}, {10}}, sink};
  FakePeer peer{1};
};

TEST_F(Broadcasts, DeliverOnlyWhatIsWatchedAndInOrder) {
  broadcaster.join(peer, {{"patient"}, false, false}, {});
  broadcaster.start(1);
  broadcaster.publish(change(11, "1", ChangeOp::kInsert));
  broadcaster.publish(Topic::kLocks, std::make_shared<const std::string>("{}"));
  broadcaster.publish(change(12, "2", ChangeOp::kInsert));
  drain();
  ASSERT_EQ(peer.sent.size(), 2u);
  EXPECT_NE(peer.sent[0]->find("patient/1"), std::string::npos);
  EXPECT_EQ(broadcaster.cursor(1).csn.value, 12u);
}

TEST_F(Broadcasts, MergeWhatASlowSubscriberMissed) {
  broadcaster.join(peer, {}, {});
  broadcaster.start(1);
  peer.queued = 100'000;
  broadcaster.publish(change(11, "1", ChangeOp::kInsert));
  drain();
  EXPECT_TRUE(peer.asked_for_drained);
  broadcaster.publish(change(12, "1", ChangeOp::kUpdate));
  drain();
  EXPECT_TRUE(peer.sent.empty());
  EXPECT_EQ(broadcaster.cursor(1).csn.value, 10u);
  peer.queued = 0;
  broadcaster.drained(1);
  ASSERT_EQ(peer.sent.size(), 1u);
  EXPECT_NE(peer.sent[0]->find("insert"), std::string::npos);
}

TEST_F(Broadcasts, SayWhoFellOffTheLog) {
  broadcaster.join(peer, {}, {});
  broadcaster.start(1);
  peer.queued = 100'000;
  for (std::uint64_t csn = 11; csn < 40; ++csn) broadcaster.publish(change(csn, "1", ChangeOp::kUpdate));
  drain();
  EXPECT_EQ(sink.behind, std::vector<std::uint64_t>{1});
}

TEST_F(Broadcasts, ResumeFromTheLogWithoutGapOrRepetition) {
  for (std::uint64_t csn = 11; csn < 15; ++csn) broadcaster.publish(change(csn, std::to_string(csn), ChangeOp::kInsert));
  broadcaster.join(peer, {}, Cursor{{"h"}, {12}});
  EXPECT_TRUE(peer.sent.empty());
  broadcaster.start(1);
  ASSERT_EQ(peer.sent.size(), 1u);
  EXPECT_EQ(peer.sent[0]->find("patient/12"), std::string::npos);
  EXPECT_NE(peer.sent[0]->find("patient/13"), std::string::npos);
  EXPECT_NE(peer.sent[0]->find("patient/14"), std::string::npos);
}

TEST_F(Broadcasts, ResumeFromTheJournalThenTheLog) {
  broadcaster.publish(change(11, "11", ChangeOp::kInsert));
  broadcaster.join(peer, {}, Cursor{{"h"}, {8}});
  broadcaster.start(1);
  ASSERT_EQ(sink.asked.size(), 1u);
  broadcaster.publish(change(12, "12", ChangeOp::kInsert));
  broadcaster.replayed(1, sink.asked[0], {change(9, "9", ChangeOp::kInsert), change(10, "10", ChangeOp::kInsert)});
  drain();
  std::string all;
  for (const auto& message : peer.sent) all += *message;
  for (const char* id : {"patient/9\"", "patient/10\"", "patient/11\"", "patient/12\""}) {
    EXPECT_NE(all.find(id), std::string::npos) << id;
    EXPECT_EQ(all.find(id), all.rfind(id)) << id;
  }
}

TEST_F(Broadcasts, SayThatACursorIsGone) {
  broadcaster.join(peer, {}, Cursor{{"other"}, {8}});
  broadcaster.start(1);
  broadcaster.replay_refused(1, "history_changed");
  ASSERT_EQ(peer.sent.size(), 1u);
  EXPECT_NE(peer.sent[0]->find("history_changed"), std::string::npos);
  broadcaster.publish(change(11, "1", ChangeOp::kInsert));
  drain();
  EXPECT_EQ(peer.sent.size(), 2u);
}

TEST(Settings, TheDefaultFileGivesTheDefaults) {
  auto file = os::ConfigFile::parse_properties(default_properties(), "P2P.properties");
  ASSERT_TRUE(file);
  const auto settings = read_settings(*file);
  ASSERT_TRUE(settings) << settings.error().message;
  const Settings plain;
  EXPECT_EQ(settings->mode, plain.mode);
  EXPECT_EQ(settings->first_port, plain.first_port);
  EXPECT_EQ(settings->reconnect, plain.reconnect);
  EXPECT_EQ(settings->max_sessions, plain.max_sessions);
}

TEST(Settings, RefusesWindowsThatAreShorterThanTheLease) {
  auto file = os::ConfigFile::parse_properties("lease.ms = 30000\nreconnect.ms = 30500\n", "P2P.properties");
  ASSERT_TRUE(file);
  EXPECT_EQ(read_settings(*file).error().code, ErrorCode::kBadConfig);
}

}  // namespace
}  // namespace verbund::cluster
