#include "mirror/disk_trend.h"

namespace verbund::mirror {
namespace {

constexpr std::chrono::minutes kBetween{5};
/// Longer than this is "long".
constexpr std::chrono::hours kFarthest{24 * 3650};

}  // namespace

void DiskTrend::seen(std::uint64_t free_bytes, TimePoint now) {
  // The last one moves until it is far enough from the one before it.
  if (looks_.size() >= 2 && looks_.back().time - looks_[looks_.size() - 2].time < kBetween) looks_.pop_back();
  looks_.push_back({free_bytes, now});
  while (looks_.size() > 2 && now - looks_[1].time >= kLongest) looks_.pop_front();
}

std::optional<seconds> DiskTrend::lasts() const {
  if (looks_.size() < 2) return std::nullopt;
  const auto& first = looks_.front();
  const auto& last = looks_.back();
  const auto span = last.time - first.time;
  if (span < kLeast || last.free_bytes >= first.free_bytes) return std::nullopt;
  const double per_second = static_cast<double>(first.free_bytes - last.free_bytes) / std::chrono::duration<double>(span).count();
  const double left = static_cast<double>(last.free_bytes) / per_second;
  const double farthest = std::chrono::duration<double>(kFarthest).count();
  if (left > farthest) return std::nullopt;
  return seconds{static_cast<seconds::rep>(left)};
}

}  // namespace verbund::mirror
