#pragma once
/// What the parts of the service share. Not for others.
#include <unordered_map>

#include "cluster/authors.h"
#include "cluster/broadcaster.h"
#include "cluster/engine.h"
#include "cluster/ports.h"
#include "cluster/request_memory.h"
#include "cluster/service.h"
#include "protocol/codec.h"

namespace verbund::cluster {

/// One connected client. Lives from on_open to on_close, in memory until no call can be inside it any more.
struct Connection final : Receiver {
  enum class Phase { kNew, kPending /* registering */, kRegistered, kClosing };
  explicit Connection(net::Peer& given) : peer(&given), number(given.id()) {}
  [[nodiscard]] std::uint64_t id() const override { return number; }
  void send(Buffer message) override {
    if (peer != nullptr) peer->send(std::move(message));
  }
  void send(std::string message) { send(std::make_shared<const std::string>(std::move(message))); }
  [[nodiscard]] std::size_t queued_bytes() const override { return peer == nullptr ? 0 : peer->queued_bytes(); }
  void notify_when_drained() override {
    if (peer != nullptr) peer->notify_when_drained();
  }
  void close() {
    if (peer != nullptr) peer->close();
  }

  net::Peer* peer;  ///< null from on_close on
  std::uint64_t number;
  SessionId session;
  Phase phase = Phase::kNew;
  Language language = Language::kEnglish;
  bool may_break_locks = false;
  bool tool = false;
  std::string user;            ///< once authenticated
  std::uint16_t own_port = 0;  ///< Terminalservice: freed with the connection
  std::uint16_t offered_port = 0;  ///< Terminalservice: where it was sent, if it was
  std::string offered_ticket;      ///< hash
  std::uint64_t asked_after = 0;  ///< Impl::users_ended when its credentials were handed on
  std::uint32_t bad_messages = 0;
  std::size_t held_back_bytes = 0;
  std::vector<std::string> held_back;  ///< came while registering
  TimePoint tell_credit;               ///< when the tokens for `tell` will be full again
};

struct Service::Impl final : BroadcastSink {
  enum class RequestKind { kLock, kUnlock, kCancel };
  struct Awaited {
    std::uint64_t peer = 0;
    protocol::RequestId id;
    RequestKind kind = RequestKind::kLock;
  };
  /// A client that was sent to a port of its own.
  struct Redirected {
    StoredSession session;  ///< without id: it resumes
    std::string secret;
    std::optional<Cursor> cursor;
  };
  /// A session that the store has to forget.
  struct Removal {
    TimePoint since, next;
    bool under_way = false;
    bool holds_locks = false;  ///< lost: its locks are free when it is done
  };
  /// Its claims are with the guard.
  struct WaitingResume {
    std::uint64_t peer = 0;
    protocol::RequestId id;
    std::string secret;
    std::optional<Cursor> cursor;
    std::vector<protocol::LostLock> lost;
    std::vector<RecordKey> claimed;
  };
  /// First result of a `tell` or `changed`; none while it is being done.
  using Remembered = std::optional<std::variant<protocol::Done, protocol::Delivered>>;

  Impl(Settings settings, LockEpoch epoch, std::vector<StoredSession> known, SessionId next_session,
       Surroundings surroundings);

  // service.cc
  [[nodiscard]] Now now() const { return {around.clock.now(), around.clock.wall()}; }
  void tick();
  void carry_out();
  void schedule_fan_out();
  void fan_out();
  Connection* connection(std::uint64_t peer);
  Connection* connection_of(SessionId session);
  void fell_behind(std::uint64_t subscriber) override;
  void replay(std::uint64_t subscriber, Cursor from, std::size_t limit) override;

  // service_messages.cc
  void on_message(Connection& connection, std::string_view message);
  void handle(Connection& connection, const protocol::RequestId& id, protocol::RequestBody body);
  void reply(Connection& connection, const protocol::RequestId& id, const protocol::ReplyBody& body);
  void refuse(Connection& connection, const protocol::RequestId& id, Error error,
              std::optional<milliseconds> retry_after = {});
  void send_event(Connection& connection, const protocol::Event& event);
  void publish(Topic topic, const protocol::Event& event);
  void bad_message(Connection& connection, const protocol::RequestId& id, Error error);
  void close(Connection& connection, std::optional<protocol::ClosingReason> reason);

  // service_register.cc
  void on_register(Connection& connection, const protocol::RequestId& id, protocol::Register request);
  void authenticated(std::uint64_t peer, const protocol::RequestId& id, const protocol::Register& request,
                     Authenticator::Answer answer);
  void establish(Connection& connection, const protocol::RequestId& id, StoredSession session, std::string secret,
                 std::optional<Cursor> cursor);
  void established(std::uint64_t peer, const protocol::RequestId& id, StoredSession session, std::string secret,
                   std::optional<Cursor> cursor, const Status& saved);
  void on_resume(Connection& connection, const protocol::RequestId& id, protocol::Resume request);
  void registered(Connection& connection, const Session& session);
  void welcome(Connection& connection, const protocol::RequestId& id, const Session& session, std::string secret,
               std::optional<Cursor> cursor, std::optional<Resumed> resumed);
  void end_pending(std::uint64_t peer);
  void give_up(std::uint64_t peer, const protocol::RequestId& id, Error error, std::optional<milliseconds> retry_after = {});

  // service_ports.cc
  [[nodiscard]] bool needs_redirect(const Connection& connection, protocol::SessionKind kind, const std::string& ticket) const;
  void redirect(Connection& connection, const protocol::RequestId& id, Redirected redirected);
  void withdraw_offer(Connection& connection);
  void redeem(Connection& connection, const protocol::RequestId& id, const std::string& ticket);
  void expire_ports(TimePoint time);

  // service_removals.cc
  void remove_stored(SessionId session, bool holds_locks);
  void try_removal(SessionId session);
  void look_after_removals(TimePoint time);

  // service_actions.cc: the engine's actions
  void act(Joined& action);
  void act(StateChanged& action);
  void act(Lost& action);
  void act(Left& action);
  void act(PingDue& action);
  void act(Superseded& action);
  void act(LockReplied& action);
  void act(LocksGranted& action);
  void act(LocksReleased& action);
  void act(LocksLost& action);
  // service_guard.cc
  void act(GuardWrite& action);
  void act(GuardClear& action);
  void act(ClaimsSettled& action);
  void act(ReclaimEnded& action);
  void sweep_guard();
  void await_claims(Connection& connection, const protocol::RequestId& id, protocol::Resume request, Resumed resumed);
  void finish_resumes();
  [[nodiscard]] protocol::LockView view(const LockRecord& lock) const;
  [[nodiscard]] protocol::ReplyBody body_of(LockReplied& action, RequestKind kind) const;

  // service_requests.cc
  void on(Connection& connection, const protocol::RequestId& id, protocol::Lock request);
  void on(Connection& connection, const protocol::RequestId& id, protocol::Unlock request);
  void on(Connection& connection, const protocol::RequestId& id, protocol::Cancel request);
  void on(Connection& connection, const protocol::RequestId& id, protocol::Break request);
  void on(Connection& connection, const protocol::RequestId& id, protocol::Beat request);
  void on(Connection& connection, const protocol::RequestId& id, protocol::Goodbye request);
  Ticket await(Connection& connection, const protocol::RequestId& id, RequestKind kind);
  void finish_awaited(const protocol::RequestId& id);
  // service_own.cc
  void lock_own(const OwnHolder& holder, std::vector<RecordKey> keys, std::function<void(OwnLocks)> done);
  void release_own(SessionId holder, Lsn written);
  void answer_own(LockReplied& action);
  void refuse_own();
  // service_queries.cc
  void on(Connection& connection, const protocol::RequestId& id, protocol::Tell request);
  void on(Connection& connection, const protocol::RequestId& id, protocol::Who request);
  void on(Connection& connection, const protocol::RequestId& id, protocol::Locks request);
  void on(Connection& connection, const protocol::RequestId& id, protocol::StatusQuery request);
  void on(Connection& connection, const protocol::RequestId& id, protocol::SetWatch request);
  void on(Connection& connection, const protocol::RequestId& id, protocol::Changed request);
  std::uint32_t deliver(const std::string& to, const protocol::MessageFrom& message);
  bool answer_repeated(Connection& connection, const protocol::RequestId& id, const std::string& request);
  void remember(SessionId session, const std::string& request, Remembered outcome);
  [[nodiscard]] std::vector<protocol::SessionView> session_views(bool with_tools, std::size_t limit) const;
  [[nodiscard]] std::vector<protocol::LockView> lock_views(std::string_view prefix, std::size_t limit) const;

  Settings settings;
  LockEpoch epoch;
  Surroundings around;
  Engine engine;
  Broadcaster broadcaster;
  PortTable ports;
  protocol::FeedState feed_state = {"running", {}};  ///< as it was told last
  RecentHolders recent_holders;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections;  ///< by Peer::id
  std::vector<std::unique_ptr<Connection>> closed;  ///< since the last tick; a send may have closed the one at work
  std::unordered_map<std::uint64_t, Awaited> awaited;         ///< by ticket, of requests that wait
  std::unordered_map<std::uint64_t, std::function<void(OwnLocks)>> own_waiting;  ///< by ticket
  std::map<std::string, Redirected> redirected;               ///< by ticket's hash
  std::unordered_map<SessionId, RequestMemory<Remembered>> remembered;
  std::map<SessionId, Removal> removals;
  std::unordered_map<std::string, std::uint64_t> users_ended_at;  ///< accounts removed or disabled: number of the last time
  std::uint64_t users_ended = 0;
  std::unordered_map<SessionId, WaitingResume> waiting_resumes;
  std::vector<SessionId> settled_resumes;
  net::Server* server = nullptr;
  std::string listen_host;
  std::uint16_t main_port = 0;
  std::uint64_t last_ticket = 0;
  Ticket immediate;            ///< of the request being handled: answered without entering `awaited`
  Awaited immediate_awaited;
  bool immediate_answered = false;
  bool carrying_out = false;
  bool fan_out_scheduled = false;
  bool shutting_down = false;
  TimePoint fan_out_since;
  std::shared_ptr<int> alive = std::make_shared<int>(0);  ///< callbacks of others hold it weakly
  Buffer too_slow;  ///< the last message to whoever does not read
  net::Timer ticker;
  std::unordered_map<std::uint64_t, net::Timer> replay_retries;  ///< by peer

  Counter& requests_total;
  Counter& bad_messages_total;
  Counter& grants_total;
  Counter& refusals_total;
  Counter& too_slow_total;
  Counter& lost_total;
  Gauge& sessions_gauge;
  Gauge& locks_gauge;
  Gauge& waiting_gauge;
  Gauge& stalled_gauge;
  Histogram& fan_out_seconds;
};

/// Peer ids may begin at 0, a ConnectionId of 0 is none.
inline ConnectionId connection_id(std::uint64_t peer) { return {peer + 1}; }
inline std::uint64_t peer_of(ConnectionId connection) { return connection.value - 1; }

}  // namespace verbund::cluster
