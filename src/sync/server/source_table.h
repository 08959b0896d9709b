#pragma once
/// A table of the source as the feed has it and as the source's catalog has it now. Blocking; any thread, one connection each.
#include <cstdint>
#include <string>
#include <vector>

#include "platform/postgres/connection.h"

namespace verbund::sync::server {

/// A captured table as feed.source_table and the source's catalog have it.
struct SourceTable {
  struct Column {
    std::string name;
    int number = 0;          ///< attnum
    std::uint32_t type = 0;  ///< oid; of a domain that of the domain
    std::string type_name;
    bool not_null = false;
  };
  struct ForeignKey {
    std::vector<std::string> columns;
    std::string schema, table;
    std::vector<std::string> parent_columns;
    std::string on_delete;
  };
  int id = 0;
  std::string schema, name, shadow;
  std::vector<Column> columns;
  std::vector<std::size_t> key;
  std::vector<ForeignKey> foreign_keys;
  std::string paused;  ///< why its shadow stands still; empty: it does not
};

/// Errors: kNotFound (the table is not captured: says so).
Result<SourceTable> load_table(postgres::Connection& mid_tier, postgres::Connection& source, const std::string& schema, const std::string& table);

/// The parts of a joined key (feed/tables.h, join_key).
std::vector<std::string> split_key(std::string_view key);

}  // namespace verbund::sync::server
