#pragma once
/// Private to src/client: the engine on a thread of its own, with the network around it.
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "base/messages.h"
#include "client/engine.h"
#include "platform/net/client.h"
#include "platform/os/clock.h"
#include "verbund/client.h"

namespace verbund {
inline namespace client_v1 {

/// Threads: members below "loop thread" belong to it; `mutex` guards what public methods read. Callbacks are set before
/// the thread starts and called by it alone.
struct Client::Impl {
  using Outcome = protocol::ReplyBody;
  using Done = std::function<void(Outcome)>;

  explicit Impl(ClientSettings given);
  ~Impl();

  Expected<Ok> connect();
  /// Posts the request to the loop and waits for its one outcome; the engine ends it at the deadline.
  Outcome call(protocol::RequestBody body, nanoseconds time);
  void reconnect_now();
  [[nodiscard]] client::State current_state() const;
  [[nodiscard]] bool may_edit() const;

  // loop thread
  void start();
  void say_goodbye(Done done);
  void finish();
  void run_actions(client::Actions actions);
  void carry_out(client::Connect& action);
  void carry_out(client::Send& action);
  void carry_out(client::Disconnect& action);
  void carry_out(client::StateChanged& action);
  void carry_out(client::Finished& action);
  void carry_out(client::Happened& action);
  void carry_out(client::LocksGone& action);
  void on_message(std::string_view message);
  void remember_names(const protocol::Welcome& welcome);
  void tell(const protocol::Changes& event);
  void tell(const protocol::Snapshot& event);
  void tell(const protocol::LockGranted& event);
  void tell(const protocol::LockReleased& event);
  void tell(const protocol::SessionJoined& event);
  void tell(const protocol::SessionStateChanged& event);
  void tell(const protocol::SessionLeft& event);
  void tell(const protocol::MessageFrom& event);
  template <typename Event>
  void tell(const Event&) {}
  void forget_callbacks();
  void publish();

  const ClientSettings settings;
  const Language language;  ///< in which errors are said
  const os::SystemClock clock;
  std::function<void(ConnectionState, const std::string&)> state_callback;
  std::function<void(const Changes&)> changes_callback;
  std::function<void(const std::string&, const std::string&)> snapshot_callback;
  std::function<void(const std::string&, const std::vector<LockInfo>&)> locks_callback;
  std::function<void(const std::vector<std::string>&, const std::string&)> lost_callback;
  std::function<void(const std::string&, const SessionInfo&)> session_callback;
  std::function<void(const Text&)> text_callback;
  std::function<void(std::string_view)> json_callback;

  // loop thread
  net::EventLoop loop;
  std::string ca_pem;
  std::unique_ptr<client::Engine> engine;
  std::unique_ptr<net::MessageClient> connection;
  std::uint64_t generation = 0;  ///< of `connection`; what an earlier one still says is not heard
  net::Timer ticker;
  std::map<client::CallId, Done> waiting;
  std::map<SessionId, SessionInfo> known_sessions;  ///< names for events that carry only an id
  std::map<RecordKey, LockInfo> known_locks;

  mutable std::mutex mutex;
  std::condition_variable changed;
  client::State state = client::State::kIdle;
  Error end_reason;
  std::string session, cursor, welcome;
  bool started = false, ending = false;
  unsigned inside = 0;  ///< threads in connect and call; the destructor waits for them
  std::thread::id loop_thread;
  std::atomic<TimePoint::rep> edit_until = 0;  ///< TimePoint since its epoch: valid even while the loop thread stands still
  std::thread thread;
};

}  // namespace client_v1
}  // namespace verbund
