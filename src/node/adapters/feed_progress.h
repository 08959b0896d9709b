#pragma once
/// sync's FeedProgress: waits until the capture thread has told that it has passed a position. Any thread.
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "sync/server/directory.h"

namespace verbund::node {

class FeedPassed final : public sync::server::FeedProgress {
 public:
  explicit FeedPassed(const Clock& clock) : clock_(clock) {}

  void note(Lsn lsn) {
    const std::scoped_lock lock(mutex_);
    passed_ = lsn;
    moved_.notify_all();
  }
  bool wait_until_passed(Lsn lsn, Deadline deadline) override {
    // The deadline's clock is not the condition's; it is looked at again after each slice.
    constexpr milliseconds kSlice{50};
    std::unique_lock lock(mutex_);
    while (passed_ < lsn) {
      if (deadline.passed(clock_)) return false;
      moved_.wait_for(lock, kSlice);
    }
    return true;
  }

 private:
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable moved_;
  Lsn passed_;  // mutex_
};

}  // namespace verbund::node
