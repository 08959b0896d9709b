#pragma once
/// The machine's clocks. Any thread.
#include "base/time.h"

namespace verbund::os {

/// CLOCK_BOOTTIME and CLOCK_REALTIME.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override;
  [[nodiscard]] WallTime wall() const override;
};

}  // namespace verbund::os
