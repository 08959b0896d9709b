#pragma once
/// What the guard asks the source's catalog. This folder only; blocks on the connection.
#include <set>
#include <string>
#include <vector>

#include "guard/mapping.h"

namespace verbund::guard {

/// The schema is there.
Result<bool> has_guard(postgres::Connection& source);

/// Of all tables and of the parents on their ways.
Result<ColumnTypes> column_types(postgres::Connection& source, const std::vector<Mapped>& tables);

struct Relation {
  std::string schema, name;
  bool partition = false;
  std::set<std::string> triggers;
  [[nodiscard]] std::string quoted() const;
};
/// The table, its partitions and what inherits from it. Errors: kNotFound.
Result<std::vector<Relation>> relations_of(postgres::Connection& source, const std::string& schema, const std::string& table);

/// Of the function, which is named write_N_M or truncate_N.
inline std::string trigger_name(const std::string& function) { return "verbund_guard_" + function; }

}  // namespace verbund::guard
