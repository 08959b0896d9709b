#pragma once
/// One more client that takes and returns a lock all the while, to see whether a fan-out makes others wait.
#include <atomic>
#include <thread>

#include "outcome.h"
#include "socket.h"

namespace verbund::bench {

/// Runs from construction to `stop`, in a thread of its own: the generator's loop is busy with the subscribers.
class LockProbe {
 public:
  explicit LockProbe(const Target& target);
  ~LockProbe();
  LockProbe(const LockProbe&) = delete;
  LockProbe& operator=(const LockProbe&) = delete;
  /// Times from asking to being granted.
  Samples& stop();

 private:
  void run();
  void exchange(std::string_view request, std::string_view good);

  Target target_;
  std::vector<Socket> sockets_;
  Samples grants_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;  // last: it uses the members above
};

}  // namespace verbund::bench
