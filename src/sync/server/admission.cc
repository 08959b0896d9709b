#include "sync/server/admission.h"

#include <algorithm>

namespace verbund::sync::server {

void Admission::forget(TimePoint now) {
  std::erase_if(waiting_, [&](const Waiting& one) { return now - one.asked > forgotten_after_; });
}

std::optional<std::size_t> Admission::ask(std::uint64_t device, TimePoint now) {
  if (working_.contains(device)) return std::nullopt;
  forget(now);
  auto found = std::ranges::find(waiting_, device, &Waiting::device);
  if (found == waiting_.end()) found = waiting_.insert(waiting_.end(), {device, now});
  found->asked = now;
  const auto place = static_cast<std::size_t>(found - waiting_.begin()) + 1;
  if (working_.size() + place > at_once_) return place;
  waiting_.erase(found);
  working_.emplace(device, now);
  return std::nullopt;
}

std::optional<std::size_t> Admission::still_waits(std::uint64_t device, TimePoint now) {
  forget(now);
  const auto found = std::ranges::find(waiting_, device, &Waiting::device);
  if (found == waiting_.end()) return std::nullopt;
  found->asked = now;
  const auto place = static_cast<std::size_t>(found - waiting_.begin()) + 1;
  return working_.size() + place > at_once_ ? std::optional(place) : std::nullopt;
}

void Admission::over(std::uint64_t device, TimePoint now) {
  const auto found = working_.find(device);
  if (found == working_.end()) return;
  turn_ = (turn_ * 3 + (now - found->second)) / 4;
  working_.erase(found);
}

milliseconds Admission::ask_again_in(std::size_t place) const {
  constexpr milliseconds kShortest{100}, kLongest{10'000};
  return std::clamp(std::chrono::duration_cast<milliseconds>(turn_ * place / at_once_), kShortest, kLongest);
}

}  // namespace verbund::sync::server
