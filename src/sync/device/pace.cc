#include "sync/device/pace.h"

#include <algorithm>

namespace verbund::sync::device {

milliseconds pause_after(const Pace& pace, unsigned failures, milliseconds next_in, std::uint64_t chance) {
  const auto usual = pace.every.count() > 0 ? pace.every : next_in.count() > 0 ? next_in : kServerSilent;
  if (failures == 0) return usual;
  constexpr unsigned kMostDoublings = 20;
  const auto doubled = std::min(kFirstPause * (1U << std::min(failures - 1, kMostDoublings)), kLongestPause);
  // Between half and the whole of it.
  constexpr std::int64_t kParts = 1 << 16;
  return milliseconds{doubled.count() / 2 + doubled.count() * static_cast<std::int64_t>(chance % kParts) / kParts / 2};
}

}  // namespace verbund::sync::device
