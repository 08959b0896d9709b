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
};

namespace pair {

/// First of all, once, in each life of the agent. `age`: of the record, by the wall clock; negative: unknown.
struct Booted {
  PairRecord record;
  nanoseconds age{0};
  ServerFacts server;
};
struct Observed {
  ServerFacts server;
};
struct Heard {
  PairStatus status;
};
/// A client or device has shown a term, proven to have been begun.
struct TermSeen {
  Term term;
};
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
struct RejoinRequested {};

using Event = std::variant<Booted, Observed, Heard, TermSeen, Done, Failed, Tick, SwitchoverRequested, FenceRequested,
                           PromoteRequested, OpenRequested, RejoinRequested>;

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
using Action = std::variant<Record, Send, Do, Close, Reply, Tell>;

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

 private:
  void on(const pair::Booted& booted, TimePoint now);
  void on(const pair::Observed& observed, TimePoint now);
  void on(const pair::Heard& heard, TimePoint now);
  void on(const pair::TermSeen& seen, TimePoint now);
  void on(const pair::Done& done, TimePoint now);
  void on(const pair::Failed& failed, TimePoint now);
  void on(const pair::Tick&, TimePoint) {}
  void on(const pair::SwitchoverRequested&, TimePoint now);
  void on(const pair::FenceRequested&, TimePoint now);
  void on(const pair::PromoteRequested& request, TimePoint now);
  void on(const pair::OpenRequested& request, TimePoint now);
  void on(const pair::RejoinRequested&, TimePoint now);

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
  std::optional<Task> doing_;
  TimePoint not_before_{};                // after a failure
  TimePoint booted_at_{};
  TimePoint now_{};                       // of the event in hand
  Stage entered_ = Stage::kServing;
  TimePoint entered_at_{};                // this stage, in this life
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
  bool say_ = false;                      // something has changed that the peer should know at once
  std::vector<pair::Action> actions_;
};

}  // namespace verbund::mirror
