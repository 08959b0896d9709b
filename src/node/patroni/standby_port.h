#pragma once
/// What the port of a node answers that waits for the seat: status, page and metrics; workstations and everything else are sent to the holder.
/// Threads: on the event loop, replies of workers but for that.
#include <functional>

#include "access/accounts.h"
#include "base/messages.h"
#include "node/patroni/report.h"
#include "platform/net/server.h"
#include "platform/os/worker_pool.h"

namespace verbund::node {

struct StandbyPortSurroundings {
  os::WorkerPool& workers;
  access::Accounts& accounts;
  std::function<ClusterFacts()> facts;   ///< any thread
  std::function<std::string()> metrics;  ///< any thread
  std::string ca_pem;
};

class StandbyPort final : public net::HttpHandler, public net::PeerHandler {
 public:
  explicit StandbyPort(StandbyPortSurroundings surroundings) : at_(std::move(surroundings)) {}
  void on_request(std::shared_ptr<net::HttpExchange> exchange) override;
  bool accept_websocket(const net::HttpRequest& request) override { return request.path == "/ws"; }
  void on_open(net::Peer&) override {}
  void on_message(net::Peer& peer, std::string_view message) override;
  void on_too_large(net::Peer& peer, std::size_t) override { peer.close(); }
  void on_drained(net::Peer&) override {}
  void on_close(net::Peer&, net::CloseReason) override {}

 private:
  void answer(const std::shared_ptr<net::HttpExchange>& exchange);
  [[nodiscard]] net::HttpResponse page(Language language) const;
  const StandbyPortSurroundings at_;
};

}  // namespace verbund::node
