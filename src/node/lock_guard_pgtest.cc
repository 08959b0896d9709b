// The writer of the guard's lock table: batches, rows that open transactions keep, newer tokens, a source that is away.
#include "node/adapters/lock_guard.h"

#include <atomic>
#include <future>
#include <mutex>

#include "guard/guard_scene.h"
#include "testing/sim_clock.h"

namespace verbund::node {
namespace {

using cluster::GuardPatience;
using protocol::KeyToken;
using Outcome = cluster::LockGuard::Outcome;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Audit final : public cluster::AuditTrail {
 public:
  void record(const std::string& actor, const std::string& action, const std::string& object, const std::string& detail) override {
    const std::scoped_lock lock(mutex_);
    entries_.push_back(fmt::format("{} {} {}: {}", actor, action, object, detail));
  }
  std::vector<std::string> entries() {
    const std::scoped_lock lock(mutex_);
    return entries_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> entries_;
};

KeyToken patient(const std::string& id, std::uint64_t token) { return {{"patient", id}, {token}}; }

class LockGuardWriter : public guard::GuardTest {
 protected:
  void SetUp() override {
    practice();
    on_loop([&] {
      writer_ = std::make_unique<SourceLockGuard>(database_, workers_, loop_, clock_, audit_, log_, [this] { ++gone_; });
    });
  }
  void TearDown() override {
    loop_.stop();
    thread_.join();
    writer_.reset();
  }

  void on_loop(std::function<void()> task) {
    std::promise<void> done;
    loop_.post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  std::future<Outcome> write(std::vector<KeyToken> tokens, GuardPatience patience = GuardPatience::kBounded) {
    auto told = std::make_shared<std::promise<Outcome>>();
    auto outcome = told->get_future();
    on_loop([&] { writer_->write(std::move(tokens), {7}, patience, [told](Outcome said) { told->set_value(std::move(said)); }); });
    return outcome;
  }
  void clear(std::vector<KeyToken> tokens) {
    on_loop([&] { writer_->clear(std::move(tokens)); });
  }
  static bool told(const std::future<Outcome>& outcome, milliseconds patience = milliseconds{20'000}) {
    return outcome.wait_for(patience) == std::future_status::ready;
  }
  static Outcome outcome_of(std::future<Outcome> outcome) {
    if (!told(outcome)) throw std::runtime_error("the guard said nothing");
    return outcome.get();
  }
  std::string rows() {
    return value("SELECT coalesce(string_agg(id || '=' || token, ' ' ORDER BY id), '') FROM verbund_guard.lock");
  }
  bool eventually_rows(const std::string& wanted) {
    return testing::eventually([&] { return rows() == wanted; });
  }

  testing::SimClock clock_;
  Audit audit_;
  std::atomic<int> gone_ = 0;
  net::EventLoop loop_;
  os::WorkerPool workers_{3, 100};
  std::unique_ptr<SourceLockGuard> writer_;
  std::thread thread_{[this] { loop_.run(); }};
};

TEST_F(LockGuardWriter, TellsWhenTheRowsAreCommitted) {
  EXPECT_THAT(outcome_of(write({patient("1", 5), patient("2", 5)})).failed, IsEmpty());
  EXPECT_EQ(rows(), "1=5 2=5");
  clear({patient("1", 5)});
  EXPECT_TRUE(eventually_rows("2=5"));
}

TEST_F(LockGuardWriter, ManyRequestsAtOnceAreAllWritten) {
  constexpr std::uint64_t kRequests = 1500;  // more than one batch holds
  std::vector<std::future<Outcome>> outcomes;
  on_loop([&] {
    for (std::uint64_t i = 1; i <= kRequests; ++i) {
      auto said = std::make_shared<std::promise<Outcome>>();
      outcomes.push_back(said->get_future());
      writer_->write({patient(std::to_string(i), i)}, {7}, GuardPatience::kBounded, [said](Outcome one) { said->set_value(std::move(one)); });
    }
  });
  for (auto& outcome : outcomes) EXPECT_THAT(outcome_of(std::move(outcome)).failed, IsEmpty());
  EXPECT_EQ(value("SELECT count(*) FROM verbund_guard.lock WHERE token::text = id"), std::to_string(kRequests));
}

TEST_F(LockGuardWriter, ARowThatAnOpenTransactionKeepsHoldsUpNobodyElse) {
  outcome_of(write({patient("1", 5)}));
  run(application_, "BEGIN; SELECT verbund.use_lock(5); UPDATE patient SET name = 'open' WHERE id = 1");
  auto blocked = write({patient("1", 6)});
  EXPECT_THAT(outcome_of(write({patient("2", 7)})).failed, IsEmpty());
  EXPECT_FALSE(told(blocked, milliseconds{0}));
  EXPECT_EQ(rows(), "1=5 2=7");
  run(application_, "COMMIT");
  clock_.advance(milliseconds{100});
  EXPECT_THAT(outcome_of(std::move(blocked)).failed, IsEmpty());
  EXPECT_EQ(rows(), "1=6 2=7");
  EXPECT_THAT(audit_.entries(), IsEmpty()) << "nobody was ended";
}

TEST_F(LockGuardWriter, WhoKeepsARowForFiveSecondsIsEndedAndAudited) {
  outcome_of(write({patient("1", 5)}));
  run(application_, "BEGIN; SELECT verbund.use_lock(5); UPDATE patient SET name = 'open' WHERE id = 1");
  auto blocked = write({patient("1", 6)});
  // Known to be blocked before its time is over.
  ASSERT_TRUE(testing::eventually([&] {
    clock_.advance(milliseconds{60});
    return told(blocked, milliseconds{10});
  }));
  EXPECT_THAT(outcome_of(std::move(blocked)).failed, IsEmpty());
  EXPECT_GE(clock_.now() - testing::SimClock::kStart, seconds{5});
  EXPECT_EQ(rows(), "1=6");
  EXPECT_FALSE(application_.execute("COMMIT"));
  ASSERT_EQ(audit_.entries().size(), 1u);
  EXPECT_THAT(audit_.entries()[0], HasSubstr("node guard.terminate patient/1: "));
  EXPECT_THAT(audit_.entries()[0], HasSubstr("application app"));
  EXPECT_EQ(value("SELECT name FROM patient WHERE id = 1"), "Anna");
}

TEST_F(LockGuardWriter, AHigherTokenFailsItsKeyAlone) {
  outcome_of(write({patient("1", 9)}));
  EXPECT_THAT(outcome_of(write({patient("1", 8), patient("2", 8)}, GuardPatience::kUntilDecided)).failed,
              ElementsAre(RecordKey{"patient", "1"}));
  EXPECT_EQ(rows(), "1=9 2=8");
  clear({patient("1", 8)});
  EXPECT_THAT(outcome_of(write({patient("3", 10)})).failed, IsEmpty());
  EXPECT_EQ(rows(), "1=9 2=8 3=10") << "what is over is not the present one";
}

TEST_F(LockGuardWriter, TheLastWordAboutAKeyCounts) {
  on_loop([&] {
    writer_->write({patient("1", 5)}, {7}, GuardPatience::kBounded, [](const Outcome&) {});
    writer_->clear({patient("1", 5)});
  });
  outcome_of(write({patient("2", 6)}));
  EXPECT_TRUE(eventually_rows("2=6"));
  run(application_, "BEGIN; SELECT verbund.use_lock(6); UPDATE patient SET name = 'open' WHERE id = 2");
  clear({patient("2", 6)});
  auto next = write({patient("2", 7)});  // before what is over could go
  run(application_, "COMMIT");
  EXPECT_TRUE(testing::eventually([&] {
    clock_.advance(milliseconds{100});
    return told(next, milliseconds{5});
  }));
  EXPECT_EQ(rows(), "2=7");
}

TEST_F(LockGuardWriter, WhatIsOverGoesAsSoonAsTheLastWriterHasCommitted) {
  outcome_of(write({patient("1", 5)}));
  run(application_, "BEGIN; SELECT verbund.use_lock(5); UPDATE patient SET name = 'open' WHERE id = 1");
  clear({patient("1", 5)});
  outcome_of(write({patient("2", 6)}));
  EXPECT_EQ(rows(), "1=5 2=6");
  run(application_, "COMMIT");
  EXPECT_TRUE(testing::eventually([&] {
    clock_.advance(milliseconds{500});
    return rows() == "2=6";
  }));
  EXPECT_THAT(audit_.entries(), IsEmpty()) << "for what is over nobody is ended";
}

TEST_F(LockGuardWriter, ADatabaseThatIsAwayFailsRequestsAfterTheirTimeAndLosesNoClaim) {
  outcome_of(write({patient("1", 5)}));
  const auto name = postgres::Connection::quote_identifier(database_.database);
  auto server = *postgres::Connection::open(testing::ScratchPostgres::shared().superuser());
  run(server, fmt::format("ALTER DATABASE {} ALLOW_CONNECTIONS false", name));
  run(server, fmt::format("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = {}",
                          postgres::Connection::quote_literal(database_.database)));
  auto bounded = write({patient("2", 6)});
  auto claim = write({patient("3", 4)}, GuardPatience::kUntilDecided);
  EXPECT_TRUE(testing::eventually([&] {
    clock_.advance(milliseconds{500});
    return told(bounded, milliseconds{5});
  }));
  EXPECT_GT(clock_.now() - testing::SimClock::kStart, seconds{15});
  const auto failed = outcome_of(std::move(bounded));
  EXPECT_THAT(failed.failed, ElementsAre(RecordKey{"patient", "2"}));
  EXPECT_EQ(failed.code, ErrorCode::kUnavailable);
  EXPECT_FALSE(told(claim, milliseconds{0}));
  run(server, fmt::format("ALTER DATABASE {} ALLOW_CONNECTIONS true", name));
  node_ = connect("node");
  EXPECT_TRUE(testing::eventually([&] {
    clock_.advance(milliseconds{500});
    return told(claim, milliseconds{5});
  }));
  EXPECT_THAT(outcome_of(std::move(claim)).failed, IsEmpty());
  EXPECT_EQ(rows(), "1=5 3=4") << "what the caller was told has failed is not written later";
}

TEST_F(LockGuardWriter, AGuardThatSomebodyHasRemovedKeepsNobodyFromALock) {
  sql("DROP SCHEMA verbund_guard CASCADE");
  EXPECT_THAT(outcome_of(write({patient("1", 5)})).failed, IsEmpty());
  EXPECT_TRUE(testing::eventually([&] { return gone_ == 1; }));
}

TEST_F(LockGuardWriter, NamesWhatStandsInTheTableFromBeforeTheRestart) {
  const LockEpoch before{{1}, 3}, now{{1}, 4};
  outcome_of(write({{{"patient", "1"}, FencingToken::of(before, 8)}, {{"patient", "2"}, FencingToken::of(now, 1)}}));
  std::promise<std::vector<KeyToken>> said;
  on_loop([&] { writer_->earlier_than(now, [&](std::vector<KeyToken> tokens) { said.set_value(std::move(tokens)); }); });
  const auto tokens = said.get_future().get();
  ASSERT_EQ(tokens.size(), 1u);
  EXPECT_EQ(to_string(tokens[0].key), "patient/1");
}

}  // namespace
}  // namespace verbund::node
