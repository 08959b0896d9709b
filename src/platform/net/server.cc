#include "platform/net/server.h"

#include <unistd.h>

#include "platform/net/server_impl.h"

namespace verbund::net {
namespace {

constexpr milliseconds kSweepPeriod{250};
/// The writing of one round may take so long before timers and new requests get their turn.
constexpr milliseconds kFlushSlice{1};
/// So many peers of an earlier round get their turn in each, however busy it is.
constexpr int kBacklogShare = 64;

}  // namespace

Server::Impl::Impl(EventLoop& event_loop, Limits bounds, PeerHandler& peer_handler, HttpHandler& http_handler, Log& to_log,
                   Counters& to_count)
    : loop(event_loop),
      limits(bounds),
      peers(peer_handler),
      http(http_handler),
      log(to_log),
      accepted_total(to_count.counter("verbund_net_accepted_total", "Connections taken.")),
      refused_total(to_count.counter("verbund_net_refused_total", "Connections refused: too many, or plaintext or TLS not allowed.")),
      too_slow_total(to_count.counter("verbund_net_too_slow_total", "Clients closed because their send queue overflowed.")),
      timed_out_total(to_count.counter("verbund_net_timed_out_total", "Connections closed because something did not come in time.")),
      connections_now(to_count.gauge("verbund_net_connections", "Connections open now.")),
      sweep(event_loop.every(kSweepPeriod, [this] { check_deadlines(); })),
      link(std::make_shared<ServerLink>(ServerLink{event_loop, this})) {}

Server::Impl::~Impl() {
  link->server = nullptr;
  listeners.clear();
  while (!connections.empty()) connections.begin()->second->end(CloseReason::kLocal);
}

void Server::Impl::accepted(int fd, PeerAddress address, std::uint16_t port) {
  if (connections.size() >= limits.max_connections) return refuse(fd, "max_connections");
  if (untrusted >= limits.max_untrusted_connections) return refuse(fd, "max_untrusted_connections");
  const auto id = next_id++;
  auto connection = std::make_unique<Connection>(*this, id, fd, std::move(address), port);
  ++untrusted;
  auto& kept = *connections.emplace(id, std::move(connection)).first->second;
  accepted_total.add();
  if (!kept.start()) kept.end(CloseReason::kError);
}

void Server::Impl::refuse(int fd, std::string_view why) {
  refused_total.add();
  // The first is told at once, the rest as a sum by check_deadlines: a flood must not fill the log.
  if (refused_since_logged++ == 0) log.warning("net.refused", {{"limit", why}, {"connections", connections.size()}});
  ::close(fd);
}

Connection* Server::Impl::connection(std::uint64_t id) {
  const auto at = connections.find(id);
  return at == connections.end() ? nullptr : at->second.get();
}

void Server::Impl::bury(Connection& connection) {
  const auto at = connections.find(connection.id());
  graveyard.push_back(std::move(at->second));
  connections.erase(at);
  schedule_flush();
}

void Server::Impl::schedule_flush() {
  if (std::exchange(flush_scheduled, true)) return;
  loop.at_end_of_round([alive = std::weak_ptr(link)] {
    const auto held = alive.lock();
    if (held && held->server != nullptr) held->server->flush();
  });
}

void Server::Impl::flush() {
  const auto slice_ends = std::chrono::steady_clock::now() + kFlushSlice;
  flush_scheduled = false;
  const auto write_out = [&](DirtyList& list, int at_least) {
    for (int n = 1; !list.empty(); ++n) {
      auto& connection = list.front();
      list.pop_front();
      connection.flush();
      if (n % 16 == 0 && n >= at_least && std::chrono::steady_clock::now() >= slice_ends) break;
    }
  };
  // This round's replies go before what is left of an earlier fan-out.
  write_out(dirty, 0);
  write_out(backlog, kBacklogShare);
  backlog.splice(backlog.end(), dirty);
  graveyard.clear();
  if (!backlog.empty() && !std::exchange(flush_scheduled, true)) {
    // Behind what is ready now, not within this round.
    loop.post([alive = std::weak_ptr(link)] {
      const auto held = alive.lock();
      if (held && held->server != nullptr) held->server->flush();
    });
  }
  if (shutting_down) finish_shut_down();
}

void Server::Impl::check_deadlines() {
  const auto now = std::chrono::steady_clock::now();
  // First collected: what a handler does when one ends may unlink others.
  std::vector<std::uint64_t> late;
  for (const auto& connection : timed) {
    if (connection.is_late(now)) late.push_back(connection.id());
  }
  for (const auto id : late) {
    if (auto* const found = connection(id)) found->check_deadlines(now);
  }
  connections_now.set(static_cast<double>(connections.size()));
  static constexpr std::size_t kSweepsPerLog = 240;  // a minute
  if (refused_since_logged > 0 && ++sweeps_since_refused >= kSweepsPerLog) {
    log.warning("net.refused_more", {{"count", refused_since_logged}});
    refused_since_logged = sweeps_since_refused = 0;
  }
}

void Server::Impl::finish_shut_down() {
  const bool all_quiet = std::ranges::all_of(connections, [](const auto& entry) { return entry.second->quiet(); });
  if (!all_quiet || !on_shut_down) return;
  grace.cancel();
  const auto done = std::exchange(on_shut_down, nullptr);
  done();
}

Server::Server(EventLoop& loop, Limits limits, PeerHandler& peers, HttpHandler& http, Log& log, Counters& counters)
    : impl_(std::make_unique<Impl>(loop, limits, peers, http, log, counters)) {}
Server::~Server() = default;

Status Server::use_tls(const TlsIdentity& identity) {
  auto context = TlsContext::server(identity.certificate_chain_pem, identity.private_key_pem);
  if (!context) return pass(context);
  impl_->tls = std::move(*context);
  return {};
}

void Server::allow_remote_plaintext(bool allow) { impl_->remote_plaintext = allow; }

void Server::unlisten(std::uint16_t port) {
  std::erase_if(impl_->listeners, [port](const auto& listener) { return listener->port() == port; });
}

Peer* Server::find(std::uint64_t peer_id) {
  Connection* const connection = impl_->connection(peer_id);
  return connection != nullptr && connection->is_peer() ? connection : nullptr;
}

void Server::shut_down(milliseconds grace, std::function<void()> done) {
  impl_->listeners.clear();
  impl_->shutting_down = true;
  impl_->on_shut_down = std::move(done);
  std::vector<std::uint64_t> ids;
  for (const auto& [id, connection] : impl_->connections) ids.push_back(id);
  for (const auto id : ids) {
    if (auto* connection = impl_->connection(id)) connection->finish();
  }
  impl_->grace = impl_->loop.after(grace, [server = impl_.get()] {
    while (!server->connections.empty()) server->connections.begin()->second->end(CloseReason::kLocal);
    server->schedule_flush();
  });
  impl_->schedule_flush();
}

}  // namespace verbund::net
