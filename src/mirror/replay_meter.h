#pragma once
/// How long a promotion would take: what was received must be replayed first. Pure; one thread.
#include <optional>

#include "base/ids.h"
#include "base/time.h"

namespace verbund::mirror {

class ReplayMeter {
 public:
  /// What a promotion takes with nothing to replay: measured 0.14 s; a loaded disk takes longer.
  static constexpr milliseconds kAtLeast{500};
  /// Until the first replay was measured; a slow disk's.
  static constexpr double kAssumedPerSecond = 16.0 * 1024 * 1024;

  /// The mirror's positions, in the order in which they were read.
  void seen(Lsn received, Lsn replayed, TimePoint now);
  /// Nothing before the first look.
  [[nodiscard]] std::optional<milliseconds> to_promote() const;

 private:
  struct Look {
    Lsn received, replayed;
    TimePoint time;
  };
  std::optional<Look> last_;
  double per_second_ = kAssumedPerSecond;
  bool measured_ = false;
};

}  // namespace verbund::mirror
