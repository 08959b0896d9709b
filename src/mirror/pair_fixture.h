#pragma once
/// For tests of one engine of a pair.
#include <algorithm>

#include <gtest/gtest.h>

#include "mirror/pair_engine.h"

namespace verbund::mirror {

/// One engine; what it does is answered at once unless `hold` is set.
class Pair : public ::testing::Test {
 protected:
  void boot(Stage stage, Term term, bool alone = false) {
    PairRecord record;
    record.member = stage == Stage::kServing ? 1 : 2;
    record.stage = stage;
    record.term = record.seen = term;
    record.alone = alone;
    boot(record);
  }
  void boot(PairRecord record, nanoseconds age = seconds{1}, Term begun = {}) {
    engine_.emplace(tuning_);
    server_.standby = record.stage == Stage::kFollowing || record.stage == Stage::kPromoting;
    server_.beat = {Lsn{1000}, 10, 10};
    hand_in(pair::Booted{record, age, server_, false, begun});
  }

  void hand_in(const pair::Event& event) {
    std::optional<pair::Do> task;
    for (const pair::Action& action : engine_->handle(event, now_)) {
      if (const auto* record = std::get_if<pair::Record>(&action)) disk_ = record->record;
      if (const auto* send = std::get_if<pair::Send>(&action)) said_ = send->status;
      if (const auto* reply = std::get_if<pair::Reply>(&action)) reply_ = *reply;
      if (const auto* work = std::get_if<pair::Do>(&action)) task = *work;
      if (const auto* call = std::get_if<pair::Call>(&action)) called_ = call->call;
    }
    if (task) work(*task);
  }

  void work(const pair::Do& what) {
    tasks_.push_back(what.task);
    if (what.task == refuse_) return hand_in(pair::Failed{what.task, "as the test wants it", server_});
    if (what.task == Task::kStop) server_.running = false, server_.beat.position.value += 100;
    if (what.task == Task::kOpen) server_.running = true;
    if (what.task == Task::kFollow) server_.running = server_.standby = true;
    if (what.task == Task::kPromote) server_.standby = false, server_.running = true;
    hand_in(pair::Done{what.task, server_});
  }

  /// The peer speaks, having heard the last that was said.
  void hear(PairStatus status) {
    status.boots = peer_boots_;
    status.sequence = ++peer_sequence_;
    status.heard_boots = said_.boots;
    status.heard_sequence = said_.sequence;
    hand_in(pair::Heard{status});
  }
  PairStatus mirror(Term term) const {
    PairStatus status;
    status.member = 2;
    status.stage = Stage::kFollowing;
    status.term = status.seen = term;
    status.following = true;
    status.beat = server_.beat;
    return status;
  }
  PairStatus production(Term term, Stage stage = Stage::kServing) const {
    PairStatus status;
    status.member = 1;
    status.stage = stage;
    status.term = status.seen = term;
    status.asks = true;
    status.beat = server_.beat;
    return status;
  }
  void pass(nanoseconds span) {
    for (nanoseconds gone{0}; gone < span; gone += milliseconds{500}) {
      now_ += milliseconds{500};
      hand_in(pair::Tick{});
    }
  }
  bool did(Task task) const { return std::ranges::find(tasks_, task) != tasks_.end(); }

  TimePoint now_{seconds{100}};
  PairTuning tuning_;
  WitnessCall called_;
  std::optional<PairEngine> engine_;
  ServerFacts server_;
  PairRecord disk_;
  PairStatus said_;
  pair::Reply reply_;
  std::vector<Task> tasks_;
  std::optional<Task> refuse_;
  std::uint64_t peer_boots_ = 1, peer_sequence_ = 0;
};

}  // namespace verbund::mirror
