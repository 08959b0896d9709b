#pragma once
/// What a node is given by the seat that it holds (node/patroni/patroni_node.cc), for as long as it holds it. From any thread.
#include <atomic>
#include <functional>
#include <string>

#include "base/ids.h"
#include "platform/postgres/connection.h"

namespace verbund::node {

struct NodeSeat {
  Term term;
  postgres::ConnectionSettings server;       ///< the leader; all of the node's connections go there
  bool follows_promotions = false;           ///< see feed::FeedSettings
  std::uint16_t port = 0;                    ///< on which the node waited
  std::function<std::string()> cluster_json; ///< GET /api/mirror
  std::function<std::string()> metrics;      ///< of cluster and seat, beside the node's own
  std::atomic<bool> lost = false;            ///< nothing may be granted any more: the node ends at once
};

}  // namespace verbund::node
