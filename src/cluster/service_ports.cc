// Terminalservice mode: clients are sent from the main port to one of their own.
#include "base/messages.h"
#include "cluster/service_impl.h"
#include "platform/os/random.h"

namespace verbund::cluster {

namespace {
constexpr std::size_t kTicketBytes = 32;
/// Ports that another program holds are passed over, so many at a time at most.
constexpr int kListenAttempts = 16;
}  // namespace

/// Tools don't take a port away from a workstation.
bool Service::Impl::needs_redirect(const Connection& connection, protocol::SessionKind kind,
                                   const std::string& ticket) const {
  return server != nullptr && settings.mode == protocol::Mode::kTerminalservice && ticket.empty() &&
         connection.own_port == 0 && kind == protocol::SessionKind::kWorkstation;
}

void Service::Impl::redirect(Connection& connection, const protocol::RequestId& id, Redirected client) {
  connection.phase = Connection::Phase::kPending;
  const auto peer = connection.id();
  const auto ticket = os::random_hex(kTicketBytes);
  const auto hash = os::blake2b_hex(ticket);
  withdraw_offer(connection);
  std::vector<std::uint16_t> foreign;
  Result<std::uint16_t> port = fail(ErrorCode::kPortsExhausted, phrase("register: no port of the range is free"));
  for (int attempt = 0; attempt < kListenAttempts; ++attempt) {
    port = ports.offer(hash, around.clock.now());
    if (!port) break;
    if (auto listening = server->listen(listen_host, *port)) break;
    around.log.warning("port.in_use", {{"port", *port}});
    foreign.push_back(*port);
    port = fail(ErrorCode::kPortsExhausted,
                phrase("register: port {} and others of the range are used by other programs", foreign.back()),
                phrase("choose another range in config/P2P.properties (ports.first, ports.count)"));
  }
  for (const auto taken : foreign) ports.release(taken);
  if (!port) return give_up(peer, id, std::move(port.error()));
  redirected[hash] = std::move(client);
  connection.offered_port = *port;
  connection.offered_ticket = hash;
  connection.phase = Connection::Phase::kNew;
  reply(connection, id, protocol::Redirect{*port, ticket, settings.accept_timeout});
  end_pending(peer);
}

/// A connection has one offer at most: who asks again gives the earlier one back, so that nobody empties the range alone.
void Service::Impl::withdraw_offer(Connection& connection) {
  const auto ticket = std::exchange(connection.offered_ticket, {});
  if (!ports.withdraw(connection.offered_port, ticket)) return;
  redirected.erase(ticket);
  server->unlisten(connection.offered_port);
}

void Service::Impl::redeem(Connection& connection, const protocol::RequestId& id, const std::string& ticket) {
  const auto hash = os::blake2b_hex(ticket);
  const auto port = connection.peer->local_port();
  const auto client = redirected.find(hash);
  const bool resumes = client != redirected.end() && !client->second.session.id;
  if (client == redirected.end() || resumes || server == nullptr) {
    return bad_message(connection, id, make_error(ErrorCode::kTicketInvalid, phrase("register: the ticket is wrong, used or too old"),
                                        phrase("register on the main port again")));
  }
  if (auto redeemed = ports.redeem(port, hash, around.clock.now()); !redeemed) {
    return bad_message(connection, id, std::move(redeemed.error()));
  }
  connection.own_port = port;
  server->unlisten(port);
  auto taken = std::move(client->second);
  redirected.erase(client);
  taken.session.address = std::string(connection.peer->address());
  establish(connection, id, std::move(taken.session), std::move(taken.secret), std::move(taken.cursor));
}

void Service::Impl::expire_ports(TimePoint time) {
  for (const auto& [port, hash] : ports.expire(time)) {
    redirected.erase(hash);
    if (server != nullptr) server->unlisten(port);
    around.log.info("port.expired", {{"port", port}});
  }
}

}  // namespace verbund::cluster
