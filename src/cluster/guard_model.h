#pragma once
/// The guard's lock table as the engine's simulation sees it: slow, out of order between keys, sometimes failing, and durable.
#include <deque>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "cluster/engine.h"

namespace verbund::cluster {

class GuardModel {
 public:
  explicit GuardModel(std::mt19937_64& random) : random_(random) {}

  void take(GuardWrite write) { waiting_.push_back({write.number, std::move(write.tokens), false, write.claims}); }
  void take(GuardClear over) { waiting_.push_back({{}, std::move(over.tokens), true, false}); }

  /// One transaction on one of the entries; what was asked earlier about the same keys has been done before.
  void commit_one() {
    if (waiting_.empty()) return;
    auto place = static_cast<std::size_t>(random_() % waiting_.size());
    for (std::size_t i = 0; i < place; ++i) {
      if (touches(waiting_[i], waiting_[place])) place = i, i = ~std::size_t{0};
    }
    auto entry = std::move(waiting_[place]);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(place));
    answers_.emplace_back(entry.number, apply(entry));
  }
  /// The node hears of a commit, in order.
  void answer_one(Engine& engine, Now now) {
    if (answers_.empty()) return;
    auto [number, outcome] = std::move(answers_.front());
    answers_.pop_front();
    if (number) engine.guard_done(number, outcome, now);
  }
  /// The node is killed: some of what it had sent is committed all the same.
  void crash() {
    for (auto sent = random_() % (waiting_.size() + 1); sent > 0; --sent) commit_one();
    waiting_.clear();
    answers_.clear();
  }
  void forget_everything() { table_.clear(); }
  /// After the window: tokens of earlier epochs that nobody holds.
  void sweep(LockEpoch epoch, const LockTable& locks) {
    GuardClear over;
    for (const auto& [key, token] : table_) {
      const auto held = locks.find(key);
      if (token.epoch() < epoch && (!held || held->token != token)) over.tokens.push_back({key, token});
    }
    if (!over.tokens.empty()) take(std::move(over));
  }
  [[nodiscard]] FencingToken token(const RecordKey& key) const {
    const auto found = table_.find(key);
    return found == table_.end() ? FencingToken{} : found->second;
  }
  [[nodiscard]] bool idle() const { return waiting_.empty() && answers_.empty(); }
  [[nodiscard]] const std::map<RecordKey, FencingToken>& table() const { return table_; }

 private:
  struct Entry {
    GuardId number;
    std::vector<protocol::KeyToken> tokens;
    bool over = false, claims = false;
  };
  static bool touches(const Entry& earlier, const Entry& later) {
    for (const auto& [key, token] : earlier.tokens) {
      for (const auto& [other, more] : later.tokens) {
        if (key == other) return true;
      }
    }
    return false;
  }
  GuardOutcome apply(const Entry& entry) {
    GuardOutcome outcome;
    for (const auto& [key, token] : entry.tokens) {
      auto& present = table_[key];
      if (entry.over) {
        if (present <= token) present = {};
      } else if (present > token) {
        EXPECT_TRUE(entry.claims) << "a token that does not grow on " << to_string(key);
        outcome.failed.push_back(key);
      } else if (!entry.claims && random_() % 20 == 0) {
        outcome.failed.push_back(key);  // blocked for too long, or the database is away
      } else {
        if (!entry.claims && entry.number) {
          EXPECT_GT(token, highest_[key]) << "tokens in the table only grow";
        }
        present = highest_[key] = std::max(highest_[key], token);
      }
      if (!table_[key].value) table_.erase(key);
    }
    return outcome;
  }

  std::mt19937_64& random_;
  std::map<RecordKey, FencingToken> table_, highest_;
  std::deque<Entry> waiting_;
  std::deque<std::pair<GuardId, GuardOutcome>> answers_;
};

}  // namespace verbund::cluster
