#pragma once
/// Drives a PairEngine: writes its record, carries out its tasks, sends and hears its messages. What the tasks do is the node's (PairHands).
///
/// Threads: five of its own: the engine's; one for tasks (one task at a time, as long as it takes); one that looks at the server; one that
/// sends; one that calls the witness. `hear`, `ask`, `view` from any other thread. `start` once; `stop` ends all five, after the task under way.
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "mirror/pair_engine.h"
#include "mirror/pair_journal.h"

namespace verbund::node {

class PairHands {
 public:
  virtual ~PairHands() = default;
  /// On the tasks' thread; blocks. `record`: the pair's when the task was begun.
  virtual Status carry_out(mirror::Task task, Term term, const mirror::PairRecord& record) = 0;
  /// On the engine's thread; must not block: no writes from now on.
  virtual void close() = 0;
  /// On the engine's thread, after each event; must not block. `open`: it takes writes.
  virtual void changed(const mirror::PairRecord& record, bool open) = 0;
  /// On any of the driver's threads; blocks briefly.
  virtual mirror::ServerFacts facts() = 0;
  /// On the engine's thread: the highest term that was ever begun on this machine. Blocks briefly.
  virtual Term begun() = 0;
  /// On the sending thread; blocks. The peer's answer. Errors: kUnauthenticated (it has another mirror), kNotReachable and the like.
  virtual Result<mirror::PairStatus> send(const mirror::PairStatus& status) = 0;
  /// On the thread that calls the witness; blocks. Only with a witness (PairTuning::lease).
  virtual Result<mirror::WitnessAnswer> call(const mirror::WitnessCall& call);
  /// On the engine's thread: pair::Guard. Blocks briefly. Errors: then the witness is told of nobody who may be given production.
  virtual Status guard(std::optional<TimePoint> until);
};

struct PairView {
  mirror::PairRecord record;
  mirror::ServerFacts server;
  bool open = false, waits_for_person = false, peer_alive = false;
  std::optional<mirror::Task> doing;
  std::optional<mirror::Behind> behind;      ///< a mirror's
  mirror::LossReport loss;                   ///< of a promotion now
  std::optional<mirror::PairStatus> peer;    ///< its last message
  std::string told, told_reason;             ///< what became of the last procedure; empty: none yet in this life
  bool has_witness = false, witness_alive = false, automatic = false;
  std::optional<mirror::WitnessAnswer> witness;  ///< its last answer
  std::optional<nanoseconds> witness_silent;  ///< since it has answered, or since this life began
  std::string witness_error;                 ///< why it did not answer last; empty: it did
  std::optional<nanoseconds> lease_left;     ///< production's; negative: it is over. Nothing: it is bound by none
  std::string not_automatic;                 ///< a mirror's: PairEngine::not_automatic
  std::string trouble;                       ///< the record could not be written; empty: it could
};

class PairDriver {
 public:
  /// `open`: as pair::Booted says. `hands` outlives it.
  PairDriver(mirror::PairJournal journal, PairHands& hands, const mirror::PairTuning& tuning, bool open, const Clock& clock, Log& log);
  ~PairDriver();
  void start();
  /// No further event is taken; a task under way is not waited for.
  void begin_stop();
  void stop();

  /// A message of the peer; ours in answer. Errors: kUnavailable (stopping), kBadMessage (of no other machine).
  Result<mirror::PairStatus> hear(const mirror::PairStatus& status);
  /// What the peer has answered to one of ours.
  void note_answer(const mirror::PairStatus& status);
  /// What a person asks for. Errors: kUnavailable.
  Result<mirror::pair::Reply> ask(mirror::pair::Event request);
  void see(Term term);
  void promised(Term term, TimePoint until);
  /// Production's mirror is another machine from now on.
  void replaced();
  /// From now on; a new life of the engine begins for it, as after a restart of the agent alone.
  void retune(const mirror::PairTuning& tuning);
  [[nodiscard]] PairView view() const;

 private:
  struct Item {
    mirror::pair::Event event;
    std::promise<Result<mirror::PairStatus>>* answer = nullptr;  ///< of hear
    std::promise<mirror::pair::Reply>* reply = nullptr;          ///< of ask
    std::uint64_t life = 0;                                      ///< outcomes: of which life; 0: any
  };
  struct Work {
    mirror::Task task;
    Term term;
    mirror::PairRecord record;
    std::uint64_t life;
  };
  void run_engine();
  void run_tasks();
  void run_looks();
  void run_sends();
  void run_calls();
  bool guard(const mirror::pair::Guard& guard);
  void push(Item item);
  void boot(bool open);
  void handle(Item item);
  bool carry_out(const mirror::pair::Action& action, Item& item, bool failed);
  void answer_rest(Item& item);
  [[nodiscard]] nanoseconds look_every() const;

  mirror::PairJournal journal_;   // the engine's thread
  PairHands& hands_;
  const bool open_at_start_;
  const Clock& clock_;
  Log& log_;

  mutable std::mutex mutex_;      // what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  mirror::PairTuning tuning_;
  std::optional<mirror::PairEngine> engine_;
  std::uint64_t life_ = 0;
  std::optional<TimePoint> reboot_at_;
  std::deque<Item> items_;
  std::optional<Work> work_;
  std::optional<mirror::Task> doing_;
  std::uint64_t looks_void_ = 0;  // grows when a task begins or ends: what was seen before counts no more
  std::optional<mirror::PairStatus> to_send_;
  std::optional<mirror::WitnessCall> to_call_;
  bool guarded_ = true;           // the last Guard is in force
  TimePoint witness_at_{};        // it has answered, or this began
  std::string witness_error_;
  mirror::ServerFacts server_;
  std::optional<mirror::PairStatus> peer_;
  std::string told_, told_reason_, trouble_;
  std::jthread engine_thread_, task_thread_, look_thread_, send_thread_, call_thread_;
};

}  // namespace verbund::node
