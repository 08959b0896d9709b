#pragma once
/// What a mirror's port answers. Threads: on the event loop, replies of workers but for that.
#include <functional>

#include "access/accounts.h"
#include "base/messages.h"
#include "node/mirror/follower.h"
#include "node/mirror/pair_seat.h"
#include "platform/net/server.h"
#include "platform/os/worker_pool.h"

namespace verbund::node {

struct MirrorFacts {
  std::string name;        ///< of this node
  boost::json::value pair; ///< PairSeat::view_json
  bool database_up = false;
  FollowState follow;
  const PairWatch* watch = nullptr;  ///< absent: nothing is known of the machines
};
/// "mirror"; "waiting" (was production, opens only by an answer or a person), "fenced", "rejoining".
std::string role_of(const MirrorFacts& facts);
/// GET /api/mirror (as `mirror status --json` prints it) and GET /api/status.
std::string mirror_status_json(const MirrorFacts& facts);
std::string mirror_node_status_json(const MirrorFacts& facts);

struct MirrorPortSurroundings {
  os::WorkerPool& workers;
  access::Accounts& accounts;               ///< read only
  PairSeat& seat;
  std::function<MirrorFacts()> facts;       ///< any thread
  std::function<std::string()> metrics;     ///< any thread
  std::string ca_pem;
};

class MirrorPort final : public net::HttpHandler, public net::PeerHandler {
 public:
  explicit MirrorPort(MirrorPortSurroundings surroundings) : at_(std::move(surroundings)) {}
  void on_request(std::shared_ptr<net::HttpExchange> exchange) override;
  bool accept_websocket(const net::HttpRequest& request) override { return request.path == "/ws"; }
  // Whoever wants to join is told where production is, and is closed.
  void on_open(net::Peer&) override {}
  void on_message(net::Peer& peer, std::string_view message) override;
  void on_too_large(net::Peer& peer, std::size_t) override { peer.close(); }
  void on_drained(net::Peer&) override {}
  void on_close(net::Peer&, net::CloseReason) override {}

 private:
  net::HttpResponse page(Language language) const;
  using Answer = std::function<net::HttpResponse(const net::HttpRequest&, Language)>;
  void on_worker(const std::shared_ptr<net::HttpExchange>& exchange, Answer answer);
  net::HttpResponse answer(const net::HttpRequest& request, Language language) const;
  net::HttpResponse exchange(const net::HttpRequest& request, Language language) const;
  net::HttpResponse act(const net::HttpRequest& request, Language language) const;
  /// Whoever shows this machine's control secret, or logs in with that right (when the databases run). Its name.
  Result<std::string> allowed(const net::HttpRequest& request, access::Right right) const;
  [[nodiscard]] std::string production() const;
  [[nodiscard]] Error elsewhere() const;
  const MirrorPortSurroundings at_;
};

}  // namespace verbund::node
