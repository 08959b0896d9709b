#include "node/patroni/report.h"

#include <boost/json.hpp>

#include "node/version.h"

namespace verbund::node {

namespace json = boost::json;

json::object cluster_object(const ClusterFacts& facts) {
  json::array waiting;
  for (const auto& node : facts.seat.waiting) {
    waiting.push_back(json::object{{"name", node.name}, {"address", node.address}, {"version", node.version}, {"seen_seconds_ago", std::to_string(node.seen_seconds_ago)}});
  }
  json::object cluster{{"scope", facts.seen.scope}, {"version", facts.seen.version}, {"system_id", facts.seen.system_id}, {"error", facts.seen.error},
                       {"age_ms", nullptr}, {"leader", nullptr}, {"members", json::array{}}};
  if (facts.seen.age) cluster["age_ms"] = std::chrono::duration_cast<milliseconds>(*facts.seen.age).count();
  if (facts.seen.view) {
    for (auto& [name, value] : to_json(*facts.seen.view)) cluster[name] = value;
    if (!facts.seen.view->scope.empty()) cluster["scope"] = facts.seen.view->scope;
  }
  return {{"provider", "patroni"}, {"role", facts.seat.held ? "production" : "standby"}, {"name", facts.name}, {"version", kVersion},
          {"term", std::to_string(facts.seat.term.value)},
          {"seat", json::object{{"held", facts.seat.held}, {"holder", facts.seat.holder_name}, {"address", facts.seat.holder_address}, {"since", facts.seat.since},
                                {"error", facts.seat.error}, {"waiting", std::move(waiting)}}},
          {"cluster", std::move(cluster)}};
}

std::string waiting_status_json(const ClusterFacts& facts) {
  return json::serialize(json::object{
      {"node", json::object{{"name", facts.name}, {"version", kVersion}, {"role", "standby"}, {"term", facts.seat.term.value}}},
      {"database", json::object{{"state", facts.seat.error.empty() ? "up" : "down"}}},
      {"patroni", cluster_object(facts)}});
}

}  // namespace verbund::node
