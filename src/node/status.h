#pragma once
/// The node's status as one JSON object (operation `status`, GET /api/status). Pure.
#include <string>

#include "base/ids.h"
#include "feed/feed.h"
#include "history/relay.h"
#include "node/installation.h"

namespace verbund::node {

struct StatusParts {
  const Settings& settings;
  LockEpoch epoch;
  std::size_t sessions = 0;      ///< workstations and tools
  std::size_t workstations = 0;
  std::size_t locks = 0;
  feed::FeedStatus feed;
  std::optional<history::RelayStatus> history;  ///< none: history is off
  bool database_up = false;
  std::string database;  ///< connection without password
};
std::string node_status_json(const StatusParts& parts);

}  // namespace verbund::node
