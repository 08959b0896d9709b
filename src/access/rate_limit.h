#pragma once
/// How long somebody who has been wrong has to wait. Pure: no clock, no I/O; one thread (the owner locks).
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/time.h"

namespace verbund::access {

/// One kind of key (users, or addresses). Memory is bounded: with `max_entries` keys the one that failed longest ago is
/// forgotten for a new one. Callers bound the length of a key.
class RateLimit {
 public:
  static constexpr seconds kFirstWait{1};
  static constexpr seconds kLongestWait{300};
  /// A key without a failure for this long starts anew.
  static constexpr seconds kForgottenAfter{3600};

  struct Limits {
    std::uint32_t free_tries;          ///< so many failures cost nothing; the last of them starts the first wait
    std::size_t max_entries = 10'000;  ///< at least 1
  };
  explicit RateLimit(Limits limits) : limits_(limits) {}

  /// How long until the next try is taken; absent: now.
  [[nodiscard]] std::optional<milliseconds> wait(std::string_view key, TimePoint now) const;
  void failed(std::string_view key, TimePoint now);
  void clear(std::string_view key);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string key;
    std::uint32_t failures = 0;
    TimePoint last;
    TimePoint blocked_until;
  };
  using Entries = std::list<Entry>;  // the one that failed last comes first
  void forget_oldest();

  Limits limits_;
  Entries entries_;
  std::unordered_map<std::string_view, Entries::iterator> by_key_;  // keys live in entries_, whose nodes don't move
};

}  // namespace verbund::access
