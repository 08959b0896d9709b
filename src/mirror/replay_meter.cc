#include "mirror/replay_meter.h"

namespace verbund::mirror {
namespace {

/// Below this the pause between two looks says more than the replay.
constexpr std::uint64_t kLeastBytes = 1U << 20U;
constexpr double kWeightOfNew = 0.3;

}  // namespace

void ReplayMeter::seen(Lsn received, Lsn replayed, TimePoint now) {
  const auto before = std::exchange(last_, Look{received, replayed, now});
  if (!before || replayed < before->replayed || now <= before->time) return;
  // Only while there was something left to replay all the time: else it has waited for log.
  if (before->received.value < replayed.value + kLeastBytes) return;
  const auto bytes = replayed.value - before->replayed.value;
  if (bytes < kLeastBytes) return;
  const double rate = static_cast<double>(bytes) / std::chrono::duration<double>(now - before->time).count();
  per_second_ = measured_ ? per_second_ * (1 - kWeightOfNew) + rate * kWeightOfNew : rate;
  measured_ = true;
}

std::optional<milliseconds> ReplayMeter::to_promote() const {
  if (!last_) return std::nullopt;
  const auto left = last_->received.value > last_->replayed.value ? last_->received.value - last_->replayed.value : 0;
  return kAtLeast + milliseconds{static_cast<milliseconds::rep>(static_cast<double>(left) / per_second_ * 1000)};
}

}  // namespace verbund::mirror
