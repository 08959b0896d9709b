#pragma once
/// What a stretch of the stream says, decoded and assigned to captured tables; the values are owned. Pure.
#include <variant>
#include <vector>

#include "feed/tables.h"

namespace verbund::feed {

struct RowChange {
  RowOp op = RowOp::kInsert;
  std::size_t table = 0;
  std::string key;
  std::optional<std::string> was_key;       ///< of an update that changed the primary key
  Row row;                                  ///< new row; empty for a delete
  std::vector<std::uint16_t> unchanged;     ///< columns of `row` whose value stands in the shadow (TOAST)
  [[nodiscard]] const std::string& old_key() const { return was_key ? *was_key : key; }
};
struct Announced {
  RecordEvent::Op op = RecordEvent::Op::kUpdate;
  RecordKey key;
};
struct Author {
  SessionId session;
};
struct Begun {
  std::uint32_t xid = 0;
  Lsn commit_lsn;
  WallTime commit_time;
};
struct Truncated {
  std::vector<std::size_t> tables;
};
/// The table's columns changed and its rows with them, none of which is told by itself.
struct Reshaped {
  std::size_t table = 0;
  std::uint64_t rows = 0;
};
struct Committed {};
using Step = std::variant<Begun, Author, RowChange, Announced, Truncated, Reshaped, Committed>;

}  // namespace verbund::feed
