#pragma once
/// Production's side of following: whether commits wait for the mirror, and how the mirror gets the log.
///
/// Threads: any but for `start`; calls block, so they belong on the worker pool.
#include <mutex>

#include <boost/json.hpp>

#include "mirror/following.h"
#include "node/installation.h"
#include "node/mirror/follow_archive.h"
#include "node/mirror/follow_settings.h"
#include "node/mirror/follow_sync.h"

namespace verbund::node {

class FollowProduction {
 public:
  /// All borrowed. `mirror`: its number, which it has or would get. `on_alarm`: see SyncKeeperSettings.
  FollowProduction(const Installation& installation, mirror::Member mirror, std::function<void(std::string)> on_alarm, const Clock& clock, Log& log, Counters& counters);
  /// Before anything writes (a server left waiting has its commits let go by this). Errors: kIo, kDamaged, kBadConfig.
  Status start();
  /// `verbund mirror follow`: what the request names is changed, on disk before it counts. Returns all of it. Errors: kUsage, kBadMessage, kIo.
  Result<std::string> change(const boost::json::object& request);
  /// Adds to the answer of a heartbeat what the mirror has to know.
  void answer_beat(const mirror::Received& received, boost::json::object& answer);
  /// Another machine is about to be the mirror. Errors: kTimedOut.
  Status let_go();
  /// The machine that was let in is the one that is waited for, and for which log is kept.
  void let_in(mirror::Member mirror);
  /// For the mirror: which files of the log are kept, as JSON; a piece of one. Errors: kNotFound, kBadMessage, kIo.
  [[nodiscard]] Result<std::string> log_list() const;
  [[nodiscard]] Result<std::string> log_piece(const std::string& name, std::uint64_t offset) const;
  /// Part of `mirror status`.
  [[nodiscard]] boost::json::object status() const;
  /// What a person has to know; empty: nothing.
  [[nodiscard]] std::string alarm() const { return sync_.alarm(); }
  /// 0: it streams.
  [[nodiscard]] seconds interval() const;
  /// What a promotion would be told now.
  std::optional<nanoseconds> promise() { return sync_.promise(); }

 private:
  const Installation& installation_;
  Log& log_;
  SyncKeeper sync_;
  LogKeeper kept_;
  mutable std::mutex mutex_;  // what follows
  FollowMode mode_;
};

}  // namespace verbund::node
