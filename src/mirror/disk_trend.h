#pragma once
/// How long a disk lasts when it goes on filling as it did. Pure; one thread.
#include <deque>

#include "mirror/drift.h"

namespace verbund::mirror {

class DiskTrend {
 public:
  /// Looks of less than 6 h in all say nothing: a copy or a restore fills faster for a while than an office does.
  static constexpr std::chrono::hours kLeast{6}, kLongest{48};
  void seen(std::uint64_t free_bytes, TimePoint now);
  [[nodiscard]] std::optional<seconds> lasts() const;

 private:
  struct Look {
    std::uint64_t free_bytes;
    TimePoint time;
  };
  std::deque<Look> looks_;  // not more than one in five minutes, but for the last
};

}  // namespace verbund::mirror
