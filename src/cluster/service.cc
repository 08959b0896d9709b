#include "cluster/service.h"

#include <algorithm>
#include <string>

#include "base/messages.h"
#include "cluster/service_impl.h"

namespace verbund::cluster {

namespace {
constexpr milliseconds kTick{100};
/// Fan-out gives the loop back after so long, so that a lock's grant never waits for a change on its way to thousands.
constexpr std::size_t kPeersPerLook = 32;
}  // namespace

Service::Impl::Impl(Settings given, LockEpoch lock_epoch, std::vector<StoredSession> known, SessionId next_session,
                    Surroundings surroundings)
    : settings(given),
      epoch(lock_epoch),
      around(std::move(surroundings)),
      engine(settings, epoch, std::move(known), next_session, now(), kTick),
      broadcaster({}, around.changes.head(), *this),
      ports(settings.first_port, settings.port_count, settings.accept_timeout),
      requests_total(around.counters.counter("verbund_cluster_requests_total", "Requests of registered clients")),
      bad_messages_total(around.counters.counter("verbund_cluster_bad_messages_total", "Messages that were refused as malformed")),
      grants_total(around.counters.counter("verbund_cluster_lock_grants_total", "Grants of work locks")),
      refusals_total(around.counters.counter("verbund_cluster_lock_refusals_total", "Refused requests for work locks")),
      too_slow_total(around.counters.counter("verbund_cluster_too_slow_total", "Clients closed because they did not read")),
      lost_total(around.counters.counter("verbund_cluster_sessions_lost_total", "Sessions that ended without goodbye")),
      sessions_gauge(around.counters.gauge("verbund_cluster_sessions", "Registered sessions")),
      locks_gauge(around.counters.gauge("verbund_cluster_locks", "Work locks held")),
      waiting_gauge(around.counters.gauge("verbund_cluster_lock_waiting", "Requests waiting for work locks")),
      stalled_gauge(around.counters.gauge("verbund_cluster_stalled_seconds", "Time the event loop stood still; leases were extended by it")),
      fan_out_seconds(around.counters.histogram("verbund_cluster_fan_out_seconds",
                                                "From an event until it was handed to the last connection")) {
  std::string farewell;
  protocol::encode_event(farewell, protocol::Closing{protocol::ClosingReason::kTooSlow, settings.jitter});
  too_slow = std::make_shared<const std::string>(std::move(farewell));
  ticker = around.loop.every(kTick, [this] { tick(); });
  engine.set_guarded(around.guarded);
  if (!engine.locks().reclaiming()) sweep_guard();
}

Connection* Service::Impl::connection(std::uint64_t peer) {
  const auto found = connections.find(peer);
  return found == connections.end() ? nullptr : found->second.get();
}

Connection* Service::Impl::connection_of(SessionId id) {
  const auto* session = engine.session(id);
  return session == nullptr || !session->connection ? nullptr : connection(peer_of(session->connection));
}

void Service::Impl::tick() {
  closed.clear();
  if (shutting_down) return;
  const auto time = now();
  engine.feed_passed(around.changes.passed(), time);
  engine.tick(time);
  carry_out();
  look_after_removals(time.boot);
  expire_ports(time.boot);
  recent_holders.forget_before(time.wall - RecentHolders::kRemembered);
  sessions_gauge.set(static_cast<double>(engine.sessions().size()));
  locks_gauge.set(static_cast<double>(engine.locks().held_count()));
  waiting_gauge.set(static_cast<double>(engine.locks().waiting_count()));
  stalled_gauge.set(std::chrono::duration<double>(engine.stalled()).count());
}

/// Carries out what the engine wants, in order; what that leads to as well.
void Service::Impl::carry_out() {
  if (carrying_out) return;
  carrying_out = true;
  for (;;) {
    auto actions = engine.take_actions();
    if (actions.empty()) break;
    for (auto& action : actions) std::visit([this](auto& what) { act(what); }, action);
    engine.recycle(std::move(actions));
  }
  carrying_out = false;
  if (!settled_resumes.empty()) finish_resumes();
}

void Service::Impl::schedule_fan_out() {
  if (fan_out_scheduled || !broadcaster.busy()) return;
  fan_out_scheduled = true;
  fan_out_since = around.clock.now();
  around.loop.post([this, guard = std::weak_ptr(alive)] {
    if (!guard.expired()) fan_out();
  });
}

void Service::Impl::fan_out() {
  // A few peers a turn: what is handed over faster than the network layer writes would stand in front of the replies.
  if (broadcaster.pump(kPeersPerLook)) {
    around.loop.post([this, guard = std::weak_ptr(alive)] {
      if (!guard.expired()) fan_out();
    });
    return;
  }
  fan_out_scheduled = false;
  fan_out_seconds.observe(std::chrono::duration<double>(around.clock.now() - fan_out_since).count());
}

void Service::Impl::fell_behind(std::uint64_t subscriber) {
  too_slow_total.add();
  if (auto* slow = connection(subscriber)) {
    around.log.warning("client.too_slow", {{"session", slow->session.value}, {"address", slow->peer->address()}});
    close(*slow, protocol::ClosingReason::kTooSlow);
  }
}

void Service::Impl::replay(std::uint64_t subscriber, Cursor from, std::size_t limit) {
  around.changes.replay(from, limit, [=, this, guard = std::weak_ptr(alive)](Result<std::vector<protocol::Changes>> page) {
    if (guard.expired()) return;
    if (page) {
      broadcaster.replayed(subscriber, from, *page);
    } else if (page.error().code == ErrorCode::kSnapshotNeeded) {
      broadcaster.replay_refused(subscriber, page.error().message);
    } else if (connection(subscriber) != nullptr) {
      // The database is away: nothing is lost, it is asked again.
      replay_retries[subscriber] = around.loop.after(seconds{1}, [=, this] { replay(subscriber, from, limit); });
    }
    schedule_fan_out();
  });
}

// ---- the interface --------------------------------------------------------------------------------------------

Service::Service(Settings settings, LockEpoch epoch, std::vector<StoredSession> known, SessionId next_session,
                 Surroundings surroundings)
    : impl_(std::make_unique<Impl>(settings, epoch, std::move(known), next_session, std::move(surroundings))) {}
Service::~Service() = default;

void Service::attach(net::Server& server, std::string listen_host, std::uint16_t main_port) {
  impl_->server = &server;
  impl_->listen_host = std::move(listen_host);
  impl_->main_port = main_port;
}

void Service::tick() { impl_->tick(); }

void Service::on_changes(protocol::Changes changes) {
  const auto lsn = changes.lsn;
  impl_->broadcaster.publish(std::move(changes));
  on_passed(lsn);
}

void Service::on_passed(Lsn lsn) {
  impl_->engine.feed_passed(lsn, impl_->now());
  impl_->carry_out();
  impl_->schedule_fan_out();
}

void Service::on_snapshot(std::string reason, Cursor cursor) {
  impl_->broadcaster.publish_snapshot({std::move(reason), std::move(cursor)});
  impl_->schedule_fan_out();
}

void Service::on_feed_state(protocol::FeedState state) {
  impl_->feed_state = std::move(state);
  impl_->publish(Topic::kEverybody, impl_->feed_state);
}

protocol::ChangeAuthor Service::author(const RecordKey& key, WallTime commit) const {
  if (const auto* recent = impl_->recent_holders.find(key, commit)) return *recent;
  const auto lock = impl_->engine.locks().find(key);
  if (!lock || lock->token.value == 0 || lock->granting || commit < lock->since) return {};
  const auto* session = impl_->engine.sessions().find(lock->session);
  if (session == nullptr) return {};
  return {protocol::ChangeAuthor::How::kLock, lock->session, session->stored.workstation, session->stored.identity.user};
}

std::vector<std::pair<RecordKey, protocol::ChangeAuthor>> Service::authors(std::string_view type, WallTime commit) const {
  std::set<RecordKey> keys;
  for (auto& key : impl_->recent_holders.keys_of(type)) keys.insert(std::move(key));
  const auto& locks = impl_->engine.locks();
  for (auto& lock : locks.list(fmt::format("{}/", type), locks.held_count() + locks.waiting_count())) keys.insert(std::move(lock.key));
  std::vector<std::pair<RecordKey, protocol::ChangeAuthor>> found;
  for (const auto& key : keys) {
    auto one = author(key, commit);
    if (one.how == protocol::ChangeAuthor::How::kLock) found.emplace_back(key, std::move(one));
  }
  return found;
}

std::vector<protocol::SessionView> Service::sessions() const {
  return impl_->session_views(true, protocol::kMaxListed);
}

std::vector<protocol::LockView> Service::locks() const { return impl_->lock_views({}, protocol::kMaxListed); }

std::optional<protocol::SessionView> Service::session(SessionId id) const {
  const auto* session = impl_->engine.sessions().find(id);
  if (session == nullptr) return std::nullopt;
  return view_of(*session);
}

std::size_t Service::session_count() const { return impl_->engine.sessions().size(); }
std::size_t Service::workstation_count() const {
  return static_cast<std::size_t>(std::ranges::count_if(impl_->engine.sessions().all(), [](const auto& entry) {
    return entry.second.stored.kind == protocol::SessionKind::kWorkstation;
  }));
}
std::size_t Service::lock_count() const { return impl_->engine.locks().held_count(); }

std::size_t Service::remove_sessions_of(const std::string& user) {
  impl_->users_ended_at[user] = ++impl_->users_ended;
  std::vector<SessionId> removed;
  for (const auto& [id, session] : impl_->engine.sessions().all()) {
    if (session.stored.identity.user == user) removed.push_back(id);
  }
  for (const auto id : removed) impl_->engine.leave(id, protocol::LeftReason::kRemoved, impl_->now());
  impl_->carry_out();
  // Who is about to get a session: while it is being stored, or on the way to a port of its own.
  std::erase_if(impl_->redirected, [&](const auto& entry) { return entry.second.session.identity.user == user; });
  std::vector<std::uint64_t> pending;
  for (const auto& [peer, connection] : impl_->connections) {
    if (connection->phase == Connection::Phase::kPending && connection->user == user) pending.push_back(peer);
  }
  for (const auto peer : pending) {
    if (auto* connection = impl_->connection(peer)) impl_->close(*connection, protocol::ClosingReason::kRemoved);
  }
  return removed.size();
}

void Service::shut_down() {
  impl_->shutting_down = true;
  impl_->ticker.cancel();
  impl_->refuse_own();
  std::string text;
  protocol::encode_event(text, protocol::Closing{protocol::ClosingReason::kShutdown, impl_->settings.jitter});
  const auto message = std::make_shared<const std::string>(std::move(text));
  std::vector<std::uint64_t> open;
  for (const auto& [peer, connection] : impl_->connections) open.push_back(peer);
  for (const auto peer : open) {
    auto* connection = impl_->connection(peer);
    if (connection == nullptr) continue;
    if (connection->phase == Connection::Phase::kRegistered) connection->send(message);
    connection->phase = Connection::Phase::kClosing;
    connection->close();
  }
}

// ---- net::PeerHandler -----------------------------------------------------------------------------------------

void Service::on_open(net::Peer& peer) {
  impl_->connections[peer.id()] = std::make_unique<Connection>(peer);
  if (impl_->shutting_down) peer.close();
}

void Service::on_message(net::Peer& peer, std::string_view message) {
  if (auto* connection = impl_->connection(peer.id())) impl_->on_message(*connection, message);
  impl_->schedule_fan_out();
}

void Service::on_too_large(net::Peer& peer, std::size_t bytes) {
  auto* connection = impl_->connection(peer.id());
  if (connection == nullptr) return;
  impl_->bad_message(*connection, {},
                     make_error(ErrorCode::kTooLarge, phrase("take a message: {} bytes are over the limit", bytes),
                      phrase("send smaller messages; the limits are in docs/protocol")));
}

void Service::on_drained(net::Peer& peer) {
  impl_->broadcaster.drained(peer.id());
  impl_->schedule_fan_out();
}

void Service::on_close(net::Peer& peer, net::CloseReason reason) {
  const auto found = impl_->connections.find(peer.id());
  if (found == impl_->connections.end()) return;
  impl_->closed.push_back(std::move(found->second));
  impl_->connections.erase(found);
  auto& gone = *impl_->closed.back();
  gone.peer = nullptr;
  gone.phase = Connection::Phase::kClosing;
  const auto session = gone.session;
  impl_->replay_retries.erase(peer.id());
  impl_->broadcaster.leave(peer.id());
  if (gone.own_port != 0) impl_->ports.release(gone.own_port);
  if (reason == net::CloseReason::kTooSlow) impl_->too_slow_total.add();
  if (!session || impl_->shutting_down) return;
  impl_->engine.disconnected(session, connection_id(peer.id()), impl_->now());
  impl_->carry_out();
  impl_->schedule_fan_out();
}

}  // namespace verbund::cluster
