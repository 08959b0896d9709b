#pragma once
/// Production's lease, kept also by a process that outlives the node: once it is over nobody is acknowledged anything by this machine's PostgreSQL,
/// whether the node was killed, stands still or hangs.
///
/// DIR/agent/lease, shared memory in a file: until when, whose node, of which boot. DIR/agent/keeper.lock is held by the keeper.
#include <filesystem>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/result.h"
#include "base/time.h"

namespace verbund::node {

/// One thread.
class LeaseGuard {
 public:
  /// Errors: kIo, kDiskFull.
  static Result<std::unique_ptr<LeaseGuard>> open(const std::filesystem::path& directory, Log& log);
  ~LeaseGuard();
  LeaseGuard(const LeaseGuard&) = delete;
  LeaseGuard& operator=(const LeaseGuard&) = delete;

  /// From `until` on (CLOCK_BOOTTIME) nothing is acknowledged; nothing: without end. When this returns a keeper runs that knows it.
  /// Errors: those of starting a program; then `until` is in force all the same for a keeper that still runs.
  Status set(std::optional<TimePoint> until);

 private:
  struct Shared;
  LeaseGuard(std::filesystem::path directory, Shared* shared, Log& log) : directory_(std::move(directory)), shared_(shared), log_(log) {}
  [[nodiscard]] bool kept() const;

  const std::filesystem::path directory_;
  Shared* shared_;  // mapped
  Log& log_;
  friend Status keep_lease(const std::filesystem::path& directory);
  static Result<Shared*> map(const std::filesystem::path& directory);
};

/// The keeper's whole life (`verbund witness keep`): ends when the lease has no end any more, or is over and neither PostgreSQL nor the node is left.
/// PostgreSQL gets no time to stop: it recovers at its next start. Errors: kInUse (another keeps it), kIo.
Status keep_lease(const std::filesystem::path& directory);

}  // namespace verbund::node
