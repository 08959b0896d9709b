#pragma once
/// Sessions and presence: who is registered, whose connection is gone, who is lost.
/// Pure engine: no I/O, no clock; one thread. Events in, actions out. See README.md for the laws it keeps.
#include <unordered_map>

#include "base/result.h"
#include "cluster/actions.h"
#include "cluster/deadlines.h"
#include "cluster/settings.h"

namespace verbund::cluster {

struct Session {
  StoredSession stored;
  ConnectionId connection;  ///< none while reconnecting
  protocol::SessionState state = protocol::SessionState::kActive;
  bool needs_ping = false;  ///< a browser: its timers may be throttled
  bool pinged = false;      ///< since the last sign of life
  bool known = false;       ///< from before the restart and not resumed yet
  bool lost = false;        ///< its window is over; stays until the store has forgotten it
  bool own = false;         ///< of this process: no connection, never stored, silent as long as it likes
  TimePoint last_sign;      ///< last message, or when the connection closed
  TimePoint due;            ///< when `tick` has to look at it again
};

class SessionTable {
 public:
  explicit SessionTable(const Settings& settings) : settings_(settings) {}

  /// Takes over a session of before the restart: it may resume until `now` + reconnect.
  void add_known(StoredSession session, TimePoint now);
  /// May this workstation register now? The value: a predecessor without connection that it replaces, or none.
  /// Errors: kAddressTaken (Client-Server mode; names the holder), kUnavailable (max_sessions).
  [[nodiscard]] Result<SessionId> admit(const StoredSession& session) const;
  /// Requires `admit`; the predecessor has left.
  void add(StoredSession session, ConnectionId connection, bool needs_ping, TimePoint now, Actions& out);
  /// A session of this process: it ends by `remove` alone, and with the process.
  void add_own(StoredSession session, TimePoint now);
  /// The caller has checked the secret. A half-open predecessor is superseded. False: unknown session, or lost.
  bool resume(SessionId session, ConnectionId connection, bool needs_ping, TimePoint now, Actions& out);
  /// Any message counts.
  void sign_of_life(SessionId session, TimePoint now, Actions& out);
  /// Its connection closed without goodbye: the reconnect window opens. Ignored when it has another connection by now.
  void disconnected(SessionId session, ConnectionId connection, TimePoint now, Actions& out);
  void remove(SessionId session, protocol::LeftReason reason, Actions& out);
  /// Looks at what is due; whose window is over is listed in `lost`: it can't resume any more and has to be removed by the
  /// caller.
  void tick(TimePoint now, std::vector<SessionId>& lost, Actions& out);

  [[nodiscard]] const Session* find(SessionId session) const;
  /// To change watch, address or language; null when unknown.
  Session* find(SessionId session);
  [[nodiscard]] std::size_t size() const { return sessions_.size(); }
  /// Sessions of before the restart that have neither resumed nor left.
  [[nodiscard]] std::size_t known_left() const { return known_left_; }
  [[nodiscard]] const std::unordered_map<SessionId, Session>& all() const { return sessions_; }

 private:
  void arm(Session& session, TimePoint due);
  [[nodiscard]] TimePoint next_look(const Session& session) const;
  void set_state(Session& session, protocol::SessionState state, Actions& out);
  void settle_known(Session& session);
  [[nodiscard]] bool counts_by_address(const StoredSession& session) const;

  const Settings settings_;
  std::unordered_map<SessionId, Session> sessions_;
  std::unordered_map<std::string, SessionId> by_address_;  ///< Client-Server mode, workstations alone
  Deadlines deadlines_;
  std::size_t known_left_ = 0;
};

/// As others see it.
protocol::SessionView view_of(const Session& session);

}  // namespace verbund::cluster
