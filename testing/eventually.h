#pragma once
/// Waiting for what other threads and processes do. Any thread.
#include <chrono>
#include <thread>

namespace verbund::testing {

/// Asks `condition` every few milliseconds until it holds; false when it does not within `patience`.
template <typename Condition>
bool eventually(Condition condition, std::chrono::milliseconds patience = std::chrono::seconds{30}) {
  constexpr std::chrono::milliseconds kAskEvery{3};  // other test processes share the machine
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(kAskEvery);
  }
  return true;
}

}  // namespace verbund::testing
