#pragma once
/// Two machines, in some worlds a witness, a network, clients and a person, for pair_engine_simtest: what PostgreSQL does is modelled by a list of
/// log entries. Everything that happens is drawn from one seed.
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "mirror/pair_engine.h"

namespace verbund::mirror {

class PairWorld {
 public:
  struct Counts {
    std::uint64_t commits = 0, lost = 0, kills = 0, switchovers = 0, switchovers_failed = 0, promotions_none = 0,
                  promotions_bounded = 0, promotions_unknown = 0, promotions_within = 0, rejoins = 0, fences = 0, lapses = 0, witness_kills = 0, asks = 0, copied_anew = 0, salvaged = 0;
  };

  PairWorld(std::uint64_t seed, Counts& counts);
  void step();
  /// Nobody disturbs any more: one machine must write and the other follow it.
  void settle();
  /// The law that was broken; empty: none.
  [[nodiscard]] const std::string& broken() const { return broken_; }
  /// What happened last, a line each.
  [[nodiscard]] std::string story() const;

 private:
  struct Entry {
    std::uint64_t commit = 0;  // 0: no commit
    std::uint64_t written = 0; // unlike any other entry's, so that forks differ
  };
  struct Server {
    bool running = false, standby = false, accepting = false, clean = true;
    Term term;
    std::vector<Entry> wal;
  };
  struct Work {
    Task task;
    Term term;
    TimePoint due;
  };
  struct Machine {
    PairRecord record;
    Term begun;                // by a restore
    Server server;
    std::optional<PairEngine> engine;
    std::optional<Work> work;
    TimePoint down_until{};    // agent
    TimePoint frozen_until{};
    std::optional<TimePoint> guard;  // outlives the agent; by the machine's clock
    PairTuning tuning;
    bool off = false;          // the machine
    bool disk_out = false;     // its log was salvaged
    bool server_frozen = false;
    bool answered = false;     // in this life of the agent, or it was promoted or let open in it
  };
  struct Flight {
    std::size_t to;
    PairStatus status;
    TimePoint due;
  };
  struct CallFlight {
    WitnessCall call;
    TimePoint due;
  };
  struct AnswerFlight {
    std::size_t to;
    WitnessAnswer answer;
    TimePoint due;
  };
  struct WitnessNode {
    WitnessRecord disk;
    std::optional<Witness> engine;
    TimePoint down_until{}, frozen_until{};
  };
  /// All that was written in a term, with what it stood on.
  struct TermLog {
    std::size_t writer;
    std::vector<Entry> entries;
  };
  struct Promotion {
    LossReport report;
    std::set<std::uint64_t> kept;
    std::uint64_t forked_at = 0;
    bool believed_lies = false;
    bool on_word = false;       ///< of a person: production, which opens without asking, is switched off and stays so
    std::uint64_t written = 0;  ///< what is written from here on is after it
  };

  bool chance(std::uint64_t one_in) { return !calm_ && random_() % one_in == 0; }
  /// Of a disturbance: some worlds are rougher than others.
  bool trouble(std::uint64_t one_in) { return chance(one_in * smooth_); }
  nanoseconds random_span(std::int64_t from_ms, std::int64_t to_ms) {
    return milliseconds{from_ms + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(to_ms - from_ms + 1))};
  }
  [[nodiscard]] static std::uint64_t position(const Server& server) { return (server.wal.size() + 1) * 8; }
  [[nodiscard]] static std::uint64_t commits(const Server& server);
  [[nodiscard]] bool awake(const Machine& machine) const { return machine.engine && !machine.off && now_ >= machine.frozen_until; }
  [[nodiscard]] bool writable(const Machine& machine) const {
    return !machine.off && machine.server.running && !machine.server.standby && machine.server.accepting &&
           !(machine.server_frozen && now_ < machine.frozen_until) && !(machine.guard && local(index_of(machine)) >= *machine.guard);
  }
  [[nodiscard]] std::size_t index_of(const Machine& machine) const { return static_cast<std::size_t>(&machine - machines_.data()); }
  /// By the clock of that machine (2: the witness): no two run alike.
  [[nodiscard]] TimePoint local(std::size_t index) const {
    const auto gone = now_.time_since_epoch();
    return TimePoint(gone + gone / 1000 * parts_per_thousand_[index]) + ahead_[index];
  }
  [[nodiscard]] bool prefix(const Server& shorter, const Server& longer) const;
  [[nodiscard]] ServerFacts facts(std::size_t index) const;

  void disturb();
  void disturb_network();
  // pair_world_witness_simtest.cc
  void set_up_witness();
  void disturb_witness();
  void advance_witness();
  void check_given(std::size_t index, Term term);
  void check_within(const Promotion& promotion, const std::vector<std::uint64_t>& missing);
  void person();
  void write();
  void stream();
  void advance();
  void boot(std::size_t index);
  void kill(std::size_t index);
  void hand_in(std::size_t index, const pair::Event& event);
  void carry_out(std::size_t index, const pair::Record& record);
  void carry_out(std::size_t index, const pair::Send& send);
  void carry_out(std::size_t index, const pair::Do& task);
  void carry_out(std::size_t index, const pair::Close&);
  void carry_out(std::size_t index, const pair::Reply& reply);
  void carry_out(std::size_t index, const pair::Tell& tell);
  void carry_out(std::size_t index, const pair::Call& call);
  void carry_out(std::size_t index, const pair::Guard& guard) { machines_[index].guard = guard.until; }
  void finish(std::size_t index);
  bool work(std::size_t index, const Work& work);  // false: failed
  bool stop(std::size_t index);
  bool promote(std::size_t index, Term term);
  bool stays_off(std::size_t index);
  bool rejoin(std::size_t index);
  void append(std::size_t index, std::uint64_t commit);
  void check_promotions();
  void check_end(const Server& production);
  /// What was acknowledged so far, is not in these data and was not written off before; is from now on.
  std::size_t write_off(const Server& server);
  void help();
  void tell(std::string line);
  void fail(std::string law) {
    if (broken_.empty()) broken_ = std::move(law);
  }

  std::mt19937_64 random_;
  Counts& counts_;
  TimePoint now_{seconds{1000}};
  std::array<Machine, 2> machines_;
  std::array<bool, 2> cut_{};              // from this machine to the other
  std::vector<Flight> flights_;
  bool has_witness_ = false;
  WitnessNode witness_;
  std::array<std::array<bool, 2>, 2> witness_cut_{};  // of this machine: to the witness, from it
  std::vector<CallFlight> calls_;
  std::vector<AnswerFlight> answers_;
  std::array<std::int64_t, 3> parts_per_thousand_{};
  std::array<nanoseconds, 3> ahead_{};
  Term given_term_;                        // the highest that began without a person
  std::map<std::uint64_t, TimePoint> committed_at_;
  std::map<std::uint64_t, TermLog> terms_;
  std::vector<Promotion> promotions_;
  std::array<Term, 3> client_terms_{};
  std::set<std::uint64_t> gone_;           // lost by a promotion, by a person's word or a rejoin, as announced
  std::uint64_t next_commit_ = 1, next_entry_ = 1;
  std::uint64_t smooth_ = 1;
  bool calm_ = false, lied_ = false, forced_ = false, opened_by_hand_ = false;
  bool accepted_ = false;                  // the last Reply
  std::string broken_;
  std::deque<std::string> story_;
};

std::string to_string(const PairWorld::Counts& counts);

}  // namespace verbund::mirror
