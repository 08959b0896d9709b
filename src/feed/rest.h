#pragma once
/// How long the mid-tier's commits rest. Each of them takes an fsync from the writers' log and work from their processors;
/// a busy stream is therefore gathered, a lone change goes out at once. Pure.
#include <algorithm>
#include <cstddef>

#include "base/time.h"

namespace verbund::feed {

/// The pause after a batch of `transactions`. Below one transaction per `each` the pause ends before the next one comes;
/// above it batches grow until the pause is `most`, so that the rate alone decides, without a measured threshold.
constexpr nanoseconds rest_after(std::size_t transactions, nanoseconds each, nanoseconds most) {
  // Beyond this many the product could leave the type's range; `most` is reached long before.
  constexpr std::size_t kEnough = 1'000'000;
  return std::min(most, each * static_cast<nanoseconds::rep>(std::min(transactions, kEnough)));
}

}  // namespace verbund::feed
