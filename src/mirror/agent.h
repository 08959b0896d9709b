#pragma once
/// The part of a node that alone starts and stops an owned PostgreSQL, step by step in a journal; on a server that we
/// don't own it only watches. See README.md.
///
/// Threads: runs on a thread of its own. `start`, `stop` and `state` from any thread; `on_change` before the first
/// `start`; `next_epoch` by one thread. `begin_stop` never blocks.
#include <functional>
#include <memory>

#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "mirror/engine.h"
#include "platform/postgres/owned_server.h"

namespace verbund::mirror {

class Agent {
 public:
  /// Called on the agent's thread after each change; must not call `start` or `stop`. `reason` may be empty.
  using ChangeCallback = std::function<void(ServerState state, const std::string& reason)>;

  /// For a server of our own in `server.directory`. Journal, epoch and lock go to `directory`/agent.
  /// Stops what an earlier, killed agent left running. Errors: kInUse (another agent has the directory), kBadJournal, kIo.
  static Result<std::unique_ptr<Agent>> own(const std::filesystem::path& directory,
                                            postgres::OwnedServerSettings server, Log& log, const Clock& clock,
                                            const Tuning& tuning = {});
  /// For a server that somebody else runs: kRunning while it takes connections, else kCrashed. `start` waits until it
  /// is up, `stop` only ends watching. Errors as `own`.
  static Result<std::unique_ptr<Agent>> watch(const std::filesystem::path& directory,
                                              const postgres::ConnectionSettings& server, Log& log, const Clock& clock);

  /// Ends the thread, not the server: whoever means to stop it calls `stop` first.
  virtual ~Agent() = default;

  /// Initialises if need be and starts; returns when the server takes connections. Restarted by the agent from then on.
  /// Errors: those of postgres::OwnedServer::start; kTimedOut (crash recovery may take longer: the agent goes on).
  virtual Status start(Deadline deadline) = 0;
  /// Returns when the server has ended: fast, then immediately, then by force. Errors: kTimedOut (the agent goes on).
  virtual Status stop(Deadline deadline) = 0;
  /// Asks for the same and returns at once; a `start` that is waiting returns kUnavailable. For who must not block: no writes from now on.
  virtual void begin_stop() = 0;
  [[nodiscard]] virtual ServerState state() const = 0;
  /// Something that is to be done to our server between two of its steps, on the agent's thread; returns what it returns. `work` must not
  /// call the agent. Errors: kUnsupported (a server that is only watched).
  virtual Status with_server(const std::function<Status(postgres::OwnedServer&)>& work) = 0;
  virtual void on_change(ChangeCallback callback) = 0;
  /// Raises the start count, on disk before it returns. Once per start of the node. See epoch.h.
  virtual Result<LockEpoch> next_epoch() = 0;
  /// Begins `term`, when it is above the one on disk; in a pair terms are the engine's. Errors: kInternal (below), kBadJournal, kIo, kDiskFull.
  virtual Status begin_term(Term term) = 0;
};

}  // namespace verbund::mirror
