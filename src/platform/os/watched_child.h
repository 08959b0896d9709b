#pragma once
/// A child that one thread waits for, and that another one may ask to end.
#include <mutex>

#include "platform/os/process.h"

namespace verbund::os {

class WatchedChild {
 public:
  /// As os::start, in a session of its own; then waits until it has ended. Returns its exit code (128 + signal when killed by one).
  /// One thread; the next one when that has returned. Errors: kNotFound, kIo; kCancelled (asked to end before it was started).
  Result<int> run(const Command& command, const std::string& log_file);
  /// Sends `signal` to the child that runs now, if one does; from then on no `run` starts any more. Any thread, as often as one likes.
  void end(int signal);

 private:
  std::mutex mutex_;     // what follows
  int pid_ = 0;          // 0: none runs; until it is taken off the process table nobody else can have it
  bool ended_ = false;
};

}  // namespace verbund::os
