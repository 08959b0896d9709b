#pragma once
/// When a device that syncs by itself comes next. Pure.
#include <cstdint>

#include "base/time.h"

namespace verbund::sync::device {

struct Pace {
  milliseconds every{0};  ///< 0: as the server says
};

inline constexpr milliseconds kFirstPause{1'000}, kLongestPause{600'000}, kServerSilent{300'000};

/// `failures`: syncs in a row that came to nothing, this one included; `next_in`: of the server's answer; `chance`: anything, of which 16 bits count: devices that were cut
/// off together don't come back together.
milliseconds pause_after(const Pace& pace, unsigned failures, milliseconds next_in, std::uint64_t chance);

}  // namespace verbund::sync::device
