#pragma once
/// Decodes pgoutput, protocol version 1, with logical messages.
/// Source of the format: PostgreSQL manual, chapter "Frontend/Backend Protocol", section "Logical Replication Message
/// Formats" (PostgreSQL 15). Pure; any thread. Views point into the buffer that was handed in and live as long as it.
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace verbund::feed::pgoutput {

/// A value of a row. kUnchanged: an out-of-line (TOAST) value that the change did not touch; it is not NULL.
struct Value {
  enum class Kind : std::uint8_t { kNull, kUnchanged, kText } kind = Kind::kNull;
  std::string_view text;  ///< of kText: the type's output form
};
using Tuple = std::vector<Value>;

struct Begin {
  Lsn final_lsn;  ///< where the transaction's commit record starts
  WallTime commit_time;
  std::uint32_t xid = 0;
};
struct Commit {
  Lsn commit_lsn;
  Lsn end_lsn;  ///< behind the commit record
  WallTime commit_time;
};
struct Origin {
  Lsn commit_lsn;
  std::string_view name;
};
struct RelationColumn {
  bool identity = false;  ///< part of the replica identity
  std::string_view name;
  std::uint32_t type = 0;      ///< oid
  std::int32_t modifier = -1;  ///< atttypmod
};
struct Relation {
  std::uint32_t id = 0;
  std::string_view schema;  ///< empty: pg_catalog
  std::string_view table;
  char replica_identity = 'd';
  std::vector<RelationColumn> columns;
};
struct Type {
  std::uint32_t id = 0;
  std::string_view schema, name;
};
struct Insert {
  std::uint32_t relation = 0;
  Tuple row;
};
/// What stands of the row before: nothing, its key (other columns are kNull, which is not NULL), or all of it.
enum class OldTuple : std::uint8_t { kNone, kKey, kFull };
struct Update {
  std::uint32_t relation = 0;
  OldTuple old_kind = OldTuple::kNone;
  Tuple old;
  Tuple row;
};
struct Delete {
  std::uint32_t relation = 0;
  OldTuple old_kind = OldTuple::kKey;
  Tuple old;
};
struct Truncate {
  bool cascade = false;
  bool restart_identity = false;
  std::vector<std::uint32_t> relations;
};
struct LogicalMessage {
  bool transactional = false;
  Lsn lsn;
  std::string_view prefix;
  std::string_view content;
};
using Message = std::variant<Begin, Commit, Origin, Relation, Type, Insert, Update, Delete, Truncate, LogicalMessage>;

/// One message. Errors: kBadStream, naming what is wrong and at which byte.
Result<Message> decode(std::string_view data);

}  // namespace verbund::feed::pgoutput
