// Register and resume: from the first message to the welcome.
#include <algorithm>

#include "base/messages.h"
#include "cluster/service_impl.h"
#include "platform/os/random.h"

namespace verbund::cluster {

namespace {

constexpr std::size_t kSecretBytes = 32;
/// Entries of a welcome, so that it stays below the peer's queue limit of 1 MiB; `who` and `locks` list the rest.
constexpr std::size_t kMaxInWelcome = 1500;

Error already_registered() {
  return make_error(ErrorCode::kAlreadyRegistered, phrase("register: this connection has registered already"), phrase("open another connection"));
}

}  // namespace

void Service::Impl::on_register(Connection& connection, const protocol::RequestId& id, protocol::Register request) {
  if (connection.phase != Connection::Phase::kNew) return bad_message(connection, id, already_registered());
  if (!request.term_proof.empty() && around.term_shown) around.term_shown(request.term_proof);
  if (request.language) connection.language = *request.language;
  if (!request.ticket.empty()) return redeem(connection, id, request.ticket);
  if (server != nullptr && settings.mode == protocol::Mode::kTerminalservice &&
      connection.peer->local_port() != main_port) {
    return bad_message(connection, id, make_error(ErrorCode::kTicketInvalid, phrase("register: this port asks for its ticket"),
                                        phrase("register on the main port first")));
  }
  connection.phase = Connection::Phase::kPending;
  Credentials credentials{request.user, request.password, request.token, {}, std::string(connection.peer->address())};
  if (request.user.empty() && request.token.empty()) credentials.cookie = connection.peer->cookie(kLoginCookie);
  request.password.clear();
  const auto peer = connection.id();
  connection.asked_after = users_ended;
  around.authenticator.authenticate(
      std::move(credentials),
      [this, guard = std::weak_ptr(alive), peer, id, request = std::move(request)](Authenticator::Answer answer) {
        if (!guard.expired()) authenticated(peer, id, request, std::move(answer));
      });
}

/// Back to the start: the client may try again.
void Service::Impl::give_up(std::uint64_t peer, const protocol::RequestId& id, Error error,
                            std::optional<milliseconds> retry_after) {
  auto* failed = connection(peer);
  if (failed == nullptr || failed->phase != Connection::Phase::kPending) return;
  failed->phase = Connection::Phase::kNew;
  refuse(*failed, id, std::move(error), retry_after);
  end_pending(peer);
}

/// Takes up what came meanwhile.
void Service::Impl::end_pending(std::uint64_t peer) {
  auto* ready = connection(peer);
  if (ready == nullptr) return;
  const auto held_back = std::exchange(ready->held_back, {});
  ready->held_back_bytes = 0;
  for (const auto& message : held_back) {
    ready = connection(peer);
    if (ready == nullptr) return;
    on_message(*ready, message);
  }
  schedule_fan_out();
}

void Service::Impl::authenticated(std::uint64_t peer, const protocol::RequestId& id, const protocol::Register& request,
                                  Authenticator::Answer answer) {
  auto* let_in = connection(peer);
  if (let_in == nullptr || let_in->phase != Connection::Phase::kPending || shutting_down) return;
  if (!answer.identity) return give_up(peer, id, std::move(answer.identity.error()), answer.retry_after);
  const auto ended = users_ended_at.find(answer.identity->user);
  if (ended != users_ended_at.end() && ended->second > let_in->asked_after) {
    // Its account was removed or disabled while the password was being checked.
    return give_up(peer, id, make_error(ErrorCode::kUnauthenticated, phrase("register: the account has just been ended")));
  }
  StoredSession session;
  session.identity = std::move(*answer.identity);
  let_in->user = session.identity.user;
  session.address = std::string(let_in->peer->address());
  session.workstation = request.workstation.empty() ? session.address : request.workstation;
  session.app = request.app;
  session.kind = request.kind;
  session.language = let_in->language;
  session.watch = request.watch;
  session.since = around.clock.wall();
  if (auto admitted = engine.admit(session); !admitted) return give_up(peer, id, std::move(admitted.error()));
  session.id = engine.next_session();
  auto secret = os::random_hex(kSecretBytes);
  session.secret_hash = os::blake2b_hex(secret);
  if (needs_redirect(*let_in, request.kind, {})) {
    return redirect(*let_in, id, {std::move(session), std::move(secret), request.cursor});
  }
  establish(*let_in, id, std::move(session), std::move(secret), request.cursor);
}

/// The session must be durable before anybody hears of it: after a crash it can be resumed.
void Service::Impl::establish(Connection& connection, const protocol::RequestId& id, StoredSession session,
                              std::string secret, std::optional<Cursor> cursor) {
  connection.phase = Connection::Phase::kPending;
  const auto peer = connection.id();
  auto stored = session;
  around.sessions.save(std::move(stored), [this, guard = std::weak_ptr(alive), peer, id, session = std::move(session),
                                           secret = std::move(secret), cursor](Status saved) {
    if (!guard.expired()) established(peer, id, session, secret, cursor, saved);
  });
}

void Service::Impl::established(std::uint64_t peer, const protocol::RequestId& id, StoredSession session,
                                std::string secret, std::optional<Cursor> cursor, const Status& saved) {
  auto* waiting = connection(peer);
  const auto session_id = session.id;
  if (!saved) {
    around.log.error("session.save", {{"session", session_id.value}, {"error", saved.error().message}});
    auto error = Error(saved.error()).in("register: save the session");
    error.code = ErrorCode::kUnavailable;
    return give_up(peer, id, std::move(error), seconds{1});
  }
  if (waiting == nullptr || waiting->phase != Connection::Phase::kPending || shutting_down) {
    remove_stored(session_id, false);
    return;
  }
  const bool browser = waiting->peer->kind() == net::PeerKind::kWebSocket;
  if (auto added = engine.add_session(std::move(session), connection_id(peer), browser, now()); !added) {
    remove_stored(session_id, false);
    return give_up(peer, id, std::move(added.error()));
  }
  const auto& registered_session = *engine.session(session_id);
  registered(*waiting, registered_session);
  around.log.info("session.registered", {{"session", session_id.value},
                                         {"user", registered_session.stored.identity.user},
                                         {"workstation", registered_session.stored.workstation},
                                         {"address", registered_session.stored.address}});
  welcome(*waiting, id, registered_session, std::move(secret), std::move(cursor), std::nullopt);
  end_pending(peer);
}

void Service::Impl::registered(Connection& connection, const Session& session) {
  connection.phase = Connection::Phase::kRegistered;
  connection.session = session.stored.id;
  connection.language = session.stored.language;
  connection.may_break_locks = session.stored.identity.may_break_locks;
  connection.tool = session.stored.kind == protocol::SessionKind::kTool;
  connection.peer->trust();
  connection.peer->set_farewell(too_slow);
}

void Service::Impl::on_resume(Connection& connection, const protocol::RequestId& id, protocol::Resume request) {
  if (connection.phase != Connection::Phase::kNew) return bad_message(connection, id, already_registered());
  if (!request.term_proof.empty() && around.term_shown) around.term_shown(request.term_proof);
  auto* session = engine.session(request.session);
  if (session == nullptr) {
    return bad_message(connection, id, make_error(ErrorCode::kUnknownSession,
                                        phrase("resume session {}: it has ended or never was", request.session.value),
                                        phrase("register anew")));
  }
  if (!os::equal_secrets(os::blake2b_hex(request.secret), session->stored.secret_hash)) {
    return bad_message(connection, id, make_error(ErrorCode::kUnauthenticated,
                                        phrase("resume session {}: the secret is wrong", request.session.value),
                                        phrase("register anew")));
  }
  if (needs_redirect(connection, session->stored.kind, request.ticket)) return redirect(connection, id, {});
  if (!request.ticket.empty() && connection.own_port == 0) {
    const auto redeemed = ports.redeem(connection.peer->local_port(), os::blake2b_hex(request.ticket), around.clock.now());
    if (!redeemed) return bad_message(connection, id, redeemed.error());
    redirected.erase(os::blake2b_hex(request.ticket));
    connection.own_port = connection.peer->local_port();
    server->unlisten(connection.own_port);
  }
  const bool browser = connection.peer->kind() == net::PeerKind::kWebSocket;
  auto resumed = engine.resume(request.session, connection_id(connection.id()), browser, request.reclaim, now());
  if (!resumed) return refuse(connection, id, std::move(resumed.error()));
  if (request.watch) {
    session->stored.watch = *request.watch;
    around.sessions.save(session->stored, [](const Status&) {});  // what is lost is only the watch, which clients repeat
  }
  if (resumed->pending) return await_claims(connection, id, std::move(request), std::move(*resumed));
  registered(connection, *session);
  welcome(connection, id, *session, std::move(request.secret), std::move(request.cursor), std::move(*resumed));
}

/// What others hear of it is published before it joins, so that it does not hear of itself.
void Service::Impl::welcome(Connection& connection, const protocol::RequestId& id, const Session& session,
                            std::string secret, std::optional<Cursor> cursor, std::optional<Resumed> resumed) {
  carry_out();
  if (connection.phase != Connection::Phase::kRegistered) return;
  const auto peer = connection.id();
  broadcaster.join(connection, session.stored.watch, cursor);
  protocol::Welcome text;
  text.session = session.stored.id;
  text.secret = std::move(secret);
  text.resumed = resumed.has_value();
  text.node = around.node_name;
  text.version = around.version;
  text.epoch = epoch;
  text.mode = settings.mode;
  text.user = session.stored.identity.user;
  text.role = session.stored.identity.role;
  text.read_while_locked = settings.read_while_locked;
  text.cursor = cursor.value_or(broadcaster.head());
  text.heartbeat = settings.heartbeat;
  text.suspect = settings.suspect;
  text.lease = settings.lease;
  text.reconnect = settings.reconnect;
  text.jitter = settings.jitter;
  if (around.servers) text.servers = around.servers();
  text.types = around.record_types;
  if (around.term_proof) text.term_proof = around.term_proof();
  if (session.stored.watch.presence) text.sessions = session_views(false, kMaxInWelcome + 1);
  if (session.stored.watch.locks) text.locks = lock_views({}, kMaxInWelcome + 1);
  text.more = text.sessions.size() > kMaxInWelcome || text.locks.size() > kMaxInWelcome;
  text.sessions.resize(std::min(text.sessions.size(), kMaxInWelcome));
  text.locks.resize(std::min(text.locks.size(), kMaxInWelcome));
  if (resumed) {
    text.held = std::move(resumed->held);
    text.lost = std::move(resumed->lost);
  }
  reply(connection, id, std::move(text));
  if (feed_state.state != "running" || !feed_state.alarm.empty()) send_event(connection, feed_state);
  broadcaster.start(peer);
  schedule_fan_out();
}

}  // namespace verbund::cluster
