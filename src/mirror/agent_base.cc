#include "mirror/agent_base.h"

#include <unistd.h>

namespace verbund::mirror {

Result<os::FileLock> AgentBase::lock(const std::filesystem::path& directory) {
  const std::filesystem::path agent = directory / "agent";
  if (auto made = os::make_directories(agent, 0700); !made) return pass(made, "agent");
  auto lock = os::FileLock::acquire(agent / "lock", fmt::format("process {}", ::getpid()));
  if (!lock) return pass(lock, "agent");
  return lock;
}

void AgentBase::announce(ServerState state, const std::string& reason) {
  std::vector<ChangeCallback> callbacks;
  {
    const std::lock_guard guard(mutex_);
    state_ = state;
    callbacks = callbacks_;
  }
  changed_.notify_all();
  log_.write(state == ServerState::kCrashed ? LogLevel::kError : LogLevel::kInfo, "agent.state",
             {{"state", to_string(state)}, {"reason", reason}});
  for (const ChangeCallback& callback : callbacks) callback(state, reason);
}

bool AgentBase::wait_until(std::unique_lock<std::mutex>& guard, Deadline deadline, const std::function<bool()>& done) {
  constexpr nanoseconds kSlice = milliseconds{50};  // a clock that is advanced by hand is looked at this often
  while (!done()) {
    if (deadline.passed(clock_)) return false;
    changed_.wait_for(guard, std::min(deadline.left(clock_), kSlice));
  }
  return true;
}

}  // namespace verbund::mirror
