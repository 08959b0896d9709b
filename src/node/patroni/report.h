#pragma once
/// What a node on a Patroni cluster says of the cluster and of its seat. Pure.
#include <boost/json/object.hpp>

#include "node/patroni/seat.h"
#include "node/patroni/watch.h"

namespace verbund::node {

struct ClusterFacts {
  std::string name;            ///< of this node
  PatroniSeen seen;
  SeatView seat;
};
/// GET /api/mirror and `patroni` of GET /api/status.
boost::json::object cluster_object(const ClusterFacts& facts);
/// GET /api/status of a node that waits.
std::string waiting_status_json(const ClusterFacts& facts);

}  // namespace verbund::node
