#pragma once
/// Production's side of a pair: invites one machine, lets it in, answers its heartbeats, knows how far it is.
///
/// Threads: any; calls block (files, database), so they belong on the worker pool. Answers are JSON (report.h).
/// Files in DIR/mirror: invitation.json (a code's hash, until when, used when), mirror.json (the mirror: name, address, number, its secret's hash).
#include <mutex>

#include "access/accounts.h"
#include "access/certificates.h"
#include "base/log.h"
#include "mirror/following.h"
#include "node/installation.h"
#include "node/mirror/code.h"
#include "node/mirror/follow_production.h"
#include "node/mirror/pair_seat.h"
#include "node/mirror/pair_watch.h"

namespace verbund::node {

class ProductionSide {
 public:
  /// All borrowed. `term`: the node's.
  ProductionSide(const Installation& installation, const access::Certificates& certificates, access::Accounts& accounts, PairSeat& seat, Term term,
                 std::function<std::uint16_t()> port, const Clock& clock, Log& log);

  /// A new code; an older one that is not used yet ends. `replace`: the mirror that there is may be replaced.
  /// Errors: kUnsupported (somebody else's server), kServerSetting ([mirror] listen), kAlreadyExists (there is a mirror).
  Result<std::string> invite(const std::string& user, std::chrono::minutes valid, bool replace);
  /// What a machine wants to know before it joins; the code stays good. Errors: kUnauthenticated (wrong, used, over).
  Result<std::string> look(const std::string& code);
  /// Uses the code up: role and slot in PostgreSQL, and all that the machine needs to be a mirror. Errors: as look; those of PostgreSQL.
  Result<std::string> join(const std::string& code, const std::string& name, const std::string& address);
  /// Errors: kUnauthenticated (this machine is not, or no longer, the mirror), kBadMessage.
  Result<std::string> beat(const std::string& secret, const std::string& body);
  Result<std::string> status();
  /// Whether it is the mirror that asks. Errors: kUnauthenticated.
  Status check(const std::string& secret);
  /// Before the port is open. Borrowed.
  void attach(FollowProduction& follow) { follow_ = &follow; }
  void attach(PairWatch& watch) { watch_ = &watch; }
  /// For the pair's watch, from its thread alone. Nothing: there is no mirror.
  std::optional<mirror::Watched> watched();
  /// Up to where the mirror has the log on its disk, as last heard; 0: not heard since the start. Nothing: there is no mirror. From any thread.
  std::optional<Lsn> mirror_has();
  /// At the start, in a pair: what is on disk of the mirror is made that of the other machine. Errors: kIo, kDamaged.
  Status begin();

 private:
  struct Invitation {
    std::string code_hash, user;
    WallTime until;
    std::optional<WallTime> used;
    bool replace = false;
  };
  struct Mirror {
    std::string name, address, secret_hash;
    WallTime since;
    mirror::Member member = 2;
  };
  struct Heard {
    mirror::Received received;
    std::string version;
    std::uint64_t port = 0;
    TimePoint at;
    std::optional<std::uint64_t> promote_ms;  ///< absent: of an older program
  };
  Result<std::optional<Invitation>> read_invitation() const;
  Status write(const Invitation& invitation) const;
  Result<std::optional<Mirror>> read_mirror() const;
  Status write(const Mirror& mirror) const;
  Result<Invitation> good_invitation(const std::string& code) const;
  Result<postgres::Connection> superuser() const;
  Result<std::uint64_t> database_bytes() const;
  Status check_known(const std::string& secret);  ///< under mutex_
  /// A number that neither this machine nor the mirror that is replaced has: what that one might still begin is never begun twice.
  [[nodiscard]] mirror::Member free_member(const std::optional<Mirror>& replaced) const;
  Result<mirror::SlotSafety> watched_slot(mirror::Member member);
  Status admit(const std::optional<Mirror>& replaced, mirror::Member member, const std::string& password);
  Result<std::string> admission(const std::string& user, const std::string& password, mirror::Member member);
  [[nodiscard]] std::filesystem::path folder() const { return installation_.directory() / "mirror"; }
  /// Lost also when the log's file at its beginning is gone, which PostgreSQL notices only when it has to send it.
  Result<mirror::SlotSafety> slot(mirror::Member member);
  [[nodiscard]] bool log_is_there(Lsn from) const;
  /// Over the connection that is kept for it.
  template <typename T>
  Result<T> ask(const std::function<Result<T>(postgres::Connection&)>& question);

  const Installation& installation_;
  const access::Certificates& certificates_;
  access::Accounts& accounts_;
  PairSeat& seat_;
  const Term term_;
  const std::function<std::uint16_t()> port_;
  const Clock& clock_;
  Log& log_;
  FollowProduction* follow_ = nullptr;
  PairWatch* watch_ = nullptr;
  const TimePoint since_;
  std::optional<postgres::Connection> watch_connection_;  // the watch's thread's
  std::mutex joining_;                             // one invite or join at a time
  std::mutex mutex_;                               // what follows
  std::optional<postgres::Connection> connection_; // as the node's role
  mirror::LossMeter meter_;
  std::optional<Heard> heard_;
  std::optional<TimePoint> ahead_since_;  // the mirror has log that production has not
  std::optional<Mirror> known_;                    // as on disk
  bool read_ = false;
};

}  // namespace verbund::node
