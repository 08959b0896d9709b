#pragma once
/// Runs the numbered migrations that folders own. Each folder has a schema of its own and files sql/NNN_name.sql,
/// embedded at build time (verbund_embed_sql in CMake).
#include <span>
#include <string_view>

#include "base/log.h"
#include "platform/postgres/connection.h"

namespace verbund::postgres {

struct Migration {
  int number;              ///< 1, 2, … without a gap within an owner
  std::string_view name;
  std::string_view sql;
};

struct MigrationSet {
  std::string_view owner;  ///< folder, for example "feed"; also its schema
  std::span<const Migration> migrations;
};

/// Runs what is missing, each in a transaction of its own, under an advisory lock (two nodes may start at once).
/// Versions stand in verbund_migrations(owner, number, name, applied_at). A database with a higher number than this
/// program knows is accepted when it is one ahead (node N works with schema N+1 of its peer), else kUnsupported.
Status migrate(Connection& connection, std::span<const MigrationSet> sets, Log& log);

}  // namespace verbund::postgres
