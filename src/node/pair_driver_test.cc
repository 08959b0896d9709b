// Two drivers in one process, their messages over function calls, their servers made of flags.
#include "node/mirror/pair_driver.h"

#include <gtest/gtest.h>

#include "node/mirror/role.h"
#include "platform/os/clock.h"
#include "platform/os/log_sink.h"
#include "testing/eventually.h"
#include "testing/scratch_directory.h"

namespace verbund::node {
namespace {

using mirror::Stage;
using mirror::Task;
using verbund::testing::eventually;

class Machine final : public PairHands {
 public:
  Machine(const std::filesystem::path& directory, mirror::PairRecord record) : directory_(directory) {
    std::filesystem::create_directories(directory / "agent");
    EXPECT_TRUE(write_pair_record(directory, record, "test"));
    server_.standby = record.stage == Stage::kFollowing;
    server_.beat = {Lsn{1000}, 10, 10};
  }
  Term begun() override { return {}; }
  void begin(Machine* peer, bool open = false) {
    {
      const std::lock_guard guard(mutex_);
      peer_ = peer;
      if (open) server_.running = true;
    }
    auto journal = mirror::PairJournal::open(directory_ / "agent" / "pair", clock_);
    ASSERT_TRUE(journal) << journal.error().message;
    driver_ = std::make_unique<PairDriver>(std::move(*journal), *this, mirror::PairTuning{}, open, clock_, os::null_log());
    driver_->start();
  }
  /// As a kill: what is on disk stays.
  void end() {
    driver_->stop();
    const std::lock_guard guard(mutex_);
    gone_ = true;
  }
  PairDriver& driver() { return *driver_; }
  void cut(bool is) {
    const std::lock_guard guard(mutex_);
    gone_ = is;
  }
  void write(std::uint64_t bytes) {
    const std::lock_guard guard(mutex_);
    server_.beat.position.value += bytes;
  }
  bool closed() const { return closed_; }

  Status carry_out(Task task, Term, const mirror::PairRecord&) override {
    const std::lock_guard guard(mutex_);
    switch (task) {
      case Task::kStop: server_.running = false; break;
      case Task::kOpen: server_.running = true; break;
      case Task::kFollow: server_.running = server_.standby = true; break;
      case Task::kPromote: server_.standby = false; break;
      case Task::kRejoin: server_.standby = true; break;
      default: break;
    }
    return {};
  }
  void close() override { closed_ = true; }
  void changed(const mirror::PairRecord&, bool) override {}
  mirror::ServerFacts facts() override {
    const std::lock_guard guard(mutex_);
    // A mirror has received what the other has written.
    if (server_.standby && server_.running && peer_ != nullptr) server_.beat.position = peer_->position();
    return server_;
  }
  Lsn position() {
    const std::unique_lock guard(mutex_, std::try_to_lock);
    return guard ? server_.beat.position : Lsn{0};
  }
  Result<mirror::PairStatus> send(const mirror::PairStatus& status) override {
    Machine* peer = nullptr;
    {
      const std::lock_guard guard(mutex_);
      if (!gone_) peer = peer_;
    }
    if (peer == nullptr || peer->driver_ == nullptr || peer->gone_) return fail(ErrorCode::kNotReachable, "the cable is cut");
    return peer->driver_->hear(status);
  }

 private:
  const std::filesystem::path directory_;
  os::SystemClock clock_;
  std::mutex mutex_;
  mirror::ServerFacts server_;
  Machine* peer_ = nullptr;
  std::atomic<bool> gone_ = false;
  std::atomic<bool> closed_ = false;
  std::unique_ptr<PairDriver> driver_;
};

mirror::PairRecord record(mirror::Member member, Stage stage) {
  mirror::PairRecord record;
  record.member = member;
  record.stage = stage;
  record.term = record.seen = Term{1};
  return record;
}

class Drivers : public ::testing::Test {
 protected:
  Drivers() : one_(scratch_.path() / "one", record(1, Stage::kServing)), two_(scratch_.path() / "two", record(2, Stage::kFollowing)) {}
  void begin() {
    two_.begin(&one_);
    one_.begin(&two_);
    ASSERT_TRUE(eventually([&] { return one_.driver().view().open; })) << "the mirror answers: production opens";
    ASSERT_TRUE(eventually([&] { const auto view = one_.driver().view(); return view.peer_alive && view.peer->following; }));
  }
  void TearDown() override {
    for (auto* machine : {&one_, &two_}) machine->cut(true);
    one_.driver().stop();
    two_.driver().stop();
  }
  verbund::testing::ScratchDirectory scratch_;
  Machine one_, two_;
};

TEST_F(Drivers, ASwitchoverGoesThroughAndBack) {
  begin();
  one_.write(500);
  const auto asked = one_.driver().ask(mirror::pair::SwitchoverRequested{});
  ASSERT_TRUE(asked && asked->accepted) << asked->reason;
  ASSERT_TRUE(eventually([&] { return two_.driver().view().open && one_.driver().view().server.standby && one_.driver().view().server.running; }));
  EXPECT_TRUE(one_.closed());
  EXPECT_EQ(two_.driver().view().record.term, Term{2});
  EXPECT_EQ(one_.driver().view().record.stage, Stage::kFollowing);
  ASSERT_TRUE(eventually([&] { const auto view = two_.driver().view(); return view.peer_alive && view.peer->following && view.peer->term == Term{2}; }));
  const auto back = two_.driver().ask(mirror::pair::SwitchoverRequested{});
  ASSERT_TRUE(back && back->accepted) << back->reason;
  ASSERT_TRUE(eventually([&] { return one_.driver().view().open; }));
  EXPECT_EQ(one_.driver().view().record.term, Term{5});
}

TEST_F(Drivers, APromotionIsRefusedWhileProductionLivesAndFencesItWhenItDoesNot) {
  begin();
  auto view = two_.driver().view();
  auto refused = two_.driver().ask(mirror::pair::PromoteRequested{token_of(view.loss)});
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->accepted);
  ASSERT_TRUE(eventually([&] { return two_.driver().view().record.peer_asks; })) << "it has heard that production asks at its start";
  one_.cut(true);
  two_.cut(true);
  ASSERT_TRUE(eventually([&] { return !two_.driver().view().peer_alive; }));
  view = two_.driver().view();
  const auto wrong = two_.driver().ask(mirror::pair::PromoteRequested{"000000000000"});
  EXPECT_FALSE(wrong->accepted) << "the token is that of the report shown";
  const auto promoted = two_.driver().ask(mirror::pair::PromoteRequested{token_of(view.loss)});
  ASSERT_TRUE(promoted && promoted->accepted) << promoted->reason;
  ASSERT_TRUE(eventually([&] { return two_.driver().view().open; }));
  EXPECT_TRUE(one_.driver().view().open) << "it can't know yet";
  one_.cut(false);
  two_.cut(false);
  ASSERT_TRUE(eventually([&] { const auto now = one_.driver().view(); return now.record.stage == Stage::kFenced && !now.server.running; }));
  EXPECT_TRUE(one_.closed());
  const auto rejoined = one_.driver().ask(mirror::pair::RejoinRequested{});
  ASSERT_TRUE(rejoined && rejoined->accepted) << rejoined->reason;
  ASSERT_TRUE(eventually([&] { const auto now = one_.driver().view(); return now.record.stage == Stage::kFollowing && now.server.running; }));
}

TEST_F(Drivers, ASingleMachineThatGetsAMirrorGoesOnWriting) {
  auto alone = record(1, Stage::kServing);
  alone.alone = true;
  ASSERT_TRUE(write_pair_record(scratch_.path() / "one", alone, "a mirror was let in"));
  one_.begin(nullptr, true);
  EXPECT_TRUE(one_.driver().view().record.boots == 0 || one_.driver().view().open);
  ASSERT_TRUE(eventually([&] { return one_.driver().view().record.boots != 0; }));
  EXPECT_TRUE(one_.driver().view().open);
  EXPECT_FALSE(one_.closed());
  two_.begin(&one_);
  EXPECT_TRUE(one_.driver().view().open);
}

}  // namespace
}  // namespace verbund::node
