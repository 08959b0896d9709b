#include "node/status.h"

#include <boost/json.hpp>

#include "node/version.h"
#include "protocol/codec.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

std::string_view name(feed::FeedState state) {
  switch (state) {
    case feed::FeedState::kStarting: return "starting";
    case feed::FeedState::kRunning: return "running";
    case feed::FeedState::kWaiting: return "waiting";
    case feed::FeedState::kStopped: return "stopped";
  }
  return "stopped";
}

json::object feed_json(const feed::FeedStatus& feed) {
  json::array excluded;
  for (const auto& [table, reason] : feed.excluded) excluded.push_back(json::object{{"table", table}, {"reason", reason}});
  return {{"state", name(feed.state)},
          {"reason", feed.reason},
          {"cursor", fmt::format("{}:{}", feed.head.history.value, feed.head.csn.value)},
          {"passed", to_string(feed.passed)},
          {"lag_bytes", feed.lag_bytes},
          {"kept_bytes", feed.kept_bytes},
          {"alarm", feed.alarm},
          {"last_message_age_ms", feed.last_message_age.count()},
          {"changes", feed.changes_total},
          {"transactions", feed.transactions_total},
          {"excluded", excluded}};
}

std::string_view name(history::RelayState state) {
  switch (state) {
    case history::RelayState::kRunning: return "running";
    case history::RelayState::kFarBehind: return "far_behind";
    case history::RelayState::kWaiting: return "waiting";
    case history::RelayState::kStopped: return "stopped";
  }
  return "stopped";
}

json::object history_json(const std::optional<history::RelayStatus>& history) {
  if (!history) return {{"state", "off"}};
  return {{"state", name(history->state)}, {"reason", history->reason}, {"behind", history->behind},
          {"versions", history->versions}, {"breaks", history->breaks}};
}

}  // namespace

std::string node_status_json(const StatusParts& parts) {
  return json::serialize(json::object{
      {"node", json::object{{"name", parts.settings.name}, {"version", kVersion}, {"role", "production"},
                            {"term", parts.epoch.term.value}, {"start_count", parts.epoch.start_count}}},
      {"cluster", json::object{{"mode", protocol::to_wire(parts.settings.cluster.mode)}, {"sessions", parts.sessions},
                               {"workstations", parts.workstations}, {"tools", parts.sessions - parts.workstations},
                               {"locks", parts.locks}}},
      {"database", json::object{{"state", parts.database_up ? "up" : "down"}, {"shown", parts.database}}},
      {"feed", feed_json(parts.feed)},
      {"history", history_json(parts.history)}});
}

}  // namespace verbund::node
