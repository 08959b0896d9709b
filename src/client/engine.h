#pragma once
/// What a client decides: when to connect, register, resume, beat, retry, stop editing. Pure: (state, event, now) → actions;
/// no I/O, no clock, its randomness comes from a seed. One thread.
///
/// Laws: 1. `may_edit` ends before the node can give this session's locks away (lease counted from the sending of the last
/// answered beat). 2. Each call gets exactly one outcome. 3. A call that changes something carries a request id, so that
/// sending it again after a torn connection does it once; `break` has none and is never sent again. (A node that has
/// restarted has forgotten the ids: a message or announcement may then come twice.) 4. Every event after the cursor is
/// handed on once, in order. 5. What the node counts as held and no caller knows of (its call had timed out) is given back.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "protocol/codec.h"

namespace verbund::client {

enum class State { kIdle, kConnecting, kConnected, kReadOnly, kEnded };

struct EngineSettings {
  std::vector<std::string> servers;   ///< HOST:PORT
  protocol::Register registration;    ///< sent as it is; cursor included
  bool reconnect = true;
  nanoseconds connect_timeout{seconds{10}};
  std::uint64_t seed = 1;             ///< of the jitter and the request ids
};

using CallId = std::uint64_t;

struct Connect {
  std::string server;
};
struct Send {
  std::string json;
};
struct Disconnect {};
struct StateChanged {
  State state = State::kIdle;
  Error reason;  ///< of kReadOnly and kEnded
};
struct Finished {
  CallId call = 0;
  protocol::ReplyBody body;
};
struct Happened {
  protocol::Event event;
};
/// Own locks that are gone. Also when the session itself was lost.
struct LocksGone {
  std::vector<RecordKey> keys;
  protocol::LockLostReason reason = protocol::LockLostReason::kExpired;
};
using Action = std::variant<Connect, Send, Disconnect, StateChanged, Finished, Happened, LocksGone>;
using Actions = std::vector<Action>;

class Engine {
 public:
  explicit Engine(EngineSettings settings);

  void start(TimePoint now, Actions& out);
  void on_open(TimePoint now, Actions& out);
  void on_closed(const Error& error, TimePoint now, Actions& out);
  void on_message(const std::variant<std::monostate, protocol::Reply, protocol::Event>& message, TimePoint now, Actions& out);
  /// At least every 100 ms: beats, deadlines, retries.
  void tick(TimePoint now, Actions& out);
  /// A request of the application; its outcome is a Finished, at the latest at `deadline`.
  CallId call(protocol::RequestBody body, TimePoint deadline, TimePoint now, Actions& out);
  void reconnect_now(TimePoint now, Actions& out);

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool may_edit(TimePoint now) const;
  /// Until when editing is allowed if nothing more is heard; the epoch when it is not.
  [[nodiscard]] TimePoint edit_until() const;
  /// No more events or retries: outstanding calls are finished with `error`.
  void end(const Error& error, Actions& out);
  [[nodiscard]] const std::optional<protocol::Welcome>& welcome() const { return welcome_; }
  [[nodiscard]] const Cursor& cursor() const { return cursor_; }

 private:
  struct Call {
    protocol::RequestBody body;
    TimePoint deadline;
    bool internal = false;              ///< cleans up after a caller that has gone: no Finished
    unsigned sent = 0;                  ///< so many times
    bool asked_anew = false;            ///< what the first asking got was not to be believed
    std::optional<TimePoint> again_at;  ///< the node asked to be asked again
  };
  enum class Phase { kNone, kOpening, kRegistering, kRunning };

  // engine.cc: the connection's life
  void connect(const std::string& server, TimePoint now, Actions& out);
  void register_or_resume(TimePoint now, Actions& out);
  static void send(const protocol::RequestBody& body, std::uint64_t id, Actions& out);
  void beat(TimePoint now, Actions& out);
  void watch_node(TimePoint now, Actions& out);
  void on_reply(const protocol::Reply& reply, TimePoint now, Actions& out);
  void on_beat_reply(std::uint64_t id, const protocol::ReplyBody& body, TimePoint now, Actions& out);
  void on_registration(const protocol::ReplyBody& body, TimePoint now, Actions& out);
  void on_redirect(const protocol::Redirect& redirect, TimePoint now, Actions& out);
  void on_welcome(const protocol::Welcome& welcome, TimePoint now, Actions& out);
  void learn_servers(const protocol::Welcome& welcome);
  void on_event(const protocol::Event& event, TimePoint now, Actions& out);
  void on_closing(const protocol::Closing& closing, Actions& out);
  bool advance_cursor(const protocol::Event& event);
  void retry_later(const Error& error, nanoseconds least, TimePoint now, Actions& out);
  nanoseconds retry_delay();
  void set_state(State state, const Error& reason, Actions& out);
  std::uint64_t random();
  // engine_calls.cc: calls and the locks they lead to
  std::string new_request();
  void send_call(CallId id, Call& call, Actions& out);
  void send_all_calls(Actions& out);
  void watch_calls(TimePoint now, Actions& out);
  void on_call_reply(CallId id, const protocol::ReplyBody& body, TimePoint now, Actions& out);
  void finish(CallId id, protocol::ReplyBody body, Actions& out);
  void finish_unrepeatable(Actions& out);
  bool needs_confirmation(const Call& call, const protocol::ReplyBody& body) const;
  void remember_outcome(const Call& call, const protocol::ReplyBody& body, Actions& out);
  void give_up(CallId id, Actions& out);
  void abandon(const protocol::Lock& lock, Actions& out);
  void give_back_doubtful(Actions& out);
  void forget_locks(const protocol::Unlock& unlock);
  [[nodiscard]] bool cancelling() const;
  [[nodiscard]] bool wanted(const RecordKey& key) const;
  [[nodiscard]] bool being_released(const RecordKey& key) const;
  void call_internally(protocol::RequestBody body, Actions& out);
  void take_over_locks(const protocol::Welcome& welcome, Actions& out);
  void on_lock_lost(const protocol::LockLost& lost, Actions& out);
  void lose_all_locks(Actions& out);

  EngineSettings settings_;
  State state_ = State::kIdle;
  Phase phase_ = Phase::kNone;
  bool ever_connected_ = false;
  std::size_t next_server_ = 0;
  std::size_t failures_ = 0;              ///< in a row
  std::string current_server_;            ///< the main port, even while a redirect is followed
  std::string ticket_;                    ///< Terminalservice: for the next registration
  bool redirected_ = false;
  std::optional<TimePoint> retry_at_;
  TimePoint phase_deadline_;
  TimePoint registration_sent_;
  std::optional<protocol::Welcome> welcome_;
  std::string secret_;
  std::string term_proof_;  // of the highest term that a welcome has named
  SessionId session_;
  Cursor cursor_;
  bool has_cursor_ = false;
  std::uint64_t next_id_ = 1;
  std::uint64_t registration_id_ = 0;
  std::map<std::uint64_t, TimePoint> beats_;  ///< unanswered: id → sent
  TimePoint last_answered_;                   ///< sending time of the last answered beat
  TimePoint next_beat_;
  std::map<CallId, Call> calls_;              ///< in the order they were made, which is that of sending them again
  std::map<RecordKey, FencingToken> held_;    ///< what callers know to hold
  std::set<RecordKey> doubtful_;              ///< perhaps held without a caller who knows, perhaps another caller's
  std::uint64_t random_state_;
};

}  // namespace verbund::client
