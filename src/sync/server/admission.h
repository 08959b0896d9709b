#pragma once
/// Whose turn it is where a sync costs much: a device that begins anew reads all its rows from a snapshot. Few at once, the others in the order in which they came. Pure: no
/// clock, no thread of its own; whoever uses it locks.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "base/time.h"

namespace verbund::sync::server {

class Admission {
 public:
  /// `forgotten_after`: who has not asked for so long has no place any more.
  Admission(std::size_t at_once, nanoseconds forgotten_after) : at_once_(std::max<std::size_t>(1, at_once)), forgotten_after_(forgotten_after) {}

  /// Nothing: go ahead, until `over`. Else the place in the line, from 1.
  std::optional<std::size_t> ask(std::uint64_t device, TimePoint now);
  /// The place of one that waits and whose turn it is not yet; asking keeps it. Nothing: it does not wait, or it is its turn.
  std::optional<std::size_t> still_waits(std::uint64_t device, TimePoint now);
  void over(std::uint64_t device, TimePoint now);

  [[nodiscard]] std::size_t working() const { return working_.size(); }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  /// When a device at this place should ask again: when its turn comes, if the turns take as long as the last ones have.
  [[nodiscard]] milliseconds ask_again_in(std::size_t place) const;

 private:
  struct Waiting {
    std::uint64_t device = 0;
    TimePoint asked;
  };
  void forget(TimePoint now);

  std::size_t at_once_;
  nanoseconds forgotten_after_;
  std::map<std::uint64_t, TimePoint> working_;  // since when
  nanoseconds turn_ = seconds{1};               // as the last ones have taken
  std::deque<Waiting> waiting_;
};

}  // namespace verbund::sync::server
