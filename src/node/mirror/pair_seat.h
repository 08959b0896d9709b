#pragma once
/// This process's PostgreSQL and its place in a pair: which part of the node runs (production or mirror) follows from it.
///
/// A node that is in no pair has a seat, too: then it is production from the start, and `begin_pair` begins one while it runs.
/// Threads: `take`, `begin`, `next_phase`, `phase_ends`, `stop` on the main thread; the rest from any. Blocking, but for `phase`.
#include <atomic>

#include <boost/json.hpp>

#include "access/accounts.h"
#include "node/mirror/lease_guard.h"
#include "node/mirror/pair_driver.h"
#include "node/mirror/pair_message.h"
#include "node/mirror/pair_server.h"
#include "node/patroni/node_seat.h"
#include "platform/net/client.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"

namespace verbund::node {

class PairSeat final : public PairHands {
 public:
  enum class Phase { kProduction, kMirror };

  /// Takes the directory (node.lock), its configuration, log and agent. Errors: kInUse, kNotFound, kBadConfig, kBadJournal, kIo.
  /// `cluster`: of a node on a Patroni cluster, who has the directory already and is in no pair; else null.
  static Result<std::unique_ptr<PairSeat>> take(const std::filesystem::path& directory, const NodeSeat* cluster);
  ~PairSeat() override;

  /// In a pair: the engine begins; returns when it is known what this machine is: at once, or when the other machine has answered, or after
  /// 10 s when a person is asked; sooner when it can't open, which its mirror's part then shows while it tries on, or when `stopping` says so.
  /// Errors: kBadJournal, kIo.
  Status begin(const std::function<bool()>& stopping);
  void stop();

  [[nodiscard]] Log& log() { return *log_; }
  [[nodiscard]] mirror::Agent& agent() { return *agent_; }
  [[nodiscard]] bool paired() const { return paired_; }
  [[nodiscard]] Phase phase() const;
  /// Grows with each change of `phase`: closed and opened again, it is production as before, but in another term.
  [[nodiscard]] std::uint64_t turn() const;
  /// It is a mirror, or on the way to production.
  [[nodiscard]] bool follows() const;
  /// Called whenever `phase` changes, on the engine's thread; must not block. Empty: nobody is told.
  void on_phase(std::function<void()> told);
  /// The part of the node that ran has ended: PostgreSQL may become something else.
  void phase_begins(std::uint16_t port, bool production);
  void phase_ends();

  /// Production's first mirror, or another one in its place. Errors: kIo, kDiskFull, kBadJournal.
  Status begin_pair(const Peer& peer, const std::string& secret, Term term);
  [[nodiscard]] std::optional<Peer> peer() const;
  /// Of the pair, or of a machine that would be its first production.
  [[nodiscard]] mirror::Member member() const;
  /// The other machine's number, or the one that the first mirror will get.
  [[nodiscard]] mirror::Member mirror_member() const;

  /// POST /api/mirror/pair. Errors: kUnauthenticated, kBadMessage, kUnavailable.
  Result<std::string> exchange(const std::string& secret, const std::string& address, const std::string& body);
  /// POST /api/mirror/do: switchover, promote, open, fence, rejoin. Errors: kBadMessage, kPairRefused (with the engine's reason), kUnavailable.
  Result<std::string> act(const std::string& user, const std::string& body);
  /// What this machine's commands may show instead of a login: its databases may be down.
  [[nodiscard]] bool is_control_secret(std::string_view shown) const;
  /// "pair" of GET /api/mirror; null in no pair.
  [[nodiscard]] boost::json::value view_json() const;
  /// That production's term here was begun (term_proof.h), for clients to carry; empty: in no pair, or not production.
  [[nodiscard]] std::string term_proof() const;
  /// A client shows what it carries, which may be anything. A higher term of this pair closes production.
  void term_shown(std::string_view proof);

  /// mirror/witness.json has been changed by a command: it is in force from now on, and told to the other machine. Errors: kDamaged, kIo.
  Status use_witness();
  /// Production's promise, as its heartbeat has told it (LossMeter::promised).
  void promised(Term term, TimePoint until);
  /// Of a pair that has one: since when it has not answered. For alarms.
  [[nodiscard]] std::optional<nanoseconds> witness_silent() const;
  /// The report with which this production has taken over by itself and is without a mirror since.
  [[nodiscard]] std::optional<mirror::LossReport> taken_over() const;

  // PairHands
  Status carry_out(mirror::Task task, Term term, const mirror::PairRecord& record) override;
  void close() override;
  void changed(const mirror::PairRecord& record, bool open) override;
  mirror::ServerFacts facts() override { return server_->facts(); }
  Term begun() override;
  Result<mirror::PairStatus> send(const mirror::PairStatus& status) override;
  Result<mirror::WitnessAnswer> call(const mirror::WitnessCall& call) override;
  Status guard(std::optional<TimePoint> until) override;

 private:
  PairSeat() = default;
  Status load(const std::filesystem::path& directory, const NodeSeat* cluster);
  Result<std::unique_ptr<mirror::Agent>> make_agent();
  Status start_driver(bool open);
  PairMessage message(const mirror::PairStatus& status) const;
  /// What the other machine says of itself is kept, so that it is found after a restart. Errors: kBadMessage (it is of another machine).
  Status learn(const PairMessage& message, const std::string& address);
  Status keep_peer();
  void learn_witness(const WitnessPlace& place);
  Result<net::HttpResponse> speak(const Peer& other, const std::string& host, const std::string& body) const;
  Status await_no_production();

  std::filesystem::path directory_;
  os::SystemClock clock_;
  std::optional<os::FileLock> lock_;
  std::optional<Installation> installation_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<mirror::Agent> agent_;
  std::unique_ptr<PairServer> server_;
  std::string ca_pem_, control_secret_;
  std::unique_ptr<LeaseGuard> lease_;     // the engine's thread
  std::atomic<bool> paired_ = false;

  std::mutex peer_file_;                  // held while the peer is written; before mutex_
  /// Open to where the other machine answered last.
  struct Line {
    std::string host, ca_pem;
    std::uint16_t port = 0;
    std::unique_ptr<net::HttpClient> client;
  };
  mutable std::mutex speaking_;           // line_; held while somebody speaks
  mutable Line line_;
  mutable std::mutex mutex_;              // what follows
  mutable std::condition_variable changed_;
  std::optional<Peer> peer_;
  std::string secret_;
  std::string peer_version_;
  std::optional<WitnessPlace> witness_;
  mirror::PairRecord record_;
  Phase phase_ = Phase::kProduction;
  std::uint64_t turn_ = 0;
  std::function<void()> told_;
  std::uint16_t port_ = 0;
  bool production_runs_ = false;
  bool peer_answers_ = false;
  std::unique_ptr<PairDriver> driver_;    // last: its threads use all the others
};

}  // namespace verbund::node
