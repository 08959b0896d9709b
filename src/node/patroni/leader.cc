#include "node/patroni/leader.h"

#include <algorithm>

#include "base/messages.h"
#include "platform/postgres/hosts.h"

namespace verbund::node {
namespace {

constexpr seconds kConnect{2};

Result<LeaderConnection> open_one(const postgres::ConnectionSettings& server, const std::string& options) {
  auto with_options = server;
  with_options.options += (with_options.options.empty() ? "" : " ") + options;
  auto connection = postgres::Connection::open(with_options, kConnect);
  if (!connection) return pass(connection);
  // In recovery there is no log of its own to ask for.
  auto recovering = connection->query("SELECT pg_catalog.pg_is_in_recovery()");
  if (!recovering) return pass(recovering, "ask a server of the cluster");
  if (recovering->text(0, 0) != "f") return fail(ErrorCode::kDatabaseDown, phrase("PostgreSQL {} follows another", server.shown()));
  auto rows = connection->query(std::string("SELECT ") + kTimelineSql);
  if (!rows) return pass(rows, "ask a server of the cluster");
  const auto timeline = parse_u64(rows->text(0, 0));
  if (!timeline) return std::unexpected(timeline.error());
  return LeaderConnection{std::move(*connection), server, static_cast<std::uint32_t>(*timeline)};
}

}  // namespace

Result<LeaderConnection> open_leader(const postgres::ConnectionSettings& hosts, const std::string& options,
                                     const std::optional<mirror::PatroniView>& view, std::uint32_t at_least) {
  auto servers = postgres::each_host(hosts);
  if (!servers) return pass(servers);
  const auto* leader = view ? view->leader() : nullptr;
  const auto named = [&](const postgres::ConnectionSettings& server) { return leader != nullptr && server.host == leader->host && server.port == leader->port; };
  std::ranges::stable_partition(*servers, named);
  std::optional<LeaderConnection> best;
  Error why = make_error(ErrorCode::kDatabaseDown, phrase("no server of the cluster takes writes"));
  for (const auto& server : *servers) {
    auto opened = open_one(server, options);
    if (!opened) {
      // Also of a follower that does not have the database yet: libpq's own search would end there.
      why = std::move(opened.error());
      continue;
    }
    if (opened->timeline < at_least) {
      why = make_error(ErrorCode::kDatabaseDown, phrase("PostgreSQL {} takes writes on timeline {}, but the cluster is on {}: it is a former leader", server.shown(), opened->timeline, at_least));
      continue;
    }
    if (!best || opened->timeline > best->timeline) best.emplace(std::move(*opened));
    if (named(server)) break;
  }
  if (!best) {
    if (why.code != ErrorCode::kUnauthenticated) why.code = ErrorCode::kDatabaseDown;
    return std::unexpected(std::move(why));
  }
  return std::move(*best);
}

}  // namespace verbund::node
