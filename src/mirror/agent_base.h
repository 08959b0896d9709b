#pragma once
/// Inside mirror/ only: what both kinds of agent share: directory, lock, epoch, state and its listeners.
#include <condition_variable>
#include <mutex>
#include <vector>

#include "mirror/agent.h"
#include "mirror/epoch.h"
#include "platform/os/file.h"

namespace verbund::mirror {

class AgentBase : public Agent {
 public:
  /// Makes `directory`/agent and locks it.
  static Result<os::FileLock> lock(const std::filesystem::path& directory);

  [[nodiscard]] ServerState state() const override {
    const std::lock_guard guard(mutex_);
    return state_;
  }
  void on_change(ChangeCallback callback) override {
    const std::lock_guard guard(mutex_);
    callbacks_.push_back(std::move(callback));
  }
  Result<LockEpoch> next_epoch() override { return mirror::next_epoch(directory_ / "agent" / "epoch"); }
  Status begin_term(Term term) override { return mirror::begin_exactly(directory_ / "agent" / "epoch", term); }

 protected:
  AgentBase(std::filesystem::path directory, os::FileLock lock, Log& log, const Clock& clock)
      : directory_(std::move(directory)), log_(log), clock_(clock), lock_(std::move(lock)) {}

  /// Sets the state, wakes who waits, logs and calls the listeners (without holding the mutex).
  void announce(ServerState state, const std::string& reason);
  /// Waits until `done()`, which is asked under the mutex. False at the deadline.
  bool wait_until(std::unique_lock<std::mutex>& guard, Deadline deadline, const std::function<bool()>& done);

  const std::filesystem::path directory_;
  Log& log_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  ServerState state_ = ServerState::kStopped;  // guarded by mutex_
  bool ending_ = false;                        // guarded by mutex_

 private:
  os::FileLock lock_;
  std::vector<ChangeCallback> callbacks_;  // guarded by mutex_
};

}  // namespace verbund::mirror
