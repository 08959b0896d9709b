#pragma once
/// Threads for blocking work (database, files, password hashing). Owns and joins its tasks.
#include <functional>
#include <memory>

#include "base/result.h"

namespace verbund::os {

class WorkerPool {
 public:
  struct Impl;
  WorkerPool(std::size_t threads, std::size_t max_waiting);
  /// Runs what waits, then joins.
  ~WorkerPool();
  /// From any thread. A task must not throw. Errors: kUnavailable (max_waiting tasks wait already: the caller answers "busy").
  Status submit(std::function<void()> task);
  [[nodiscard]] std::size_t waiting() const;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace verbund::os
