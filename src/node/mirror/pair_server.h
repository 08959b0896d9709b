#pragma once
/// What the pair's tasks do to this machine's PostgreSQL.
///
/// Threads: `facts`, `timeline` and `end` from any; the rest from one at a time (the driver's tasks). Blocks, but for `timeline` and `end`.
#include <atomic>
#include <mutex>

#include "mirror/agent.h"
#include "mirror/pair.h"
#include "node/installation.h"
#include "node/mirror/role.h"
#include "platform/postgres/connection.h"

namespace verbund::node {

class PairServer {
 public:
  /// All borrowed.
  PairServer(const Installation& installation, mirror::Agent& agent, const Clock& clock, Log& log);

  /// Beats: production's written position, a mirror's received one, the end of one that has stopped.
  [[nodiscard]] mirror::ServerFacts facts();
  /// As last seen; 0: not yet.
  [[nodiscard]] std::uint32_t timeline() const { return timeline_; }
  /// The process ends: a rejoin under way is broken off (kCancelled), to be gone on with by the next start.
  void end() { ending_ = true; }

  Status checkpoint();
  /// Waits until no transaction of others is older than a moment, a few seconds at most. Nobody is turned away: what comes after is short.
  Status drain();
  Status stop();
  /// Takes writes in `term`; with a peer its role and slot are there. Errors: kInternal (the data are a mirror's).
  Status open(Term term, const std::optional<Peer>& peer);
  /// Errors: kInternal (it runs, and not as a mirror).
  Status follow(mirror::Member member, const Peer& peer);
  /// Receives no more, then leaves recovery. After an error it does not run: what has been asked of PostgreSQL can't be done later.
  Status promote(mirror::Member member, const Peer& peer);
  /// Lists what will be lost into a file of DIR/mirror, then takes over the peer's history: by pg_rewind, else by a new copy, beside which
  /// the old data stay (postgres/data.TERM). A mirror whose log is no part of production's is copied anew. Goes on where an earlier attempt was
  /// broken off. What is listed: lost.h. Errors: kCancelled (`end`), kDatabaseDown and the like (the peer; nothing is given up for that),
  /// those of OwnedServer::copy_from.
  Status rejoin(const mirror::PairRecord& record, const Peer& peer);

 private:
  Result<mirror::Beat> beat(bool standby);
  Result<std::string> scalar(std::string_view sql, seconds patience);
  Status start_with(Result<postgres::OwnedServerSettings> settings, bool as_mirror);
  Status await_no_receiver();
  Status leave_recovery();
  static Status checkpoint_at(const postgres::ConnectionSettings& server, seconds patience);
  // rejoin.cc
  Status rewind(const mirror::PairRecord& record, const postgres::OwnedServerSettings& settings);
  Status recopy(const mirror::PairRecord& record);
  Status list(const mirror::PairRecord& record, const postgres::OwnedServer& server, const postgres::ConnectionSettings& source);
  [[nodiscard]] bool standby() const;

  const Installation& installation_;
  mirror::Agent& agent_;
  const Clock& clock_;
  Log& log_;
  std::atomic<bool> ending_ = false;
  std::atomic<std::uint32_t> timeline_ = 0;
  std::atomic<std::uint64_t> life_ = 0;              // grows with all that changes where a stopped server's log ends
  std::mutex looking_;                               // held while the database is asked: what follows
  std::optional<postgres::Connection> connection_;   // as superuser, for facts
  std::optional<mirror::Beat> ended_;                // while it does not run
  std::uint64_t ended_in_ = 0;                       // of which life_
};

}  // namespace verbund::node
