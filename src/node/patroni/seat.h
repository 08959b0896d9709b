#pragma once
/// The seat of the node that holds the lock authority and the capture, of several nodes on one cluster: a row of the mid-tier database with a
/// term that grows whenever it is taken, and a lease that its holder renews (sql/003_seat.sql, docs/adr).
///
/// Laws: terms only grow. Who holds it stops at two thirds of the lease after it SENT the last renewal that succeeded; who waits takes it when it
/// has itself seen the lease stand still for a whole lease on one connection, so clocks of different machines are never compared. Whoever takes
/// it ends the former holder's connections and waits for its open transactions; the former term's writes to the feed's position and to the
/// sessions are refused by PostgreSQL from then on (`keep_former_holders_out`). A promotion of PostgreSQL ends the term.
///
/// Threads: two of its own; callbacks come from them. All methods from any thread.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/counters.h"
#include "base/log.h"
#include "node/patroni/leader.h"
#include "node/patroni/watch.h"

namespace verbund::node {

struct SeatSettings {
  postgres::ConnectionSettings mid_tier;  ///< all hosts
  std::filesystem::path epoch_file;       ///< agent/epoch: terms of this node
  std::string member;                     ///< of this installation on this machine
  std::string name, address;              ///< shown to people; where workstations find it
  seconds lease{20};
};

struct HeldSeat {
  Term term;
  postgres::ConnectionSettings server;  ///< the leader when it was taken: one host
  bool follows_promotions = false;      ///< nobody else has held it since this node did
};

struct SeatView {
  bool held = false;        ///< by us
  Term term;
  std::string holder_name, holder_address, since;  ///< empty: nobody
  bool vacant = true;       ///< given up in order, or never held
  std::string error;        ///< why PostgreSQL can't be asked; empty: it can
  struct Waiting {
    std::string name, address, version;
    std::uint64_t seen_seconds_ago = 0;
  };
  std::vector<Waiting> waiting;
};

struct SeatEvents {
  std::function<void(HeldSeat)> on_held;
  std::function<void(const Phrase& reason)> on_lost;  ///< stop at once; `compete` says that it is done
};

class Seat {
 public:
  Seat(SeatSettings settings, const PatroniWatch& watch, SeatEvents events, const Clock& clock, Log& log, Counters& counters);
  /// Gives it up, if it is held.
  ~Seat();
  /// From now on, until it is lost, it is taken when it is free. Not called while anything of a former term still runs.
  void compete();
  /// In order: another node need not wait. `compete` again afterwards.
  void give_up();
  [[nodiscard]] SeatView view() const;

 private:
  struct Row;
  void run();
  void keep_time();
  Status turn();
  Status connect();
  Status renew(Term term);
  Result<Row> look();
  Status take_if_free();
  Status take(const Row& row);
  Status write_taken(const Row& row, Term term);
  void lose(const Phrase& reason);
  void note(const Status& outcome);
  Status end_lease();

  const SeatSettings settings_;
  const PatroniWatch& watch_;
  const SeatEvents events_;
  const Clock& clock_;
  Log& log_;
  Gauge& held_gauge_;
  Counter& taken_;
  // The first thread's.
  std::optional<LeaderConnection> leader_;
  std::uint32_t highest_timeline_ = 0;
  std::uint64_t highest_term_ = 0;
  struct Sight {
    std::uint64_t term = 0, beats = 0;
    TimePoint since;
  };
  std::optional<Sight> sight_;  ///< of somebody else's lease, on this connection
  std::uint32_t held_timeline_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // under mutex_, as all below
  bool competes_ = false;
  bool giving_up_ = false;
  std::optional<Term> held_;
  TimePoint valid_until_{};
  SeatView view_;
  std::jthread worker_, time_keeper_;
};

/// Migrations and triggers that the seat needs in the mid-tier database.
Status prepare_seat(const postgres::ConnectionSettings& mid_tier, Log& log);
/// After all migrations of the mid-tier database: from now on the writes of former terms are refused.
Status keep_former_holders_out(postgres::Connection& mid_tier);
/// Of this installation on this machine; a copy of the directory elsewhere gets another one. Errors: kIo.
Result<std::string> seat_member(const std::filesystem::path& directory);

}  // namespace verbund::node
