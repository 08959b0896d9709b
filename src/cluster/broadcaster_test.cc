// Delivery of broadcasts and what is merged for slow clients.
#include <gtest/gtest.h>

#include "cluster/broadcaster.h"
#include "protocol/codec.h"

namespace verbund::cluster {
namespace {

using protocol::ChangeOp;

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

class FakePeer final : public Receiver {
 public:
  explicit FakePeer(std::uint64_t number) : number_(number) {}
  std::uint64_t id() const override { return number_; }
  void send(Buffer message) override { sent.push_back(std::move(message)); }
  std::size_t queued_bytes() const override { return queued; }
  void notify_when_drained() override { asked_for_drained = true; }
  std::vector<Buffer> sent;
  std::size_t queued = 0;
  bool asked_for_drained = false;

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

// The simulation's law "too slow was due": a slow client that had been sent all it watches (in front of a grant) was cut off
// when entries that it does not watch had filled the log.
TEST_F(Broadcasts, DoNotCutOffWhomNothingWatchedHasPassedBy) {
  broadcaster.join(peer, {{"letter"}, false, false}, {});
  broadcaster.start(1);
  peer.queued = 100'000;
  auto letter = change(11, "1", ChangeOp::kInsert);
  letter.changes.front().key.type = "letter";
  broadcaster.publish(letter);
  drain();
  ASSERT_TRUE(peer.asked_for_drained);
  broadcaster.flush(1, Broadcaster::Pressure::kIgnore);
  EXPECT_EQ(peer.sent.size(), 1u);
  for (std::uint64_t csn = 12; csn < 40; ++csn) broadcaster.publish(change(csn, "1", ChangeOp::kUpdate));
  peer.queued = 0;
  broadcaster.drained(1);
  EXPECT_TRUE(sink.behind.empty());
  EXPECT_EQ(broadcaster.cursor(1).csn.value, 39u);
  letter.cursor.csn = {40};
  broadcaster.publish(letter);
  drain();
  EXPECT_EQ(peer.sent.size(), 2u);
}

TEST_F(Broadcasts, DoNotCutOffAReaderOfTheJournalForWhatItDoesNotWatch) {
  broadcaster.join(peer, {{"letter"}, false, false}, Cursor{{"h"}, {5}});
  broadcaster.start(1);
  ASSERT_EQ(sink.asked.size(), 1u);
  for (std::uint64_t csn = 11; csn < 40; ++csn) broadcaster.publish(change(csn, "1", ChangeOp::kUpdate));
  broadcaster.replayed(1, sink.asked.front(), {});
  EXPECT_TRUE(sink.behind.empty());
  EXPECT_EQ(broadcaster.cursor(1).csn.value, 39u);
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

// Found by the simulation: what follows a snapshot was merged in front of it, and the cursor went back with it.
TEST_F(Broadcasts, NothingMovesPastASnapshot) {
  broadcaster.join(peer, {}, {});
  broadcaster.start(1);
  peer.queued = 100'000;
  broadcaster.publish(change(11, "1", ChangeOp::kInsert));
  drain();
  broadcaster.publish_snapshot({"history_changed", {{"i"}, {20}}});
  EXPECT_EQ(broadcaster.cursor(1), (Cursor{{"h"}, {10}})) << "until it has been told, it resumes from where it was";
  auto after = change(21, "2", ChangeOp::kInsert);
  after.cursor.history = {"i"};
  broadcaster.publish(after);
  peer.queued = 0;
  broadcaster.drained(1);
  ASSERT_EQ(peer.sent.size(), 2u);
  EXPECT_NE(peer.sent[0]->find("history_changed"), std::string::npos);
  EXPECT_NE(peer.sent[1]->find("patient/2"), std::string::npos);
  EXPECT_EQ(broadcaster.cursor(1), broadcaster.head());
}

// A `watch` with a cursor threw away the locks and presence that a slow client was still owed.
TEST_F(Broadcasts, AnotherWatchKeepsWhatIsOwedOfLocks) {
  broadcaster.join(peer, {{"patient"}, true, true}, {});
  broadcaster.start(1);
  peer.queued = 100'000;
  broadcaster.publish(Topic::kLocks, std::make_shared<const std::string>("lock"));
  broadcaster.publish(Topic::kPresence, std::make_shared<const std::string>("presence"));
  drain();
  peer.queued = 0;
  broadcaster.set_watch(1, {{"*"}, true, false}, broadcaster.cursor(1));
  broadcaster.start(1);
  ASSERT_EQ(peer.sent.size(), 1u);
  EXPECT_EQ(*peer.sent[0], "lock");
}

// Who is told rarely stands at an old number of the log; a pause took that for having fallen off it.
TEST_F(Broadcasts, WhoWatchesLittleDoesNotFallBehindByAPause) {
  broadcaster.join(peer, {{"letter"}, false, false}, {});
  broadcaster.start(1);
  for (std::uint64_t csn = 11; csn < 40; ++csn) broadcaster.publish(change(csn, "1", ChangeOp::kUpdate));
  drain();
  auto letter = change(40, "7", ChangeOp::kInsert);
  letter.changes[0].key.type = "letter";
  peer.queued = 100'000;
  broadcaster.publish(letter);
  drain();
  peer.queued = 0;
  broadcaster.drained(1);
  EXPECT_TRUE(sink.behind.empty());
  ASSERT_EQ(peer.sent.size(), 1u);
}

}  // namespace
}  // namespace verbund::cluster
