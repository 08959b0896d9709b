#pragma once
/// A pair's decisions, one engine on each machine: who writes, in which term, what a start may do, switchover, promotion,
/// fencing, rejoin. Pure engine: no I/O, no clock; one thread. See README.md, "The pair", for the laws it keeps.
///
/// It is a set of rules over what is on disk (PairRecord), what the peer last said (PairStatus) and what the server is
/// (ServerFacts). A procedure is no list of steps in memory: each step changes the record, and the rules go on from the
/// record. So an agent that was killed anywhere goes on where it stood.
#include <deque>
#include <variant>
#include <vector>

#include "mirror/pair.h"
#include "mirror/witness.h"

namespace verbund::mirror {

/// Every tunable of the pair.
struct PairTuning {
  nanoseconds beat_every = seconds{1};
  nanoseconds alive_within = seconds{5};     ///< heard of so lately, the peer counts as alive
  nanoseconds answer_within = seconds{3};    ///< an answer to what was said earlier is none
  nanoseconds ask_for = seconds{10};         ///< so long a start asks the peer before it waits for a person
  nanoseconds switch_within = seconds{30};   ///< from the request until the mirror has everything; else production goes on
  nanoseconds withdraw_after = seconds{5};   ///< a mirror that does not take what was handed over is asked to decline
  nanoseconds retry_after = seconds{1};      ///< a task that failed
  nanoseconds lapse_after = seconds{900};    ///< a promotion that was confirmed longer ago is not gone on with by itself
  std::uint64_t max_switch_bytes = 64U << 20U;  ///< a mirror further behind does not take over
  nanoseconds lease{0};                      ///< production closes when neither mirror nor witness has answered for so long; 0: no witness
  bool automatic = false;                    ///< the mirror takes over by itself when the witness gives it production
  nanoseconds max_loss{0};                   ///< and no more than so long a time of production's would be lost
  nanoseconds cool_down = seconds{3600};     ///< and production was not given away so lately
};

namespace pair {

/// First of all, once, in each life of the agent. `age`: of the record, by the wall clock; negative: unknown.
struct Booted {
  PairRecord record;
  nanoseconds age{0};
  ServerFacts server;
  bool open = false;  ///< a single machine that gets its first mirror, or an agent that goes on after a full disk: it has been writing all along
  Term begun = {};    ///< the highest that was ever begun on this machine, also by a restore while the agent was not there
  TimePoint leased = {};  ///< with `open`: leased_until() of the life before
};
struct Observed {
  ServerFacts server;
};
struct Heard {
  PairStatus status;
  bool asked = false;  ///< the peer waits for an answer: exactly one Send follows
};
/// A client or device has shown a term, proven to have been begun.
struct TermSeen {
  Term term;
};
/// The peer does not know us any more: another mirror has taken our place.
struct Disowned {};
/// Production: another machine takes the mirror's place; what was heard of the old one counts no more.
struct Replaced {};
struct Done {
  Task task;
  ServerFacts server;
};
struct Failed {
  Task task;
  std::string reason;
  ServerFacts server;
};
struct Tick {};

// What a person asks for. Each is answered by exactly one Reply at once; kPeerIsOff is the person's word, typed out.
enum class Claim { kNothing, kPeerIsOff };
struct SwitchoverRequested {};
struct FenceRequested {};
struct PromoteRequested {
  std::string token;
  Claim claim = Claim::kNothing;
};
/// Production that waits at its start, or is fenced while the peer has not taken over, shall open.
struct OpenRequested {
  Claim claim = Claim::kNothing;
};
/// `anew`: of a mirror that can't follow any more; its data are set aside and copied again. Until that is whole there is nothing to promote.
struct RejoinRequested {
  bool anew = false;
};
/// The settings name no witness any more, neither here nor on the mirror, which answers or is off by the person's word.
struct ForgetWitnessRequested {
  Claim claim = Claim::kNothing;
};
/// Production's promise that commits wait for this mirror until then (LossMeter::promised).
struct Promised {
  Term term;
  TimePoint until;
};
/// A person has the disk of a production that is switched off: its log was read to its end from there, and this mirror has replayed what it did not have. What would be lost is certain until
/// production is heard again, or this life ends.
struct Salvaged {
  Beat end;
  Claim claim = Claim::kNothing;
};
/// What the witness has answered to a Call.
struct WitnessAnswered {
  WitnessAnswer answer;
};

using Event = std::variant<Booted, Observed, Heard, TermSeen, Disowned, Replaced, Done, Failed, Tick, SwitchoverRequested, FenceRequested,
                           PromoteRequested, OpenRequested, RejoinRequested, ForgetWitnessRequested, Promised, Salvaged, WitnessAnswered>;

/// On disk before the next action. When that fails the engine's life ends (a new one begins with Booted), except that a
/// stop that follows is carried out all the same: a full disk must not keep a fenced server writing.
struct Record {
  PairRecord record;
  std::string why;  ///< for people: the step
};
struct Send {
  PairStatus status;
};
/// Exactly one outcome (Done, Failed), with the server as it then is. Only one at a time, the last of a list but for Send.
struct Do {
  Task task;
  Term term;  ///< kOpen, kPromote: in which it will write
};
/// No more writes from this moment, whatever else is under way.
struct Close {};
struct Reply {
  bool accepted = true;
  std::string reason;  ///< why not; a msgid
};
/// What became of a procedure, for people. `reason` is a msgid or empty.
struct Tell {
  std::string what;
  std::string reason;
};
/// To the witness.
struct Call {
  WitnessCall call;
};
/// Whatever becomes of this process, from `until` on nobody is acknowledged anything here. Nothing: without end. In force before what follows.
struct Guard {
  std::optional<TimePoint> until;
};
using Action = std::variant<Record, Send, Do, Close, Reply, Tell, Call, Guard>;

}  // namespace pair

class PairEngine {
 public:
  explicit PairEngine(const PairTuning& tuning) : tuning_(tuning) {}

  [[nodiscard]] std::vector<pair::Action> handle(const pair::Event& event, TimePoint now);
  [[nodiscard]] const PairRecord& record() const { return record_; }
  /// Takes writes, in record().term.
  [[nodiscard]] bool open() const { return open_; }
  /// A start that has had no answer: only a person can let it open.
  [[nodiscard]] bool waits_for_person(TimePoint now) const;
  [[nodiscard]] bool peer_alive(TimePoint now) const { return heard_at_ && now - *heard_at_ < tuning_.alive_within; }
  /// A mirror's; production's last message.
  [[nodiscard]] std::optional<Behind> behind(TimePoint now) const { return meter_.behind(server_.beat.position, now); }
  /// What would be lost if the mirror were promoted now.
  [[nodiscard]] LossReport report(TimePoint now) const;
  /// Production's lease: until then it may write, whoever answers. Nothing: it needs none.
  [[nodiscard]] std::optional<TimePoint> leased_until() const;
  [[nodiscard]] bool witness_alive(TimePoint now) const { return witness_at_ && now - *witness_at_ < tuning_.alive_within; }
  [[nodiscard]] const std::optional<WitnessAnswer>& witness() const { return witness_; }
  /// Why the mirror would not take over by itself now, a msgid; empty: it would if the witness gave it production.
  [[nodiscard]] std::string not_automatic(TimePoint now) const;

 private:
  void on(const pair::Booted& booted, TimePoint now);
  void on(const pair::Observed& observed, TimePoint now);
  void on(const pair::Heard& heard, TimePoint now);
  void on(const pair::TermSeen& seen, TimePoint now);
  void on(const pair::Disowned&, TimePoint now);
  void on(const pair::Replaced&, TimePoint now);
  void on(const pair::Done& done, TimePoint now);
  void on(const pair::Failed& failed, TimePoint now);
  void on(const pair::Tick&, TimePoint) {}
  void on(const pair::SwitchoverRequested&, TimePoint now);
  void on(const pair::FenceRequested&, TimePoint now);
  void on(const pair::PromoteRequested& request, TimePoint now);
  void on(const pair::OpenRequested& request, TimePoint now);
  void on(const pair::RejoinRequested&, TimePoint now);
  void on(const pair::Salvaged&, TimePoint now);
  void on(const pair::ForgetWitnessRequested& request, TimePoint now);
  void on(const pair::Promised& promised, TimePoint now);
  void on(const pair::WitnessAnswered& answered, TimePoint now);

  // Rules. True: the record has changed, look again.
  bool decide(TimePoint now);
  bool serve(TimePoint now);
  bool switch_over(TimePoint now);
  bool hand_over(TimePoint now);
  bool stay_fenced();
  bool follow();
  bool offer();
  bool promote(TimePoint now);
  bool rejoin();

  // The witness (pair_witness.cc).
  void keep_lease(TimePoint now);
  void guard();
  void call(TimePoint now);
  void want(TimePoint now);
  void take_over_alone(TimePoint now);
  [[nodiscard]] bool lapsed(TimePoint now) const;
  [[nodiscard]] nanoseconds lease() const;
  [[nodiscard]] nanoseconds silence_needed() const;
  [[nodiscard]] Member named() const;
  [[nodiscard]] LossReport report_stopped(TimePoint now, TimePoint stopped) const;
  [[nodiscard]] bool bearable(const LossReport& report) const;

  [[nodiscard]] bool may_open(TimePoint now) const;
  [[nodiscard]] bool answered(const PairStatus& status, TimePoint now) const;
  /// The peer has said, having heard the wish, that it takes no such term; and nothing that was told it before counts any more.
  [[nodiscard]] bool released() const;
  [[nodiscard]] std::optional<Beat> stopped() const;
  [[nodiscard]] Term next() const;
  void promoted();
  void not_promoted(const std::string& reason);
  void give_up_switch(std::string reason);
  void open_anew(std::string why);
  void ask_release(Term term);
  bool step_back(std::string why);
  bool see(Term term);
  void write(std::string why);
  void begin(Task task, Term term = {});
  void close();
  void refuse(std::string reason);
  void send(TimePoint now);
  [[nodiscard]] PairStatus status() const;

  const PairTuning tuning_;
  PairRecord record_;
  ServerFacts server_;
  std::optional<PairStatus> peer_;        // its newest message
  std::optional<TimePoint> heard_at_;
  LossMeter meter_;
  Term meter_term_;
  std::optional<std::pair<Term, Beat>> salvaged_;  // production's end, from its own disk
  std::optional<Task> doing_;
  TimePoint not_before_{};                // after a failure
  TimePoint booted_at_{};
  TimePoint now_{};                       // of the event in hand
  Stage entered_ = Stage::kServing;
  TimePoint entered_at_{};                // this stage, in this life
  Term begun_;                            // on this machine, by whomever
  bool open_ = false;
  bool cleared_ = false;                  // the start's question has been answered, or there was none
  bool lapsed_ = false;                   // the promotion on disk was confirmed too long ago
  enum class Switch { kNone, kCheckpoint, kDrain, kStop, kAwait } switch_ = Switch::kNone;
  TimePoint switch_until_{};
  Wish wish_ = Wish::kNone;
  Term wish_term_;
  std::uint64_t wish_from_ = 0;           // the first message that said so
  Beat ready_for_;
  std::uint64_t sequence_ = 0;
  TimePoint sent_at_{};
  std::deque<std::pair<std::uint64_t, TimePoint>> sent_;  // to know how old an answer is
  struct Called {
    std::uint64_t sequence;
    TimePoint at;
    CallKind kind;
    Member candidate;
  };
  std::deque<Called> calls_;
  std::uint64_t call_sequence_ = 0;
  std::uint64_t named_in_ = 0;            // the last call that named somebody
  std::optional<TimePoint> called_at_;
  std::optional<TimePoint> witness_at_;   // it has answered
  std::optional<WitnessAnswer> witness_;
  std::optional<TimePoint> held_from_;    // the last renewal that was acknowledged was sent
  std::optional<TimePoint> answered_from_;  // the last message that the mirror has had was sent
  bool guard_known_ = false;              // in this life
  std::optional<TimePoint> guarded_;
  std::uint64_t asks_ = 0;                // wishes of this life
  bool asking_ = false;
  TimePoint ask_not_before_{};
  bool say_ = false;                      // something has changed that the peer should know at once
  std::vector<pair::Action> actions_;
};

}  // namespace verbund::mirror
